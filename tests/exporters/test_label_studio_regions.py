"""Regions and masks, both ways; what Label Studio's own validator says; regions that are damaged."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

from exporters.label_studio_regions import (
    RegionError,
    Shape,
    box_of,
    mask_of,
    polygons_of,
    rectangle_region,
    regions_of,
)
from exporters.masks import area, box_xyxy, decode, encode, paste
from exporters.runs import intersection, union

CONFIG = LabelInterface(
    """<View><Image name="image" value="$image"/>
    <BrushLabels name="brush" toName="image"><Label value="cat"/></BrushLabels>
    <BitmaskLabels name="bitmask" toName="image"><Label value="cat"/></BitmaskLabels>
    <PolygonLabels name="polygon" toName="image"><Label value="cat"/></PolygonLabels>
    <RectangleLabels name="rectangle" toName="image"><Label value="cat"/></RectangleLabels></View>"""
)
SHAPES: list[Shape] = ["brush", "bitmask", "polygon", "rectangle"]
MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))


def regions(mask: np.ndarray, shape: Shape, **options: Any) -> list[dict[str, Any]]:
    return regions_of(
        encode(mask), shape=shape, label="cat", from_name=shape, to_name="image", region_id="r", score=0.5, **options
    )


def joined(found: list[dict[str, Any]], height: int, width: int) -> np.ndarray:
    total = np.zeros((height, width), bool)
    for region in found:
        mask = mask_of(region, height=height, width=width)
        if mask is not None:
            total |= decode(mask)
    return total


def disc(height: int, width: int, radius: float, *, hole: float = 0.0) -> np.ndarray:
    y, x = np.mgrid[:height, :width] + 0.5
    away = np.hypot(x - width / 2, y - height / 2)
    return (away < radius) & (away >= hole)


@pytest.mark.parametrize("shape", ["brush", "bitmask", "polygon"])
@given(mask=MASKS)
def test_round_trips_are_exact(shape: Shape, mask: np.ndarray) -> None:
    if not mask.any():
        return
    found = regions(mask, shape)
    assert (joined(found, *mask.shape) == mask).all()
    assert len({region["id"] for region in found}) == len(found)
    assert found[0]["id"] == "r"


@pytest.mark.parametrize("shape", SHAPES)
def test_label_studio_takes_them(shape: Shape) -> None:
    mask = np.zeros((48, 64), bool)
    mask[:, 40:] = mask[3:9, 2:30] = True  # touches the border: percentages of 100, not a hair more
    found = regions(mask, shape)
    assert CONFIG.validate_prediction({"result": found, "score": 0.5}, return_errors=True) == []
    assert {region["original_width"] for region in found} == {64}
    assert len(found) == (2 if shape == "polygon" else 1)


@given(st.tuples(*[st.integers(1, 4000)] * 2), st.data())
def test_boxes_never_leave_the_photo(size: tuple[int, int], data: st.DataObject) -> None:
    height, width = size
    number = st.floats(-100, 5000, allow_nan=False)
    x0, y0 = data.draw(number), data.draw(number)
    x1, y1 = x0 + data.draw(st.floats(1, 5000)), y0 + data.draw(st.floats(1, 5000))
    region = rectangle_region(
        (x0, y0, x1, y1), height=height, width=width, label="cat", from_name="rectangle", to_name="image", region_id="r"
    )
    value = region["value"]
    assert 0 <= value["x"] <= 100
    assert 0 <= value["y"] <= 100
    assert value["x"] + value["width"] <= 100
    assert value["y"] + value["height"] <= 100
    if value["width"] > 1e-3 and value["height"] > 1e-3:
        inside = np.clip([x0, y0, x1, y1], 0, [width, height, width, height])
        assert box_of(region, height=height, width=width) == pytest.approx(inside, abs=1e-6 * max(size))


def test_large_outlines_have_few_corners() -> None:
    mask = disc(1200, 1600, 500, hole=200)
    mask |= np.roll(disc(1200, 1600, 40), 600, axis=1)
    rng = np.random.default_rng(0)
    mask &= rng.random(mask.shape) > 0.0005  # hundreds of holes of a pixel
    found = regions(mask, "polygon", simplify=1.0, max_points=300)
    assert all(len(region["value"]["points"]) <= 300 for region in found)
    back = joined(found, 1200, 1600)
    assert (back & mask).sum() / (back | mask).sum() > 0.97
    assert not back[600, 800], "the large hole is still one"


def test_small_islands_go_where_simplifying_is_allowed() -> None:
    mask = disc(100, 100, 40)
    mask[0, 0] = True
    assert len(polygons_of(encode(mask))) == 2
    assert len(polygons_of(encode(mask), simplify=1.0)) == 1


def test_a_mask_of_a_pixel_survives_simplification() -> None:
    rle = paste(np.ones((1, 1), bool), 5, 7, 20, 20)
    [ring] = polygons_of(rle, simplify=5.0, max_points=10)
    assert len(ring) >= 3


def test_rotated_rectangles() -> None:
    """Clockwise about the top-left corner, in pixels and not in percent."""
    value = {"x": 50, "y": 50, "width": 25, "height": 10, "rotation": 90, "rectanglelabels": ["cat"]}
    region = {"id": "r", "type": "rectanglelabels", "value": value}
    # 100 wide, 20 high, at (200, 100) of 400 x 200: turned by a right angle it hangs down to the left
    assert box_of(region, height=200, width=400) == pytest.approx([180, 100, 200, 200])
    mask = mask_of(region, height=200, width=400)
    assert mask is not None
    assert box_xyxy(mask).tolist() == [180, 100, 200, 200]
    value["rotation"] = 45
    mask = mask_of(region, height=200, width=400)
    assert mask is not None
    assert area(mask) == pytest.approx(100 * 20, rel=0.05)


def test_ellipses() -> None:
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 20, "rotation": 30, "ellipselabels": ["cat"]}
    mask = mask_of({"type": "ellipselabels", "value": value}, height=200, width=400)
    assert mask is not None
    assert area(mask) == pytest.approx(np.pi * 100 * 40, rel=0.01)
    x0, y0, x1, y1 = box_xyxy(mask)
    assert (x1 - x0) / 2 == pytest.approx(np.hypot(100 * np.cos(np.pi / 6), 40 * np.sin(np.pi / 6)), abs=1.5)
    assert (y1 - y0) / 2 == pytest.approx(np.hypot(100 * np.sin(np.pi / 6), 40 * np.cos(np.pi / 6)), abs=1.5)


def test_bitmasks_of_other_tools() -> None:
    """White on black without transparency; anything above zero counts."""
    out = io.BytesIO()
    Image.fromarray(disc(30, 40, 10).astype(np.uint8) * 9).save(out, "PNG")
    url = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
    mask = mask_of({"type": "bitmasklabels", "value": {"imageDataURL": url}}, height=30, width=40)
    assert mask is not None
    assert (decode(mask) == disc(30, 40, 10)).all()


def bomb() -> str:
    out = io.BytesIO()
    Image.new("L", (3_000, 3_000)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("rectangle", {"x": 1, "y": 1, "width": 5}, "value.height"),
        ("rectangle", {"x": float("nan"), "y": 1, "width": 5, "height": 5}, "value.x"),
        ("rectangle", {"x": "1", "y": 1, "width": 5, "height": 5}, "value.x"),
        ("rectangle", {"x": True, "y": 1, "width": 5, "height": 5}, "value.x"),
        ("rectangle", {"x": 1, "y": 1, "width": -5, "height": 5}, "no size"),
        ("polygon", {"points": [[1, 1], [2, 2]]}, "three pairs"),
        ("polygon", {"points": [[1, 1], [2, 2], [3]]}, "three pairs"),
        ("polygon", {"points": [[1, 1], [2, 2], [3, float("inf")]]}, "three pairs"),
        ("polygon", {}, "three pairs"),
        ("brush", {"rle": [1, 2, 3]}, "cut off"),
        ("brush", {"rle": "x"}, "whole numbers"),
        ("bitmask", {"imageDataURL": "http://evil.example/x.png"}, "must be a data:image/png"),
        ("bitmask", {"imageDataURL": "data:image/png;base64,AAAA"}, "no readable PNG"),
        ("bitmask", {"imageDataURL": bomb()}, "3000 x 3000"),
        ("keypoint", {"x": 1, "y": 1}, "has no mask"),
        ("brush", None, "no value"),
    ],
)
def test_damaged_regions(kind: str, value: Any, said: str) -> None:
    with pytest.raises(RegionError, match=f"region 'abc'.*{said}"):
        mask_of({"id": "abc", "type": f"{kind}labels", "value": value}, height=30, width=40)


def test_empty_regions_have_no_mask() -> None:
    nothing = {"points": [[0, 0], [0.1, 0], [0, 0.1]]}
    assert mask_of({"type": "polygonlabels", "value": nothing}, height=30, width=40) is None


def test_neighbours_share_no_pixel() -> None:
    """Polygons along pixel edges: two masks side by side stay apart."""
    left, right = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    left[:, :7], right[:, 7:] = True, True
    masks = [mask_of(regions(one, "polygon")[0], height=20, width=20) for one in (left, right)]
    assert masks[0] is not None
    assert masks[1] is not None
    assert area(intersection(masks[0], masks[1])) == 0
    assert area(union(masks[0], masks[1])) == 400
