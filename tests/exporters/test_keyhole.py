"""Rings with holes as one ring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from shapely.geometry import Polygon

from exporters.keyhole import keyhole
from exporters.label_studio_regions import polygons_of
from exporters.masks import decode, encode, from_coco

SQUARE = np.array([[0, 0], [10, 0], [10, 10], [0, 10]])


def filled(ring: np.ndarray, height: int, width: int) -> np.ndarray:
    rle = from_coco([ring.ravel().tolist()], height, width)
    return decode(rle) if rle is not None else np.zeros((height, width), bool)


def test_without_holes_nothing_changes() -> None:
    assert Polygon(keyhole(SQUARE, [])).equals(Polygon(SQUARE))


@pytest.mark.parametrize("turn", [1, -1])
def test_holes_are_cut_out(turn: int) -> None:
    holes = [np.array([[2, 2], [4, 2], [4, 4], [2, 4]])[::turn], np.array([[6, 6], [8, 6], [8, 8], [6, 8]])]
    ring = keyhole(SQUARE[::turn], holes)
    mask = filled(ring, 10, 10)
    wanted = np.ones((10, 10), bool)
    wanted[2:4, 2:4] = wanted[6:8, 6:8] = False
    assert (mask == wanted).all()
    # by the non-zero rule, too: the signed area is that of the square without the holes
    x, y = ring.T
    assert abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2 == pytest.approx(92)


def test_a_hole_behind_a_hole_is_reached_through_it() -> None:
    wide = np.array([[0, 0], [100, 0], [100, 100], [0, 100]])
    holes = [np.array([[x, 45], [x + 8, 45], [x + 8, 55], [x, 55]]) for x in (10, 20, 30, 40)]
    mask = filled(keyhole(wide, holes), 100, 100)
    assert mask.sum() == 100 * 100 - 4 * 80


def around_an_island() -> np.ndarray:
    """Four pixels missing that touch by their corners, so that one hole goes around a pixel of the mask."""
    mask = np.ones((5, 9), bool)
    mask[[1, 2, 2, 3], [4, 3, 5, 4]] = False
    return mask


@example(around_an_island())
@given(st.tuples(st.integers(1, 20), st.integers(1, 20)).flatmap(lambda shape: arrays(bool, shape)))
def test_polygons_of_any_mask_are_exact(mask: np.ndarray) -> None:
    """Islands, holes, holes that touch by a corner, the border: the rings together are the mask."""
    if not mask.any():
        return
    total = np.zeros(mask.shape, int)
    for ring in polygons_of(encode(mask)):
        total += filled(ring, *mask.shape)
    assert (total == mask).all()
