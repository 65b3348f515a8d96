"""The rectangle and GrabCut labelers, and the rows they share."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from exporters.masks import decode, encode
from labelers.grabcut import GrabCutLabeler
from labelers.protocol import label_boxes
from labelers.records import Boxes, Instances, Photo, Status
from labelers.rectangle import RectangleLabeler
from labelers.rows import Window, describe, label_each
from labelers.vocabulary import Vocabulary


def photo(image: np.ndarray) -> Photo:
    return Photo("1", "x.png", image.shape[0], image.shape[1], lambda: image)


def disc(height: int, width: int, *, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A red disc in the middle of noisy grey, and its true mask."""
    ys, xs = np.mgrid[:height, :width]
    truth = (xs - width / 2 + 0.5) ** 2 + (ys - height / 2 + 0.5) ** 2 <= radius**2
    image = np.random.default_rng(1).normal(110, 15, (height, width, 3))
    image[truth] += (110, -60, -60)
    return image.clip(0, 255).astype(np.uint8), truth


def one(labeler: object, image: np.ndarray, box: list[float]) -> Instances:
    return label_boxes(labeler, photo(image), Boxes(np.array([box]), ("x",)), Vocabulary())  # type: ignore[arg-type]


def iou(result: Instances, truth: np.ndarray) -> float:
    assert result.masks[0] is not None
    mask = decode(result.masks[0])
    return float((mask & truth).sum() / (mask | truth).sum())


def test_a_rectangle_is_the_pixels_whose_centres_lie_in_the_box() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    result = one(RectangleLabeler(), image, [2.4, 3.6, 7.4, 30])
    truth = np.zeros((10, 20), bool)
    truth[4:10, 2:7] = True
    assert result.masks == (encode(truth),)
    assert result.scores[0] == 0.5


def test_a_rectangle_decodes_nothing() -> None:
    def never() -> np.ndarray:
        raise AssertionError("decoded")

    result = label_boxes(
        RectangleLabeler(), Photo("1", "x", 9, 9, never), Boxes(np.array([[1, 1, 3, 3]]), ("x",)), Vocabulary()
    )
    assert result.status == (Status.OK,)


@pytest.mark.parametrize("scale", [1, 12])
def test_grabcut_finds_what_stands_out_at_any_size(scale: int) -> None:
    """Far better than the rectangle's pi/4, on a thumbnail and on a photo much larger than the cap."""
    image, truth = disc(60 * scale, 80 * scale, radius=18 * scale)
    box = [value * scale for value in (22, 12, 58, 48)]
    assert iou(one(RectangleLabeler(), image, box), truth) < 0.8
    result = one(GrabCutLabeler(), image, box)
    assert iou(result, truth) > 0.93
    assert result.scores[0] > 0.9


def test_grabcut_stays_inside_its_box() -> None:
    """The disc goes on below and to the left of the box."""
    image, _ = disc(60, 80, radius=25)
    result = one(GrabCutLabeler(), image, [17, 2, 70.5, 53])
    assert result.masks[0] is not None
    ys, xs = np.nonzero(decode(result.masks[0]))
    assert xs.min() == 17
    assert ys.max() == 52


def test_grabcut_that_finds_background_only_is_empty() -> None:
    """Inside looks exactly like outside: nothing is foreground, and the row says so."""
    result = one(GrabCutLabeler(keep=0), np.full((60, 80, 3), 100, np.uint8), [20, 20, 50, 40])
    assert result.status == (Status.EMPTY,)
    assert result.reasons[0]
    assert result.scores[0] == 0


def test_grabcut_that_shrinks_to_nothing_falls_back_to_the_box_and_does_not_boast() -> None:
    image, box = np.full((60, 80, 3), 100, np.uint8), [20, 20, 50, 40]
    result = one(GrabCutLabeler(), image, box)
    assert result.masks == one(RectangleLabeler(), image, box).masks
    assert result.scores[0] == 0.5


def test_grabcut_works_where_the_box_is_the_whole_photo() -> None:
    image, truth = disc(60, 80, radius=24)
    assert iou(one(GrabCutLabeler(), image, [0, 0, 80, 60]), truth) > 0.9


@pytest.mark.parametrize("box", [[0, 20, 2000, 23], [5, 0, 6, 300]])
def test_grabcut_survives_extreme_shapes(box: list[float]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 2000, 3), dtype=np.uint8)
    assert one(GrabCutLabeler(), image, box).status[0] in (Status.OK, Status.EMPTY)


def test_grabcuts_settings_are_in_its_version() -> None:
    default = GrabCutLabeler()
    others = [replace(default, **{name: value}) for name, value in OTHER_SETTINGS.items()]
    assert {field.name for field in fields(GrabCutLabeler)} == set(OTHER_SETTINGS)
    assert len({labeler.spec.version for labeler in [default, *others]}) == 1 + len(OTHER_SETTINGS)


OTHER_SETTINGS = {"iterations": 4, "margin": 0.3, "cap": 200, "keep": 0.1}


@pytest.mark.parametrize("settings", [{"iterations": 0}, {"margin": 0}, {"cap": 4}, {"keep": 1}, {"keep": -0.1}])
def test_grabcut_refuses_nonsense(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs iterations"):
        GrabCutLabeler(**settings)


def test_a_box_that_breaks_the_labeler_breaks_its_own_row_only() -> None:
    def label(box: np.ndarray, name: str) -> Window | None:
        if name == "b":
            raise RuntimeError("two\nlines")
        if name == "c":
            return Window(np.zeros((2, 2), bool), 0, 0, 0.9)
        return Window(np.ones((2, 2), bool), int(box[0]), 0, 0.9)

    boxes = Boxes(np.array([[k, 0, k + 3, 3] for k in range(4)]), tuple("abcd"))
    result = label_each(boxes, height=5, width=8, label=label)
    assert result.status == (Status.OK, Status.FAILED, Status.EMPTY, Status.OK)
    assert result.reasons[1] == "RuntimeError: two lines"
    assert result.scores.tolist() == pytest.approx([0.9, 0, 0, 0.9])
    assert result.masks[3] is not None
    assert decode(result.masks[3])[:2, 3:5].all()


def test_an_interrupt_is_not_a_failed_row() -> None:
    def label(box: np.ndarray, name: str) -> Window | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        label_each(Boxes(np.array([[0, 0, 2, 2]]), ("x",)), height=5, width=5, label=label)


@pytest.mark.parametrize(
    ("error", "text"),
    [(MemoryError(), "not enough memory"), (ValueError("a  b"), "ValueError: a b"), (KeyError(), "KeyError")],
)
def test_errors_are_one_line(error: Exception, text: str) -> None:
    assert describe(error) == text
