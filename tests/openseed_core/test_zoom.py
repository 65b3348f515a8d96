"""Windows of the zoom pyramid: each box alone decides, and finds itself well inside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openseed_core.zoom import LARGEST_SHARE, SMALLEST_SIDE, window_for

SIDES = st.integers(1, 5000)


@st.composite
def boxes_in_photos(draw: st.DrawFn) -> tuple[tuple[float, float, float, float], int, int]:
    height, width = draw(SIDES), draw(SIDES)
    xs = sorted((draw(st.floats(0, width)), draw(st.floats(0, width))))
    ys = sorted((draw(st.floats(0, height)), draw(st.floats(0, height))))
    return (xs[0], ys[0], xs[1], ys[1]), height, width


@given(boxes_in_photos())
def test_window_lies_in_the_photo_and_holds_the_box(case: tuple[tuple[float, float, float, float], int, int]) -> None:
    box, height, width = case
    window = window_for(box, height=height, width=width)
    assert 0 <= window.x0 < window.x1 <= width
    assert 0 <= window.y0 < window.y1 <= height
    # places lie on a grid rounded to pixels, hence the pixel of slack
    assert window.x0 - 1 <= box[0]
    assert box[2] <= window.x1 + 1
    assert window.y0 - 1 <= box[1]
    assert box[3] <= window.y1 + 1


@given(boxes_in_photos())
def test_box_takes_a_fitting_share_of_a_window_that_fits_the_photo(
    case: tuple[tuple[float, float, float, float], int, int],
) -> None:
    box, height, width = case
    window = window_for(box, height=height, width=width)
    side = max(window.x1 - window.x0, window.y1 - window.y0)
    longer = max(box[2] - box[0], box[3] - box[1])
    if side < max(height, width):
        assert longer <= (LARGEST_SHARE + 0.01) * side
        assert side <= SMALLEST_SIDE or longer >= (LARGEST_SHARE / math.sqrt(2) - 0.01) * side


def test_neighbours_of_one_size_share_a_window() -> None:
    first = window_for((1010, 1000, 1110, 1080), height=3000, width=4000)
    second = window_for((1005, 1005, 1105, 1090), height=3000, width=4000)
    assert first == second


@pytest.mark.parametrize("box", [(0, 0, 640, 480), (5, 5, 630, 470)])
def test_a_box_as_large_as_the_photo_gets_the_whole_photo(box: tuple[float, float, float, float]) -> None:
    assert window_for(box, height=480, width=640) == (0, 0, 640, 480)
