"""Mask editing against plain numpy on small masks, and its cost on large ones."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from exporters import edit, masks
from exporters.runs import contains, from_spans, intersection, odd, spans_of
from labelers.records import RLE

EIGHT = np.ones((3, 3))
any_mask = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))
coordinate = st.floats(-8, 28, allow_nan=False).map(lambda v: round(v, 2))
lines = st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=4)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


def drawn(line: list[tuple[float, float]], radius: float, *, height: int, width: int, slack: float = 0) -> np.ndarray:
    """Pixels whose centre is within the radius of the line, the slow way; and those under its points."""
    y, x = np.mgrid[:height, :width] + 0.5
    distance = np.full((height, width), np.inf)
    for (ax, ay), (bx, by) in zip(line, line[1:] or line, strict=len(line) == 1):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        share = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1) if length else np.zeros_like(x)
        distance = np.minimum(distance, np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay)))
    found = distance <= radius + slack
    for px, py in line:
        if 0 <= px < width and 0 <= py < height:
            found[math.floor(py), math.floor(px)] = True
    return found


def brushed(line: list[tuple[float, float]], radius: float, *, height: int = 20, width: int = 18) -> np.ndarray:
    return masks.decode(edit.stroke(None, points=line, radius=radius, erase=False, height=height, width=width))


@given(pairs())
def test_set_operations(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    first, second = masks.encode(a), masks.encode(b)
    assert edit.union(first, second) == masks.encode(a | b)
    assert edit.difference(first, second) == masks.encode(a & ~b)
    assert intersection(first, second) == masks.encode(a & b)
    height, width = a.shape
    assert odd([first, second, first, first], height=height, width=width) == masks.encode(a ^ b)


def test_masks_of_different_photos_do_not_mix() -> None:
    with pytest.raises(ValueError, match="different sizes"):
        edit.union(masks.encode(np.ones((2, 3), bool)), masks.encode(np.ones((3, 2), bool)))


@given(any_mask)
def test_spans_are_the_mask(mask: np.ndarray) -> None:
    rle = masks.encode(mask)
    height, width = mask.shape
    assert from_spans(spans_of(rle), height=height, width=width) == rle
    inside = [[contains(rle, x, y) for x in range(-1, width + 1)] for y in range(-1, height + 1)]
    assert np.array_equal(inside, np.pad(mask, 1))


def test_empty_runs_of_other_tools_are_healed() -> None:
    written = masks.from_coco({"size": [4, 3], "counts": [2, 1, 0, 2, 0, 0, 1, 0, 6]}, 4, 3)
    assert written is not None
    assert edit.union(written, written) == masks.encode(masks.decode(written))


@given(any_mask)
def test_islands_join_to_the_mask_and_do_not_touch(mask: np.ndarray) -> None:
    rle = masks.encode(mask)
    pieces = edit.split_islands(rle)
    labels, count = ndimage.label(mask, EIGHT)
    assert len(pieces) == edit.islands(rle) == count
    assert [masks.area(p) for p in pieces] == sorted(np.bincount(labels[labels > 0])[1:], reverse=True)
    whole = masks.encode(np.zeros_like(mask))
    for piece in pieces:
        assert ndimage.label(masks.decode(piece), EIGHT)[1] == 1
        assert masks.area(intersection(whole, piece)) == 0
        whole = edit.union(whole, piece)
    assert whole == rle


def test_diagonal_neighbours_are_one_island() -> None:
    assert edit.islands(masks.encode(np.eye(5, dtype=bool))) == 1


@given(any_mask, st.integers(0, 6))
def test_drop_small_keeps_the_rest(mask: np.ndarray, smallest: int) -> None:
    rle = masks.encode(mask)
    kept = [p for p in edit.split_islands(rle) if masks.area(p) >= smallest]
    wanted = masks.encode(np.zeros_like(mask))
    for piece in kept:
        wanted = edit.union(wanted, piece)
    assert edit.drop_small(rle, smallest=smallest) == wanted


@given(any_mask, st.floats(-1, 13), st.floats(-1, 13))
def test_component_under_a_point(mask: np.ndarray, x: float, y: float) -> None:
    found = edit.component_at(masks.encode(mask), x, y)
    column, row = math.floor(x), math.floor(y)
    height, width = mask.shape
    if not (0 <= column < width and 0 <= row < height and mask[row, column]):
        assert found is None
    else:
        assert found is not None
        labels, _ = ndimage.label(mask, EIGHT)
        assert np.array_equal(masks.decode(found), labels == labels[row, column])


def test_component_at_nowhere() -> None:
    with pytest.raises(ValueError, match="not finite"):
        edit.component_at(masks.encode(np.ones((3, 3), bool)), float("nan"), 1)


@given(any_mask)
def test_fill_holes_fills_all_once(mask: np.ndarray) -> None:
    rle = masks.encode(mask)
    filled = edit.fill_holes(rle)
    assert np.array_equal(masks.decode(filled), ndimage.binary_fill_holes(mask))
    assert edit.fill_holes(filled) == filled
    assert edit.holes(rle) == (filled != rle)
    assert not edit.holes(filled)
    assert not masks.has_holes(filled)


def test_a_bay_at_the_border_of_the_photo_is_no_hole() -> None:
    bay = np.ones((4, 5), bool)
    bay[0, 2] = bay[1, 2] = False
    assert not edit.holes(masks.encode(bay))
    bay[0, 2] = True
    assert edit.holes(masks.encode(bay))


@given(lines, st.floats(0.01, 9))
@example([(3.0, 4.0)], 2.0)
@example([(0.0, 0.0), (18.0, 20.0)], 0.5)
def test_stroke_is_the_capsule(line: list[tuple[float, float]], radius: float) -> None:
    found = brushed(line, radius)
    thick = max(radius, 0.5)
    # a centre exactly on the rim may fall on either side by rounding
    assert (found >= drawn(line, thick, height=20, width=18, slack=-1e-6)).all()
    assert (found <= drawn(line, thick, height=20, width=18, slack=1e-6)).all()


@given(hnp.arrays(bool, (20, 18)), lines, st.floats(0.01, 9))
def test_erasing_takes_exactly_what_the_stroke_adds(
    mask: np.ndarray, line: list[tuple[float, float]], radius: float
) -> None:
    height, width = mask.shape
    rle = masks.encode(mask)
    added = edit.stroke(rle, points=line, radius=radius, erase=False, height=height, width=width)
    brush = brushed(line, radius)
    assert np.array_equal(masks.decode(added), mask | brush)
    erased = edit.stroke(added, points=line, radius=radius, erase=True, height=height, width=width)
    assert erased == masks.encode(mask & ~brush)


def test_thin_stroke_has_no_gaps() -> None:
    found = brushed([(1.0, 2.0), (16.3, 9.1)], 0.1)
    assert ndimage.label(found, EIGHT)[1] == 1
    assert found.sum() < 30


def test_erasing_without_a_mask_gives_an_empty_mask() -> None:
    found = edit.stroke(None, points=[(2, 2)], radius=3, erase=True, height=6, width=7)
    assert found == masks.encode(np.zeros((6, 7), bool))


@pytest.mark.parametrize(
    ("points", "radius", "message"),
    [
        ([], 2, "at least one"),
        ([1, 2], 2, "list of points"),
        ([(float("nan"), 1)], 2, "not finite"),
        ([(1, 1)], 0, "above 0"),
        ([(1, 1)], math.inf, "above 0"),
    ],
)
def test_bad_strokes_are_refused(points: list, radius: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edit.stroke(None, points=points, radius=radius, erase=False, height=6, width=7)


def test_absurd_numbers_stay_harmless() -> None:
    everything = edit.stroke(None, points=[(3, 3)], radius=1e300, erase=False, height=6, width=7)
    assert masks.area(everything) == 42
    nothing = edit.stroke(None, points=[(1e300, -1e300)], radius=5, erase=False, height=6, width=7)
    assert masks.area(nothing) == 0


@given(any_mask)
def test_exact_outline_fills_to_the_mask(mask: np.ndarray) -> None:
    rle = masks.encode(mask)
    found = edit.outline(rle)
    assert found.iou == 1
    assert found.points == sum(len(ring.points) for ring in found.rings) / 2
    height, width = mask.shape
    filled = [masks.from_coco([ring.points], height, width) for ring in found.rings]
    assert odd([rle for rle in filled if rle is not None], height=height, width=width) == rle
    for ring in found.rings:
        corners = list(zip(ring.points[::2], ring.points[1::2], strict=True))
        assert len(set(corners)) == len(corners)


@given(st.integers(4, 30), st.floats(0.3, 4))
def test_outline_tells_its_iou(size: int, simplify: float) -> None:
    y, x = np.mgrid[: 2 * size + 3, : 2 * size + 3]
    from_centre = np.hypot(x - size - 1, y - size - 1)
    mask = (from_centre <= size) & (from_centre >= size / 2)
    rle = masks.encode(mask)
    found = edit.outline(rle, simplify=simplify)
    height, width = mask.shape
    again = np.zeros(mask.shape, bool)
    for ring in found.rings:
        filled = masks.from_coco([ring.points], height, width)
        if filled is not None:
            again ^= masks.decode(filled)
    assert found.iou == pytest.approx((again & mask).sum() / (again | mask).sum())
    assert [ring.hole for ring in found.rings].count(False) == 1
    assert found.points <= edit.outline(rle).points


def test_a_ring_that_touches_itself_can_be_simplified() -> None:
    y, x = np.mgrid[:60, :60]
    mask = np.hypot(x - 30, y - 30) <= 25
    mask[20:30, 20:30] = False
    mask[30:40, 30:40] = False  # the two holes meet in a corner
    found = edit.outline(masks.encode(mask), simplify=1.5)
    assert [ring.hole for ring in found.rings] == [False, True, True]
    assert found.points < 40
    assert found.iou > 0.95


@pytest.mark.parametrize("simplify", [-1, math.nan, math.inf])
def test_outline_refuses_bad_tolerances(simplify: float) -> None:
    with pytest.raises(ValueError, match="simplify"):
        edit.outline(masks.encode(np.ones((2, 2), bool)), simplify=simplify)


@pytest.mark.parametrize("at", [(0, 0), (19, 0), (0, 29), (19, 29), (7, 11)])
def test_one_pixel_masks(at: tuple[int, int]) -> None:
    mask = np.zeros((20, 30), bool)
    mask[at] = True
    rle = masks.encode(mask)
    y, x = at
    assert edit.islands(rle) == 1
    assert edit.split_islands(rle) == [rle]
    assert edit.fill_holes(rle) == rle
    assert edit.component_at(rle, x + 0.99, y) == rle
    assert edit.component_at(rle, x + 1, y) is None
    found = edit.outline(rle, simplify=3)
    assert (found.points, found.iou, len(found.rings)) == (4, 1.0, 1)
    assert found.rings[0].points == [x, y, x + 1, y, x + 1, y + 1, x, y + 1]
    assert edit.stroke(rle, points=[(x + 0.5, y + 0.5)], radius=0.4, erase=True, height=20, width=30) == masks.encode(
        np.zeros((20, 30), bool)
    )


def test_nothing_comes_of_an_empty_mask() -> None:
    empty = masks.encode(np.zeros((5, 4), bool))
    assert edit.islands(empty) == 0
    assert edit.split_islands(empty) == []
    assert edit.fill_holes(empty) == empty
    assert edit.drop_small(empty, smallest=3) == empty
    assert edit.component_at(empty, 1, 1) is None
    assert not edit.holes(empty)
    assert edit.outline(empty, simplify=2) == edit.Outline((), 0, 1.0)


def test_a_small_mask_of_a_large_photo_makes_no_large_array() -> None:
    import tracemalloc

    height, width = 4000, 5000
    rle: RLE = masks.paste(np.ones((40, 50), bool), 4000, 3000, height, width)
    tracemalloc.start()
    try:
        for _ in range(2):
            edit.fill_holes(rle)
            edit.split_islands(rle)
            edit.component_at(rle, 4010, 3010)
            edit.outline(rle, simplify=2)
            edit.stroke(rle, points=[(4000, 3000), (4100, 3100)], radius=20, erase=True, height=height, width=width)
        assert tracemalloc.get_traced_memory()[1] < 2e6
    finally:
        tracemalloc.stop()


def test_background_enclosed_but_for_a_corner_is_outlined_as_a_hole() -> None:
    mask = np.ones((6, 6), bool)
    mask[0:3, 0:3] = False
    mask[3, 3] = False
    found = edit.outline(masks.encode(mask), simplify=0)
    assert [ring.hole for ring in found.rings] == [True, False]
