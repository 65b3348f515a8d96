"""The programs run, and their numbers follow from what they measured."""

from __future__ import annotations

import importlib

import pytest
import torch

from benchmarks import model_speed, text_speed


@pytest.fixture
def small(monkeypatch):
    """The small model of the golden tests."""
    monkeypatch.syspath_prepend(str(model_speed.GOLDEN))
    return importlib.import_module("small")


def test_model_speed_on_a_small_model(small):
    model = small.small_model()
    asked = model_speed.question(model, height=128, width=160, boxes=4)
    assert asked.boxes.shape == (1, 4, 4)
    assert (asked.boxes >= 0).all()
    assert (asked.boxes[..., 2:] <= torch.tensor([160.0, 128.0])).all()
    found = model_speed.measure(model, asked, rounds=1)
    assert [row["stage"] for row in found["stages"]] == list(model_speed.STAGES)
    for row in found["stages"]:
        assert row["plain"] > 0
        assert row["ours"] > 0
        assert row["gigaflop"] > 0
        assert row["floor"] > row["gigaflop"] / found["gigaflop_a_second"] * 0.999
    assert found["largest_difference"] < 1e-3 < found["largest_logit"]
    text = model_speed.table(found)
    assert text.count("\n|") == len(model_speed.STAGES) + 2
    assert f"{found['ratio_cpu']:.2f}" in text


def test_the_operations_of_a_stage_are_those_of_its_layers(small):
    model = small.small_model()
    counted = model_speed.operations(model, model_speed.question(model, height=64, width=64, boxes=2))
    tokens = 8 * 8 + 4 * 4 + 2 * 2 + 1
    dim, ffn = model.config.hidden_dim, model.config.encoder_ffn_dim
    layer = model.pixel_decoder.layers[0]
    asked = layer.self_attn.sampling_offsets.out_features + layer.self_attn.attention_weights.out_features
    products = 2 * tokens * (dim * (2 * dim + asked) + 2 * dim * ffn)
    convolution = 2 * 16 * 16 * dim * dim * (9 + 1) + 2 * 16 * 16 * dim * model.config.backbone_channels[0]
    assert products + convolution < counted["pixel decoder"] < 1.5 * (products + convolution)


@pytest.mark.parametrize("context", [18, 77])
def test_text_speed_on_a_small_encoder(small, context):
    config = small.small_config(text_context=context, text_layers=2)
    found = text_speed.measure(config, ["cat", "traffic light", "sofa"], plain_names=2)
    assert found["largest_difference"] < 1e-5
    assert found["second_start_equal"]
    assert found["names"] == 3
    assert "the same bits" in text_speed.report(found)
    assert "BUT OTHER NUMBERS" in text_speed.report({**found, "second_start_equal": False})
