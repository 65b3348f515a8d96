"""Points to a mask: every point is obeyed, and the box that fits is found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeLabeler
from hypothesis import given
from hypothesis import strategies as st

from exporters.masks import area, box_xyxy
from exporters.runs import contains
from labelers.grabcut import GrabCutLabeler
from labelers.photos import open_photo
from labelers.points import Point, candidates, mask_from_points
from labelers.records import Photo, Status
from labelers.rectangle import RectangleLabeler
from labelers.vocabulary import Vocabulary

HEIGHT, WIDTH = 60, 80
PHOTO = Photo("p", "p", HEIGHT, WIDTH, lambda: np.zeros((HEIGHT, WIDTH, 3), np.uint8))
EXAMPLES = Path(__file__).parents[2] / "app" / "examples" / "photos"


def ask(*points: Point, labeler: object = None, name: str = "cat"):  # type: ignore[no-untyped-def]
    opened = (labeler or FakeLabeler()).open(PHOTO)  # type: ignore[attr-defined]
    return mask_from_points(opened, Vocabulary(), points=points, name=name, height=HEIGHT, width=WIDTH)


def test_a_point_gives_a_mask_around_it() -> None:
    found = ask(Point(40, 30))
    assert found.status == (Status.OK,)
    assert contains(found.masks[0], 40, 30)
    assert found.boxes.xyxy[0] == pytest.approx(box_xyxy(found.masks[0]))
    assert found.boxes.names == ("cat",)
    assert 0 < found.scores[0] <= 1


@given(
    st.lists(
        st.builds(Point, st.floats(0, WIDTH - 0.01), st.floats(0, HEIGHT - 0.01), st.booleans()), min_size=1, max_size=6
    )
)
def test_every_point_is_obeyed(points: list[Point]) -> None:
    points = [*points, Point(40.5, 30.5)]
    pixels = {(math.floor(point.x), math.floor(point.y)): point.positive for point in points}
    if len(pixels) < len(points):
        return  # the same pixel can't be in and out
    for labeler in (FakeLabeler(), RectangleLabeler()):
        found = ask(*points, labeler=labeler)
        for (x, y), positive in pixels.items():
            assert contains(found.masks[0], x, y) == positive


def test_without_a_positive_point_there_is_nothing() -> None:
    found = ask(Point(40, 30, False))
    assert found.status == (Status.EMPTY,)
    assert "click on the object first" in found.reasons[0]
    assert ask().status == (Status.EMPTY,)


def test_what_the_labeler_does_not_find_is_a_dab() -> None:
    """An object that the labeler knows nothing of: the click is obeyed all the same."""
    found = ask(Point(40, 30), name="ghost", labeler=FakeLabeler(empty_names=("ghost",)))
    assert contains(found.masks[0], 40, 30)


@pytest.mark.parametrize("at", [(-1, 5), (WIDTH, 5), (5, HEIGHT), (float("nan"), 5), (5, float("inf"))])
def test_points_outside(at: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="click on the photo"):
        ask(Point(*at))


def test_boxes_are_tried_around_the_point() -> None:
    boxes = candidates(Point(40, 30), height=HEIGHT, width=WIDTH)
    assert np.allclose((boxes[:, :2] + boxes[:, 2:]) / 2, [40, 30])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    assert areas.min() < 0.02 * HEIGHT**2
    assert areas.max() > 0.8 * HEIGHT**2


def test_on_a_real_photo_with_a_labeler_that_looks_at_it() -> None:
    photo = open_photo(EXAMPLES, "coffee.jpg", key="c")
    opened = GrabCutLabeler().open(photo)
    found = mask_from_points(
        opened,
        Vocabulary(),
        points=[Point(photo.width / 2, photo.height / 2)],
        name="cup",
        height=photo.height,
        width=photo.width,
    )
    assert area(found.masks[0]) > 100
