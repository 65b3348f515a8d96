"""The contract of ``labelers.protocol``, for every labeler that needs no model. Add new ones to ``LABELERS``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import FakeLabeler
from hypothesis import given, settings
from hypothesis import strategies as st

from labelers.grabcut import GrabCutLabeler
from labelers.protocol import CannotPropose, Labeler, label_boxes
from labelers.records import Boxes, Instances, Photo, Status
from labelers.rectangle import RectangleLabeler
from labelers.vocabulary import Vocabulary

LABELERS: list[Callable[[], Labeler]] = [FakeLabeler, RectangleLabeler, GrabCutLabeler]
every_labeler = pytest.mark.parametrize("build", LABELERS)
HEIGHT, WIDTH = 48, 64


def scene() -> np.ndarray:
    """Two blobs on a textured ground."""
    rng = np.random.default_rng(0)
    image = rng.normal(90, 12, (HEIGHT, WIDTH, 3))
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    image[(xs - 18) ** 2 + (ys - 20) ** 2 < 100] = (220, 60, 40)
    image[(xs - 48) ** 2 + (ys - 30) ** 2 < 64] = (40, 80, 230)
    return image.clip(0, 255).astype(np.uint8)


PHOTO = Photo("1", "scene.png", HEIGHT, WIDTH, scene)
BOXES = Boxes(
    np.array(
        [
            [7, 9, 30, 32],
            [np.nan, 0, 5, 5],
            [39, 21, 57, 39],
            [10, 10, 10, 30],
            [200, 200, 220, 220],
            [-20, -20, 300, 300],
            [3.2, 3.2, 3.4, 3.4],
            [20, 20, 10, 10],
            [0, 0, np.inf, 5],
        ]
    ),
    ("red", "bad", "blue", "thin", "out", "all", "tiny", "turned", "endless"),
)


def same(a: Instances, b: Instances) -> None:
    assert a.masks == b.masks
    assert a.status == b.status
    assert a.reasons == b.reasons
    np.testing.assert_array_equal(a.scores, b.scores)


@every_labeler
def test_row_k_is_box_k_and_bad_boxes_get_a_status(build: Callable[[], Labeler]) -> None:
    result = label_boxes(build(), PHOTO, BOXES, Vocabulary.of(BOXES.names))
    assert result.boxes.names == BOXES.names
    np.testing.assert_array_equal(result.boxes.xyxy, BOXES.xyxy)
    for k, problem in enumerate(BOXES.problems(height=HEIGHT, width=WIDTH)):
        if problem:
            assert (result.status[k], result.reasons[k]) == problem
        else:
            assert result.status[k] in (Status.OK, Status.EMPTY)
    for mask, score in zip(result.masks, result.scores, strict=True):
        assert mask is None or mask["size"] == [HEIGHT, WIDTH]
        assert 0 <= score <= 1
    assert result.status[0] is result.status[2] is Status.OK


@every_labeler
def test_a_box_does_not_depend_on_its_neighbours(build: Callable[[], Labeler]) -> None:
    opened = build().open(PHOTO)
    together = opened.masks(BOXES, Vocabulary())
    for k in (8, 2, 0, 5, 6, 1):
        alone = opened.masks(BOXES[[k]], Vocabulary())
        assert alone.masks[0] == together.masks[k]
        assert alone.scores[0] == together.scores[k]
    same(opened.masks(BOXES, Vocabulary()), together)
    same(build().open(PHOTO).masks(BOXES, Vocabulary()), together)


@every_labeler
def test_an_opened_photo_may_be_used_from_several_threads(build: Callable[[], Labeler]) -> None:
    opened = build().open(PHOTO)
    alone = opened.masks(BOXES, Vocabulary())
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(lambda _: opened.masks(BOXES, Vocabulary()), range(8)):
            same(result, alone)


@every_labeler
def test_no_boxes(build: Callable[[], Labeler]) -> None:
    assert len(label_boxes(build(), PHOTO, BOXES[[]], Vocabulary())) == 0


@every_labeler
def test_the_spec_says_what_the_labeler_can_do(build: Callable[[], Labeler]) -> None:
    labeler = build()
    assert labeler.spec.name
    assert labeler.spec.version
    assert labeler.spec == build().spec
    assert not labeler.spec.makes_boxes
    with pytest.raises(CannotPropose):
        labeler.open(PHOTO).propose(Vocabulary())


@every_labeler
def test_errors_of_reading_come_out_of_open_or_masks(build: Callable[[], Labeler]) -> None:
    def gone() -> np.ndarray:
        raise OSError("gone")

    try:
        label_boxes(build(), Photo("1", "x", 4, 4, gone), BOXES, Vocabulary())
    except OSError:
        return
    assert isinstance(build(), RectangleLabeler)  # which alone needs no pixels


@every_labeler
@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    rows=st.lists(st.lists(st.floats(-4, 16, width=32), min_size=4, max_size=4), max_size=4),
    seed=st.integers(0, 99),
)
def test_no_box_in_no_photo_breaks_it(
    build: Callable[[], Labeler], size: tuple[int, int], rows: list[list[float]], seed: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = Boxes(np.array(rows, np.float32).reshape(-1, 4), ("x",) * len(rows))
    result = label_boxes(build(), Photo("1", "x", *size, lambda: image), boxes, Vocabulary())
    assert Status.FAILED not in result.status, result.reasons
