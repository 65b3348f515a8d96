"""Whole photos: what a small model with random weights says reaches the caller in the right place and order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from exporters.masks import area, box_xyxy, decode
from labelers.conditioned import ConditionedLabeler
from labelers.protocol import SceneOpened
from labelers.records import Boxes, Photo, Status
from labelers.vocabulary import Vocabulary

torch = pytest.importorskip("torch")

VOCABULARY = Vocabulary.inline("cat, dog, bus, sky (stuff), grass (stuff)")
HEIGHT, WIDTH = 90, 120


@pytest.fixture(scope="module")
def labeler() -> ConditionedLabeler:
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1] / "golden"))
    from small import small_model

    model = small_model(image_short_side=96, image_long_side=160, object_queries=40)
    with torch.no_grad():
        model.text_encoder.logit_scale.fill_(2.0)
    return ConditionedLabeler(model, name="small", version="1", zoom=False)


def _photo() -> Photo:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    return Photo("1", "noise", HEIGHT, WIDTH, lambda: pixels)


def test_it_says_that_it_sees_scenes(labeler: ConditionedLabeler) -> None:
    assert labeler.spec.makes_boxes
    assert isinstance(labeler.open(_photo()), SceneOpened)


def test_a_scene_lists_things_best_first_and_maps_everything(labeler: ConditionedLabeler) -> None:
    scene = labeler.open(_photo()).scene(VOCABULARY, panoptic=True, semantic=True, top=20)
    found = scene.instances
    assert 0 < len(found) <= 20
    assert set(found.boxes.names) <= {"cat", "dog", "bus"}
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes.xyxy >= 0).all()
    assert (found.boxes.xyxy <= [WIDTH, HEIGHT, WIDTH, HEIGHT]).all()
    for mask, status in zip(found.masks, found.status, strict=True):
        assert (mask is None) == (status is Status.EMPTY)
        assert mask is None or mask["size"] == [HEIGHT, WIDTH]
    assert scene.semantic is not None
    assert scene.semantic.shape == (HEIGHT, WIDTH)
    assert set(np.unique(scene.semantic)) <= set(range(5))
    assert scene.panoptic is not None
    assert set(np.unique(scene.panoptic.ids)) - {0} <= {segment.id for segment in scene.panoptic.segments}
    for segment in scene.panoptic.segments:
        assert segment.is_thing == (segment.name in ("cat", "dog", "bus"))
        assert 0 < segment.score <= 1


def test_a_scene_is_the_models_detection_post_processed(labeler: ConditionedLabeler) -> None:
    """Against the tested post-processing, fed by hand."""
    from openseed_core.postprocess import Frame, instances
    from openseed_core.preprocess import resize, shortest_edge_size

    model = labeler.model
    size = shortest_edge_size(HEIGHT, WIDTH, short=96, long=160)
    with torch.inference_mode():
        features = model.encode_image([resize(_photo().pixels(), size)], sizes=[size])
        text = model.encode_text([entry.prompts for entry in VOCABULARY.entries])
        final = model.detect(features, text).final.rows(0, 40)
    assert final.masks is not None
    wanted = instances(
        final.logits[0], final.boxes[0], final.masks[0], Frame(features.padded, size, (HEIGHT, WIDTH)), top=20,
        things={0, 1, 2},
    )  # fmt: skip
    found = labeler.open(_photo()).scene(VOCABULARY, top=20).instances
    np.testing.assert_allclose(found.scores, wanted.scores.numpy(), rtol=1e-4)
    assert list(found.boxes.names) == [VOCABULARY.names[k] for k in wanted.classes.tolist()]
    assert wanted.masks is not None
    for mask, truth in zip(found.masks, wanted.masks.numpy(), strict=True):
        assert (decode(mask) != truth).mean() < 0.01 if mask is not None else not truth.any()


def test_proposals_reach_their_thresholds_and_none_is_there_twice(labeler: ConditionedLabeler) -> None:
    opened = labeler.open(_photo())
    everything = opened.propose(VOCABULARY.with_thresholds(0.0))
    names = list(everything.boxes.names)
    assert all(names.count(stuff) <= 1 for stuff in ("sky", "grass"))
    between = float(np.sort(everything.scores)[-2:].mean())
    some = opened.propose(VOCABULARY.with_thresholds(between))
    assert (some.scores >= between).all()
    assert 0 < len(some) < len(everything)
    assert not len(opened.propose(VOCABULARY.with_thresholds(1.0)))
    only = opened.propose(VOCABULARY.with_thresholds(1.0, {"dog": 0.0}))
    assert set(only.boxes.names) == {"dog"}


def test_boxes_of_stuff_are_tight(labeler: ConditionedLabeler) -> None:
    entries = tuple(replace(entry, stuff=True) for entry in VOCABULARY.entries)
    found = labeler.open(_photo()).propose(Vocabulary(entries).with_thresholds(0.0))
    assert len(found)
    for mask, box in zip(found.masks, found.boxes.xyxy, strict=True):
        assert mask is not None
        assert area(mask) > 0
        np.testing.assert_array_equal(box_xyxy(mask), box)


def test_an_empty_vocabulary_finds_nothing(labeler: ConditionedLabeler) -> None:
    assert len(labeler.open(_photo()).propose(Vocabulary())) == 0


def test_names_are_ranked_for_usable_boxes_whatever_they_are_called(labeler: ConditionedLabeler) -> None:
    opened = labeler.open(_photo())
    xyxy = np.array([[10, 10, 60, 60], [np.nan, 0, 5, 5], [30, 5, 110, 80], [500, 500, 600, 600]], np.float32)
    scores = opened.rank_names(Boxes(xyxy, ("cat", "", "nonsense", "dog")), VOCABULARY)
    assert scores.shape == (4, 5)
    assert np.isnan(scores[[1, 3]]).all()
    assert ((scores[[0, 2]] > 0) & (scores[[0, 2]] < 1)).all()
    renamed = opened.rank_names(Boxes(xyxy[[2]], ("bus",)), VOCABULARY)
    np.testing.assert_allclose(renamed[0], scores[2], atol=1e-5)
    more = Vocabulary.inline("object, cat")  # a class that is called like the question
    assert opened.rank_names(Boxes(xyxy[[0]], ("cat",)), more).shape == (1, 2)


def test_box_only_detections_are_the_boxes_of_things(labeler: ConditionedLabeler) -> None:
    boxes, scores = labeler.open(_photo()).detections(VOCABULARY, top=10)
    assert len(boxes) == len(scores) <= 10
    assert set(boxes.names) <= {"cat", "dog", "bus"}
    assert (np.diff(scores) <= 0).all()
