import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask
from scipy import ndimage
from shapely.geometry import Polygon

from exporters import masks
from exporters.masks import MaskError
from labelers.records import RLE

EMPTY = {"size": [4, 5], "counts": masks.encode(np.zeros((4, 5), bool))["counts"].decode()}

any_mask = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@st.composite
def blob(draw: st.DrawFn) -> np.ndarray:
    """A smooth shape of the kind a model makes: a union of discs."""
    h, w = draw(st.integers(8, 60)), draw(st.integers(8, 60))
    y, x = np.mgrid[:h, :w]
    mask = np.zeros((h, w), bool)
    for _ in range(draw(st.integers(1, 4))):
        cx, cy = draw(st.floats(0, w)), draw(st.floats(0, h))
        mask |= (x - cx) ** 2 + (y - cy) ** 2 <= draw(st.floats(1, 20)) ** 2
    return mask


def rasterised(polygons: list, height: int, width: int) -> np.ndarray:
    rles = coco_mask.frPyObjects(polygons, height, width)
    return coco_mask.decode(coco_mask.merge(rles)).astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


@given(any_mask)
def test_encode_and_decode_are_inverse(mask: np.ndarray) -> None:
    rle = masks.encode(mask)
    assert rle["size"] == list(mask.shape)
    assert np.array_equal(masks.decode(rle), mask)
    assert masks.area(rle) == mask.sum()


@given(any_mask)
def test_box_is_tight(mask: np.ndarray) -> None:
    ys, xs = np.nonzero(mask)
    wanted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else [0, 0, 0, 0]
    assert masks.box_xyxy(masks.encode(mask)).tolist() == wanted


@given(any_mask, st.integers(-15, 15), st.integers(-15, 15), st.integers(1, 12), st.integers(1, 12))
def test_paste_equals_encoding_the_full_mask(window: np.ndarray, x0: int, y0: int, height: int, width: int) -> None:
    full = np.zeros((height, width), bool)
    for y, x in zip(*np.nonzero(window), strict=True):
        if 0 <= y + y0 < height and 0 <= x + x0 < width:
            full[y + y0, x + x0] = True
    assert masks.paste(window, x0, y0, height, width) == masks.encode(full)


@given(any_mask)
def test_polygon_form_of_any_mask_rasterises_to_the_mask_with_holes_filled(mask: np.ndarray) -> None:
    if not mask.any():
        return
    rle = masks.encode(mask)
    drawn = rasterised(masks.to_coco(rle, form="polygon"), *mask.shape)
    assert (drawn >= mask).all()
    if not masks.has_holes(rle):
        assert np.array_equal(drawn, mask)


@given(any_mask | blob(), st.sampled_from(["auto", "rle"]))
def test_auto_and_rle_forms_lose_nothing(mask: np.ndarray, form: str) -> None:
    if mask.any():
        written = masks.to_coco(masks.encode(mask), form=form)
        back = masks.from_coco(written, *mask.shape)
        assert back == masks.encode(mask)


@given(any_mask)
def test_has_holes_means_a_connected_piece_that_encloses_background(mask: np.ndarray) -> None:
    pieces, count = ndimage.label(mask)
    filled = any((ndimage.binary_fill_holes(pieces == k) & (pieces != k)).any() for k in range(1, count + 1))
    assert masks.has_holes(masks.encode(mask)) == filled


@given(blob(), st.floats(0.1, 3))
def test_simplified_polygons_are_valid_shorter_and_stay_close(mask: np.ndarray, tolerance: float) -> None:
    rle = masks.encode(mask)
    if not mask.any() or masks.has_holes(rle):
        return
    exact = masks.to_coco(rle, form="polygon")
    simple = masks.to_coco(rle, form="polygon", simplify=tolerance)
    assert len(simple) == len(exact)
    for before, after in zip(exact, simple, strict=True):
        a, b = (Polygon(np.reshape(p, (-1, 2))) for p in (before, after))
        assert b.is_valid
        assert len(after) <= len(before)
        assert a.hausdorff_distance(b) <= 2 * tolerance  # GEOS may also drop the first point
        assert a.intersection(b).area >= 0.9 * a.union(b).area
    if mask.sum() > 200 and tolerance <= 1:
        assert iou(rasterised(simple, *mask.shape), mask) >= 0.85


def test_simplify_removes_staircases() -> None:
    y, x = np.mgrid[:200, :200]
    rle = masks.encode((x - 100) ** 2 + (y - 100) ** 2 < 80**2)
    (exact,), (simple,) = masks.to_coco(rle), masks.to_coco(rle, simplify=1.0)
    assert len(simple) < len(exact) / 4
    assert iou(rasterised([simple], 200, 200), masks.decode(rle)) > 0.98


def test_a_large_ragged_mask_with_many_islands_comes_back_exactly() -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(700, 900)), 4)
    mask = np.zeros((1000, 1400), bool)
    mask[150:850, 250:1150] = ndimage.binary_fill_holes(noise > 0.03)
    rle = masks.encode(mask)
    assert np.array_equal(masks.decode(rle), mask)
    polygons = masks.to_coco(rle, form="polygon")
    assert len(polygons) > 50
    assert np.array_equal(rasterised(polygons, 1000, 1400), mask)
    assert iou(rasterised(masks.to_coco(rle, form="polygon", simplify=1.0), 1000, 1400), mask) > 0.93


