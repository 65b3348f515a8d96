"""Masks as rings and back: exact without simplification, and one ring for everything."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_masks import masks
from shapely.geometry import Polygon

from exporters.masks import area, decode, encode
from exporters.outlines import bridged, has_holes, iou, islands, mask_of, outlines, parts_of, simplified, without
from labelers.records import RLE

sizes = st.tuples(st.integers(1, 24), st.integers(1, 24))
any_mask = sizes.flatmap(lambda size: masks(*size))


@given(any_mask)
def test_rings_fill_back_to_the_mask(mask: RLE) -> None:
    assert mask_of(outlines(mask), *mask["size"]) == mask


@given(any_mask)
def test_one_bridged_ring_fills_back_to_the_mask(mask: RLE) -> None:
    ring = bridged(outlines(mask))
    assert mask_of([ring], *mask["size"]) == mask


@given(any_mask, st.floats(0.1, 3))
def test_simplified_rings_stay_near_and_get_no_longer(mask: RLE, tolerance: float) -> None:
    rings = outlines(mask)
    fewer = simplified(rings, tolerance)
    assert sum(len(ring.points) for ring in fewer) <= sum(len(ring.points) for ring in rings)
    assert islands(fewer) == islands(rings)
    corners = {tuple(point) for ring in rings for point in ring.points.tolist()}
    assert all(tuple(point) in corners for ring in fewer for point in ring.points.tolist())
    for (outer, holes), (outer_left, holes_left) in zip(parts_of(rings), parts_of(fewer), strict=True):
        exact = Polygon(outer.points, [hole.points for hole in holes])
        left = Polygon(outer_left.points, [hole.points for hole in holes_left])
        if exact.is_valid:
            assert exact.intersection(left).area >= 0.9 * exact.union(left).area


@given(any_mask, st.data())
def test_without_and_iou_are_those_of_the_pixels(first: RLE, data: st.DataObject) -> None:
    second = data.draw(masks(*first["size"]))
    a, b = decode(first), decode(second)
    assert np.array_equal(decode(without(first, second)), a & ~b)
    assert iou(first, second) == pytest.approx((a & b).sum() / (a | b).sum())


def test_order_is_outer_then_its_holes() -> None:
    rings = np.zeros((9, 20), bool)
    rings[:, :9] = rings[1:8, 11:18] = True
    rings[2:7, 2:7] = False
    rings[4, 4] = True  # an island in the hole
    found = outlines(encode(rings))
    assert [ring.hole for ring in found].count(True) == 1
    assert not found[0].hole
    assert has_holes(found)
    assert islands(found) == 3
    assert mask_of(found, 9, 20) == encode(rings)


def test_many_islands_take_no_time() -> None:
    dots = np.zeros((400, 400), bool)
    dots[::8, ::8] = True  # 2500 islands
    mask = encode(dots)
    assert mask_of([bridged(outlines(mask))], 400, 400) == mask
    holes = encode(~dots)
    assert mask_of([bridged(outlines(holes))], 400, 400) == holes


def test_an_empty_mask_has_no_rings_and_nothing_overlaps_it() -> None:
    empty = encode(np.zeros((3, 4), bool))
    assert outlines(empty) == []
    assert area(mask_of([], 3, 4)) == 0
    assert iou(empty, empty) == 1
    assert iou(empty, encode(np.ones((3, 4), bool))) == 0
    with pytest.raises(ValueError, match="no outline"):
        bridged([])
