"""Post-processing and resizing against the golden arrays of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from openseed_core.postprocess import Frame, boxes_only, instances, panoptic, semantic
from openseed_core.preprocess import shortest_edge_size, torchvision_size

GOLDEN = Path(__file__).parents[1] / "golden"
FRAME = Frame(padded=(64, 96), size=(60, 90), output=(90, 135))
THINGS = (0, 1, 2)
TOP = 30
KINDS = [("plain", 20), ("decouple", 15)]  # how many queries are foreground


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "postprocess.npz") as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(scope="module")
def predictions(golden):
    return tuple(torch.from_numpy(golden[key]) for key in ("logits", "boxes", "masks"))


@pytest.mark.parametrize("task", ["seg", "sem_seg"])
@pytest.mark.parametrize("kind", ["plain", "decouple"])
def test_semantic(golden, predictions, kind, task):
    logits, _, masks = predictions
    found = semantic(logits, masks, FRAME)
    expected = golden[f"{kind}_{task}_sem"]
    np.testing.assert_allclose(found.scores[:, ::2, ::2].numpy(), expected, rtol=1e-4, atol=1e-5)
    assert np.mean(found.labels.numpy() == golden[f"{kind}_{task}_sem_argmax"]) > 0.9999


@pytest.mark.parametrize("kind", ["plain", "decouple"])
def test_panoptic(golden, predictions, kind):
    logits, _, masks = predictions
    found = panoptic(logits, masks, FRAME, things=THINGS)
    rows = [[s.id, int(s.is_thing), s.category] for s in found.segments]
    assert rows == golden[f"{kind}_seg_pan_info"].tolist()
    assert len(rows) == 7
    assert found.ids.dtype == torch.int32
    np.testing.assert_array_equal(found.ids.numpy(), golden[f"{kind}_seg_pan"])


@pytest.mark.parametrize(("task", "things"), [("seg", THINGS), ("inst_seg", None)])
@pytest.mark.parametrize(("kind", "foreground"), KINDS)
def test_instances(golden, predictions, kind, foreground, task, things):
    logits, boxes, masks = (part[:foreground] for part in predictions)
    found = instances(logits, boxes, masks, FRAME, top=TOP, things=things)
    expected = {key: golden[f"{kind}_{task}_{key}"] for key in ("scores", "classes", "boxes", "areas")}
    np.testing.assert_allclose(found.scores.numpy(), expected["scores"], rtol=1e-5)
    np.testing.assert_array_equal(found.classes.numpy(), expected["classes"])
    np.testing.assert_allclose(found.boxes.numpy(), expected["boxes"], rtol=1e-5, atol=1e-3)
    np.testing.assert_array_equal(found.masks.sum(dim=(1, 2)).numpy(), expected["areas"])


@pytest.mark.parametrize(("kind", "foreground"), KINDS)
def test_boxes_only(golden, predictions, kind, foreground):
    logits, boxes, _ = (part[:foreground] for part in predictions)
    found = boxes_only(logits, boxes, FRAME, top=TOP)
    assert found.masks is None
    np.testing.assert_allclose(found.scores.numpy(), golden[f"{kind}_det_scores"], rtol=1e-5)
    np.testing.assert_array_equal(found.classes.numpy(), golden[f"{kind}_det_classes"])
    np.testing.assert_allclose(found.boxes.numpy(), golden[f"{kind}_det_boxes"], rtol=1e-5, atol=1e-3)


def test_nothing_above_the_threshold_is_an_empty_map(predictions):
    logits, boxes, masks = predictions
    found = panoptic(logits - 100, masks, FRAME, things=THINGS)
    assert found.segments == ()
    assert not found.ids.any()
    none = instances(logits[:0], boxes[:0], masks[:0], FRAME, top=TOP)
    assert none.masks.shape == (0, 90, 135)


@pytest.mark.parametrize("case", json.loads((GOLDEN / "resize_sizes.json").read_text()), ids=lambda c: str(c["hw"]))
def test_evaluation_sizes(case):
    for key, expected in case.items():
        rule, *numbers = key.split("_")
        sides = [int(number) for number in numbers]
        if rule == "tv":
            assert list(torchvision_size(*case["hw"], short=sides[0])) == expected, key
        elif rule != "hw":
            assert list(shortest_edge_size(*case["hw"], short=sides[0], long=sides[1])) == expected, key