def test_islands_stay_one_annotation_and_holes_become_rle() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:8, 2:8] = mask[12:18, 20:28] = True
    assert masks.to_coco(masks.encode(mask)) == [
        [2, 2, 8, 2, 8, 8, 2, 8],
        [20, 12, 28, 12, 28, 18, 20, 18],
    ]
    mask[4:6, 4:6] = False
    with_hole = masks.to_coco(masks.encode(mask))
    assert isinstance(with_hole, dict)
    assert isinstance(with_hole["counts"], str)
    assert masks.to_coco(masks.encode(mask), form="polygon")[0] == [2, 2, 8, 2, 8, 8, 2, 8]


def test_a_one_pixel_mask_survives_as_polygon() -> None:
    mask = np.zeros((5, 5), bool)
    mask[4, 4] = True
    polygons = masks.to_coco(masks.encode(mask), simplify=2.0)
    assert np.array_equal(rasterised(polygons, 5, 5), mask)


def test_an_empty_mask_has_no_segmentation() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        masks.to_coco(masks.encode(np.zeros((4, 4), bool)))


@given(any_mask)
def test_counts_are_read_as_pycocotools_writes_them(mask: np.ndarray) -> None:
    flat = np.concatenate([[False], mask.ravel(order="F"), [~mask[-1, -1]]])
    runs = np.diff(np.concatenate([[-1], np.nonzero(np.diff(flat))[0]]))
    runs[0] = np.argmax(mask.ravel(order="F")) if mask.any() else mask.size
    rle = masks.encode(mask)
    assert sum(masks.compressed_counts(rle["counts"])) == mask.size
    assert masks.compressed_counts(rle["counts"]) == runs.tolist()
    uncompressed = {"size": list(mask.shape), "counts": runs.tolist()}
    assert masks.from_coco(uncompressed, *mask.shape) == (rle if mask.any() else None)


@pytest.mark.parametrize(
    "nothing",
    [None, [], [[]], [[1, 2, 3, 4]], {}, {"size": [4, 5], "counts": ""}, EMPTY, {"size": [4, 5], "counts": [20]}],
)
def test_absent_and_empty_segmentations_are_no_mask(nothing: object) -> None:
    assert masks.is_empty(nothing)
    assert masks.from_coco(nothing, 4, 5) is None


@pytest.mark.parametrize(
    ("hostile", "why"),
    [
        ("1,2,3", "list of polygons"),
        ([["a", 1, 2, 3, 4, 5]], "not a list of numbers"),
        ([[0, 0, 1, 1, 2, 2, 3]], "pairs"),
        ([[0, 0, 1, 1, float("nan"), 2]], "finite"),
        ([[0, 0, 1e9, 1, 2, 2]], "far outside"),
        ({"size": [5, 4], "counts": [20]}, "size is"),
        ({"size": [4, 5], "counts": [10, 5]}, "add up to 15"),
        ({"size": [4, 5], "counts": [-5, 25]}, "add up"),
        ({"size": [4, 5], "counts": "ooooooooo"}, "compressed RLE"),
        ({"size": [4, 5], "counts": "éé"}, "compressed RLE"),
        ({"size": [4, 5], "counts": "d1d"}, "cut off"),
        ({"size": [4, 5], "counts": "PPPPPP7"}, "add up"),
        ({"size": [4, 5], "counts": 7}, "counts must be"),
    ],
)
def test_hostile_segmentations_are_refused_with_a_reason(hostile: object, why: str) -> None:
    with pytest.raises(MaskError, match=why):
        masks.from_coco(hostile, 4, 5)


@given(st.one_of(st.text(max_size=12), st.binary(max_size=12)))
def test_random_counts_never_reach_the_c_code_unchecked(counts: str | bytes) -> None:
    try:
        rle = masks.from_coco({"size": [4, 5], "counts": counts}, 4, 5)
    except MaskError:
        return
    assert rle is None or masks.decode(rle).shape == (4, 5)


corner = st.integers(0, 50)
side = st.floats(1, 50)


@given(corner, corner, side, side, st.integers(0, 3), st.booleans(), st.booleans(), st.booleans())
def test_a_polygon_that_repeats_its_box_is_a_box(
    x: int, y: int, w: float, h: float, turn: int, back: bool, closed: bool, flat: bool
) -> None:
    corners = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    corners = corners[turn:] + corners[:turn]
    corners = corners[::-1] if back else corners
    ring = [v for point in corners + corners[:1] * closed for v in point]
    assert masks.is_box(ring if flat else [ring], [x, y, w, h])
    assert not masks.is_box([ring], [x, y, w + 1, h])
    assert not masks.is_box([ring, ring], [x, y, w, h])
    bow_tie = [v for k in (0, 2, 1, 3) for v in corners[k]]
    assert not masks.is_box([bow_tie], [x, y, w, h])


@pytest.mark.parametrize("ring", [[0, 0, 5, 0, 5, 5, 2, 5], [0, 0, 5, 5, 0, 5], ["a"] * 8, [None] * 8, None, {}])
def test_other_things_are_no_box(ring: object) -> None:
    assert not masks.is_box([ring], [0, 0, 5, 5])
    assert not masks.is_box(ring, [0, 0, 5, 5])
    assert not masks.is_box([[0, 0, 5, 0, 5, 5, 0, 5]], None)


def test_rle_type_is_the_shared_one() -> None:
    rle: RLE = masks.encode(np.ones((2, 3), bool))
    assert rle == {"size": [2, 3], "counts": rle["counts"]}
