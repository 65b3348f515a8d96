"""Official checkpoints: every key of the released layouts, both ways, and what is wrong with those that don't fit."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import recipe
import torch
from small import small_config, small_model

from openseed_core.config import PRESETS, nano
from openseed_core.weights.errors import WeightsError
from openseed_core.weights.official import (
    export_official,
    import_official,
    infer_config,
    official_names,
    official_state,
    read_tensors,
    shapes,
)

GOLDEN = Path(__file__).parents[1] / "golden"
LAYOUTS = {
    "swint_lang": "swin-t",
    "swint_lang_o365": "swin-t-o365",
    "swint_lang_o365_decouple": "swin-t-o365-decoupled",
    "swinl_lang_decouple": "swin-l-decoupled",
}
PREDICTOR = "sem_seg_head.predictor."


@pytest.mark.parametrize(("layout", "preset"), LAYOUTS.items())
def test_released_layouts_key_for_key_and_shape_for_shape(layout, preset):
    expected = json.loads((GOLDEN / "state-dicts" / f"{layout}.json").read_text())
    config = PRESETS[preset]()
    # zeros that take no memory; the indices have to be real, as their values are checked
    indices = official_state({}, config)
    given = {
        key: indices[key] if dtype == "int64" else torch.zeros(()).expand(shape)
        for key, (shape, dtype) in expected.items()
    }
    imported = import_official(given)
    assert imported.notes == ()
    assert imported.config.to_diff_dict() == config.to_diff_dict()
    assert {key: tuple(tensor.shape) for key, tensor in imported.state.items()} == shapes(config)
    exported = official_state(imported.state, imported.config)
    found = {k: [list(t.shape), str(t.dtype).removeprefix("torch.")] for k, t in exported.items()}
    assert found == expected


def test_the_recipe_draws_the_weights_that_the_goldens_were_made_with():
    count = 0
    for path in GOLDEN.glob("*_weight_checksums.json"):
        layout = path.name.removesuffix("_weight_checksums.json")
        expected = json.loads((GOLDEN / "state-dicts" / f"{layout}.json").read_text())
        for key, (total, magnitude) in json.loads(path.read_text()).items():
            value = recipe.recipe_value(key, tuple(expected[key][0]))
            if value is None or value.size > 3e6:  # big tables are checked by the text encoder's tests
                continue
            np.testing.assert_allclose(value.sum(dtype=np.float64), total, rtol=1e-6, atol=1e-3)
            np.testing.assert_allclose(np.abs(value).sum(dtype=np.float64), magnitude, rtol=1e-6)
            count += 1
    assert count > 40


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def state(model):
    return export_official(model)


def test_round_trip_keeps_every_value(model, state):
    imported = import_official(state)
    assert imported.notes == ()
    assert imported.config.to_diff_dict() == model.config.to_diff_dict()
    ours = model.state_dict()
    assert imported.state.keys() == ours.keys()
    assert all(torch.equal(imported.state[key], tensor) for key, tensor in ours.items())
    again = official_state(imported.state, imported.config)
    assert list(again) == list(state)
    assert all(torch.equal(again[key], tensor) for key, tensor in state.items())


def test_every_tied_copy_is_written():
    config = small_config()
    assert len(official_names("heads.bbox_embed.layers.0.weight", config)) == 1 + 2 * config.decoder_layers
    assert len(official_names("heads.bbox_embed.layers.0.weight", PRESETS["swin-t"]())) == 19
    assert official_names("heads.decoder_norm.bias", config) == (
        f"{PREDICTOR}decoder_norm.bias",
        f"{PREDICTOR}decoder.norm.bias",
    )


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"model": s},
        lambda s: {f"model.{key}": tensor for key, tensor in s.items()},
        lambda s: {f"module.{key}": tensor for key, tensor in s.items()},
        lambda s: {"model": {f"model.{key}": tensor for key, tensor in s.items()}, "iteration": 5},
        lambda s: {f"module.model.{key}": tensor for key, tensor in s.items()},
    ],
)
def test_wrappers_and_prefixes_are_opened(model, state, wrap):
    imported = import_official(wrap(state))
    assert all(torch.equal(imported.state[key], tensor) for key, tensor in model.state_dict().items())


def test_half_precision_becomes_float32(state):
    halves = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    assert {tensor.dtype for tensor in import_official(halves).state.values()} == {torch.float32}


def problems(state):
    with pytest.raises(WeightsError) as caught:
        import_official(state)
    return caught.value


@pytest.mark.parametrize(
    "key",
    [
        "backbone.layers.0.blocks.1.attn.relative_position_index",
        "backbone.layers.2.downsample.reduction.weight",
        f"{PREDICTOR}decoder.bbox_embed.1.layers.2.bias",
        f"{PREDICTOR}decoder.norm.weight",
        f"{PREDICTOR}lang_encoder.lang_proj",
    ],
)
def test_a_missing_key_is_named(state, key):
    del state[key]
    assert problems(state).problems == (f"missing: {key}",)


def test_all_that_is_wrong_is_listed(state):
    del state[f"{PREDICTOR}enc_output.bias"]
    state["extra.weight"] = torch.zeros(2)
    state[f"{PREDICTOR}lang_mapper"] = torch.zeros(3, 4)
    state[f"{PREDICTOR}bbox_embed.1.layers.0.bias"] = state[f"{PREDICTOR}bbox_embed.1.layers.0.bias"] + 1
    index = "backbone.layers.0.blocks.0.attn.relative_position_index"
    state[index] = state[index].flip(0)
    error = problems(state)
    kinds = sorted(problem.split(":")[0] for problem in error.problems)
    assert kinds == ["missing", "tied but different", "unexpected", "wrong shape", "wrong values"]
    assert all(problem in str(error) for problem in error.problems)


def test_a_long_list_is_cut_in_the_message_only(state):
    for k in range(50):
        state[f"extra.{k}"] = torch.zeros(1)
    error = problems(state)
    assert len(error.problems) == 50
    assert "and 30 more" in str(error)


def test_loss_buffers_of_other_trainings_are_noted(state):
    state["criterion.empty_weight"] = torch.ones(151)
    del state["criterion_o365.empty_weight"]
    notes = import_official(state).notes
    assert len(notes) == 2
    assert "150 classes" in notes[1]


def test_files_that_are_no_checkpoint(tmp_path, state):
    with pytest.raises(WeightsError, match="is missing; use a file of a whole model"):
        infer_config({"a": torch.zeros(2)})
    assert "also holds" in str(problems({"epoch": 3, "a": torch.zeros(1)}))
    with pytest.raises(WeightsError, match="impossible shapes"):
        infer_config({**state, "sem_seg_head.pixel_decoder.transformer.level_embed": torch.zeros(9, 32)})
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(WeightsError, match=r"broken\.pt: not a readable checkpoint"):
        read_tensors(broken)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 40)
    with pytest.raises(WeightsError, match=r"broken\.safetensors: not a readable"):
        read_tensors(broken)
    listed = tmp_path / "list.pt"
    torch.save([torch.zeros(1)], listed)
    with pytest.raises(WeightsError, match="holds a list"):
        read_tensors(listed)
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none.pt")


class Opens:
    """A pickle that runs code when it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    trap = tmp_path / "ran"
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps({"a": Opens(str(trap))}))
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        read_tensors(path)
    torch.save({"a": Opens(str(trap))}, path)
    with pytest.raises(WeightsError, match=r"evil\.pt"):
        read_tensors(path)
    assert not trap.exists()


def test_nano_has_no_official_layout():
    with pytest.raises(WeightsError, match="csp"):
        official_state({}, nano())
    with pytest.raises(WeightsError, match="box_content True"):
        official_state({}, small_config(box_content=True))
