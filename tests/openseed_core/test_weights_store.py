"""Every way to store a model gives the same model back."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from small import small_config, small_model

from openseed_core.config import nano, swin_t
from openseed_core.model import OpenSeeD
from openseed_core.weights import files, registry
from openseed_core.weights.errors import WeightsError
from openseed_core.weights.official import export_official
from openseed_core.weights.store import load_model, preset_of, save_model, version_of

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 52, 3), dtype=np.uint8)


def answers(model):
    """Predictions that depend on every part but the text encoder, which gets its own row."""
    with torch.inference_mode():
        text = model.encode_text([["cat"], ["dog"]])
        found = model.detect(model.encode_image([IMAGE]), text).final
        return torch.cat([text.flatten(), found.logits.flatten(), found.boxes.flatten(), found.masks.flatten()])


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def expected(model):
    return answers(model)


def test_transformers_round_trip_of_swin(tmp_path, model, expected):
    model.save_pretrained(tmp_path)
    again = OpenSeeD.from_pretrained(tmp_path).eval()
    assert again.config.to_diff_dict() == model.config.to_diff_dict()
    buffers = dict(model.named_buffers())
    assert sum(name.endswith("relative_position_index") for name in buffers) == 6
    for name, buffer in again.named_buffers():
        assert torch.equal(buffer, buffers[name]), name
    assert torch.equal(answers(again), expected)
    assert not any("relative_position_index" in key for key in load_file(tmp_path / "model.safetensors"))


def test_transformers_round_trip_of_nano(tmp_path):
    torch.manual_seed(0)
    model = OpenSeeD(nano(text_layers=1)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.02)
    model.save_pretrained(tmp_path)
    again = OpenSeeD.from_pretrained(tmp_path).eval()
    assert torch.equal(answers(again), answers(model))


@pytest.mark.parametrize("target", ["folder", "one.safetensors", "official.pt"])
def test_every_form_gives_the_same_model(tmp_path, model, expected, target):
    path = tmp_path / "deep" / target
    save_model(model, path)
    again = load_model(path)
    assert not again.training
    assert torch.equal(answers(again), expected)
    assert re.fullmatch(r"custom-[0-9a-f]{12}", version_of(again))
    assert version_of(again) == version_of(load_model(str(path)))
    assert not list(tmp_path.rglob("*.part"))
    plain = tmp_path / "plain"
    plain.touch()
    assert {p.stat().st_mode for p in tmp_path.rglob("*") if p.is_file()} == {plain.stat().st_mode}


def test_loading_is_silent_and_leaves_nothing_unset(tmp_path, model, capfd):
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert capfd.readouterr() == ("", "")
    buffers = dict(model.named_buffers())
    assert buffers.keys() == dict(again.named_buffers()).keys()
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in again.named_buffers())
    assert all(parameter.requires_grad for parameter in again.parameters())
    assert {parameter.device.type for parameter in again.parameters()} == {"cpu"}


def test_official_names_in_safetensors(tmp_path, model, expected):
    path = tmp_path / "official.safetensors"
    save_file({key: tensor.clone() for key, tensor in export_official(model).items()}, path)
    assert torch.equal(answers(load_model(path)), expected)


def test_half_on_disk_is_float32_in_memory(tmp_path, model):
    save_model(model, tmp_path / "half", half=True)
    assert {t.dtype for t in load_file(tmp_path / "half" / "model.safetensors").values()} == {torch.float16}
    again = load_model(tmp_path / "half")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor.half().float())


def test_versions_tell_weights_apart(tmp_path, model):
    other = small_model(seed=1)
    assert version_of(model) != version_of(other)
    save_model(model, tmp_path / "a")
    save_model(other, tmp_path / "b")
    assert version_of(load_model(tmp_path / "a")) != version_of(load_model(tmp_path / "b"))
    assert preset_of(swin_t()) == "swin-t"
    assert preset_of(nano(drop_path=0.1)) == "nano"
    assert preset_of(small_config()) is None


def test_the_embedded_model_is_found_by_name(tmp_path, model, monkeypatch):
    monkeypatch.setattr(files, "EMBEDDED", tmp_path)
    with pytest.raises(WeightsError, match="install the package again"):
        load_model("nano")
    save_model(model, tmp_path / "nano", half=True)
    assert load_model().config.to_diff_dict() == model.config.to_diff_dict()


def test_fetched_weights_are_found_by_name(tmp_path, model, monkeypatch):
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"models fetch swin-t\n.*--weights FILE"):
        load_model("swin-t")
    save_model(model, tmp_path / registry.release("swin-t").file)
    assert load_model("swin-t").config.hidden_dim == 64


def test_names_and_files_that_are_no_model(tmp_path, model, monkeypatch):
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"no such file or model.*nano, swin-t"):
        load_model("resnet")
    with pytest.raises(WeightsError, match="no weights are released for swin-l-decoupled"):
        load_model("swin-l-decoupled")
    with pytest.raises(WeightsError, match=r"holds no model\.safetensors"):
        load_model(tmp_path)
    text = tmp_path / "weights.txt"
    text.write_text("hello")
    with pytest.raises(WeightsError, match="is this a weights file"):
        load_model(text)


def test_damaged_folders_are_refused(tmp_path, model):
    save_model(model, tmp_path)
    file, settings = tmp_path / "model.safetensors", tmp_path / "config.json"
    state, config = load_file(file), settings.read_text()

    dropped = {key: tensor for key, tensor in state.items() if key != "heads.lang_mapper"}
    save_file({**dropped, "heads.new": torch.zeros(1)}, file)
    with pytest.raises(WeightsError, match=r"missing: heads\.lang_mapper[\s\S]*unexpected: heads\.new"):
        load_model(tmp_path)

    save_file(state, file)
    settings.write_text(json.dumps({**json.loads(config), "hidden_dim": 32}))
    with pytest.raises(WeightsError, match="wrong shape: "):
        load_model(tmp_path)
    settings.write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(WeightsError, match="'bert'"):
        load_model(tmp_path)
    settings.write_text("{")
    with pytest.raises(WeightsError, match=r"config\.json: not a readable configuration"):
        load_model(tmp_path)
    settings.unlink()
    with pytest.raises(WeightsError, match=r"config\.json is missing"):
        load_model(tmp_path)

    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_model(tmp_path)


def test_findings_name_the_file(tmp_path, model):
    state = export_official(model)
    state.pop("backbone.norm2.bias")
    path = tmp_path / "broken.pt"
    torch.save(state, path)
    with pytest.raises(WeightsError, match=r"broken\.pt: [\s\S]*missing: backbone\.norm2\.bias") as caught:
        load_model(path)
    assert caught.value.problems == ("missing: backbone.norm2.bias",)


@pytest.mark.skipif(not (files.EMBEDDED / "nano" / files.TENSORS).is_file(), reason="the embedded weights are absent")
def test_the_embedded_weights_are_nano_and_small():
    model = load_model()
    assert re.fullmatch(r"nano-[0-9a-f]{12}", version_of(model))
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert (files.EMBEDDED / "nano" / files.TENSORS).stat().st_size <= 20e6
