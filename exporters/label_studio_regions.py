"""One region of Label Studio <-> a mask or a box of the photo.

Label Studio measures in percent of the photo as it is shown, that is upright. Brush and bitmask regions hold any mask.
A polygon region is one ring: each island of a mask becomes a region of its own, holes are joined to the outside by
bridges (``exporters.keyhole``), and corners are dropped until there are few enough, because browsers freeze at some
thousands. Islands of less than ``SMALLEST`` of the mask are dropped where polygons may be simplified at all.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry import MultiPolygon, Polygon

from exporters.brush import decode_brush, encode_brush
from exporters.edit import split_islands
from exporters.keyhole import keyhole
from exporters.masks import MaskError, area, box_xyxy, decode, encode, from_coco
from exporters.outlines import outlines, parts_of
from labelers.records import RLE

Shape = Literal["brush", "polygon", "bitmask", "rectangle"]
LABELS_KEY: Mapping[Shape, str] = {
    "brush": "brushlabels",
    "polygon": "polygonlabels",
    "bitmask": "bitmasklabels",
    "rectangle": "rectanglelabels",
}
"""The ``type`` of a region, and the key of its labels."""

SMALLEST = 0.01
_ELLIPSE_CORNERS = 128
_PNG = "data:image/png;base64,"
_MOST_BYTES = 64 * 1024 * 1024


class RegionError(ValueError):
    """A region can't be read; the message names it and the field."""


def box_of(region: Mapping[str, Any], *, height: int, width: int) -> tuple[float, float, float, float]:
    """The box around a rectangle region: xyxy pixels of the upright photo. It may reach beyond the photo.

    ``rotation`` turns the rectangle clockwise about its top-left corner.

    Raises:
        RegionError: a number is missing or not finite, or the rectangle has no size.
    """
    corners = _rectangle(region, height=height, width=width)
    (x0, y0), (x1, y1) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x0, y0, x1, y1


def mask_of(region: Mapping[str, Any], *, height: int, width: int) -> RLE | None:
    """The mask of a brush, bitmask, polygon, rectangle or ellipse region at photo size; None where it has no pixel.

    Raises:
        RegionError: some other region, or one that is damaged.
    """
    kind = str(region.get("type", "")).removesuffix("labels")
    value = _value(region)
    try:
        if kind == "brush":
            return decode_brush(value.get("rle", ()), height=height, width=width)
        if kind == "bitmask":
            return _from_png(value.get("imageDataURL"), height=height, width=width)
        if kind == "polygon":
            points = np.array(_pairs(region, value.get("points"))) * _scale(height, width)
        elif kind == "rectangle":
            points = _rectangle(region, height=height, width=width)
        elif kind == "ellipse":
            points = _ellipse(region, height=height, width=width)
        else:
            raise RegionError(f"{_named(region)}: a region of type {kind!r} has no mask")
        return from_coco([points.ravel().tolist()], height, width)
    except MaskError as error:
        raise RegionError(f"{_named(region)}: {error}") from error


def regions_of(
    rle: RLE,
    *,
    shape: Shape,
    label: str,
    from_name: str,
    to_name: str,
    region_id: str,
    score: float | None = None,
    simplify: float = 0.0,
    max_points: int | None = None,
) -> list[dict[str, Any]]:
    """The mask as regions: one, or as polygons one for each island (ids ``x``, ``x.1``, ..., the largest first).

    Args:
        rle: a mask with at least one pixel.
        label: for the control ``from_name`` on the image tag ``to_name``.
        simplify: how far in pixels a polygon may stray from the mask; 0 keeps every corner and every island.
        max_points: corners of a polygon at most; goes before ``simplify``. None: any number.
    """
    height, width = rle["size"]
    common: dict[str, Any] = {
        "from_name": from_name,
        "to_name": to_name,
        "type": LABELS_KEY[shape],
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "origin": "prediction",
    }
    if score is not None:
        common["score"] = score
    values: list[dict[str, Any]]
    if shape == "brush":
        values = [{"format": "rle", "rle": encode_brush(rle)}]
    elif shape == "bitmask":
        values = [{"imageDataURL": _to_png(rle)}]
    elif shape == "rectangle":
        values = [_box_value(rle)]
    else:
        rings = polygons_of(rle, simplify=simplify, max_points=max_points)
        percent = [np.clip(ring / _scale(height, width), 0, 100).tolist() for ring in rings]
        values = [{"points": points, "closed": True} for points in percent]
    key = LABELS_KEY[shape]
    ids = [region_id if number == 0 else f"{region_id}.{number}" for number in range(len(values))]
    return [{"id": one, **common, "value": {**value, key: [label]}} for one, value in zip(ids, values, strict=True)]


def rectangle_region(
    xyxy: Sequence[float], *, height: int, width: int, label: str, from_name: str, to_name: str, region_id: str
) -> dict[str, Any]:
    """A box, xyxy pixels of the upright photo, as a rectangle region; cut to the photo."""
    x0, x1 = (min(max(float(v), 0.0), width) for v in (xyxy[0], xyxy[2]))
    y0, y1 = (min(max(float(v), 0.0), height) for v in (xyxy[1], xyxy[3]))
    value = _percent_box(x0, y0, x1, y1, height=height, width=width)
    return {
        "id": region_id,
        "from_name": from_name,
        "to_name": to_name,
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {**value, "rectanglelabels": [label]},
    }


def polygons_of(rle: RLE, *, simplify: float = 0.0, max_points: int | None = None) -> list[NDArray[np.float64]]:
    """A mask as rings without holes, float64 [M, 2] pixels each: one an island, the largest first.

    Args:
        simplify, max_points: see ``regions_of``.
    """
    islands = split_islands(rle)
    if simplify > 0:
        smallest = SMALLEST * area(rle)
        islands = [island for number, island in enumerate(islands) if number == 0 or area(island) >= smallest]
    return [ring for island in islands for ring in _island(island, simplify, max_points)]


def _island(rle: RLE, simplify: float, max_points: int | None) -> list[NDArray[np.float64]]:
    """The rings of one connected piece. Pixels that only touch by a corner are rings of their own."""
    return [
        _single(Polygon(outer.points), [Polygon(hole.points) for hole in holes], simplify, max_points)
        for outer, holes in parts_of(outlines(rle))
    ]


def _single(outer: Polygon, holes: list[Polygon], simplify: float, max_points: int | None) -> NDArray[np.float64]:
    """One ring for one polygon with holes, simplified until it has few enough corners."""
    holes = sorted(holes, key=lambda hole: -hole.area)
    tolerance = simplify
    while True:
        ring = _bridged(outer, holes, tolerance)
        if max_points is None or len(ring) <= max_points:
            return ring
        if tolerance > 0 and tolerance > math.sqrt(outer.area) / 8:
            if not holes:
                return ring
            holes = holes[: len(holes) // 2]  # many small holes need more corners than there may be: fill the smallest
            tolerance = simplify
        tolerance = max(2 * tolerance, 0.5)


def _bridged(outer: Polygon, holes: list[Polygon], tolerance: float) -> NDArray[np.float64]:
    exact = Polygon(outer.exterior.coords, [hole.exterior.coords for hole in holes])
    found: Polygon | MultiPolygon = exact
    if tolerance > 0 and exact.is_valid:
        simpler = exact.simplify(tolerance, preserve_topology=True)
        if isinstance(simpler, Polygon) and simpler.is_valid and not simpler.is_empty:
            found = simpler
    rings = [np.asarray(ring.coords, np.float64)[:-1] for ring in (found.exterior, *found.interiors)]
    return keyhole(rings[0], rings[1:])


def _box_value(rle: RLE) -> dict[str, Any]:
    height, width = rle["size"]
    x0, y0, x1, y1 = (float(v) for v in box_xyxy(rle))
    return _percent_box(x0, y0, x1, y1, height=height, width=width)


def _percent_box(x0: float, y0: float, x1: float, y1: float, *, height: int, width: int) -> dict[str, Any]:
    x, y = 100 * x0 / width, 100 * y0 / height
    # x + width must not be above 100 by rounding: Label Studio refuses that
    return {
        "x": x,
        "y": y,
        "width": min(100 * (x1 - x0) / width, 100 - x),
        "height": min(100 * (y1 - y0) / height, 100 - y),
        "rotation": 0,
    }


def _rectangle(region: Mapping[str, Any], *, height: int, width: int) -> NDArray[np.float64]:
    """The four corners in pixels, clockwise from the top-left one."""
    x, y, w, h = (_number(region, name) for name in ("x", "y", "width", "height"))
    angle = math.radians(_number(region, "rotation", default=0.0))
    if w <= 0 or h <= 0:
        raise RegionError(f"{_named(region)}: the rectangle has no size ({w:g} x {h:g} %); draw it again")
    x, w, y, h = x * width / 100, w * width / 100, y * height / 100, h * height / 100
    along = np.array([math.cos(angle), math.sin(angle)]) * w
    down = np.array([-math.sin(angle), math.cos(angle)]) * h
    corner = np.array([x, y])
    return np.stack([corner, corner + along, corner + along + down, corner + down])


def _ellipse(region: Mapping[str, Any], *, height: int, width: int) -> NDArray[np.float64]:
    x, y, rx, ry = (_number(region, name) for name in ("x", "y", "radiusX", "radiusY"))
    angle = math.radians(_number(region, "rotation", default=0.0))
    turn = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    across, up = rx * width / 100 * np.cos(turn), ry * height / 100 * np.sin(turn)
    column = x * width / 100 + across * math.cos(angle) - up * math.sin(angle)
    row = y * height / 100 + across * math.sin(angle) + up * math.cos(angle)
    return np.stack([column, row], axis=1)


def _to_png(rle: RLE) -> str:
    """As the labeling page writes it: black where the mask is, transparent elsewhere."""
    alpha = Image.fromarray(decode(rle).astype(np.uint8) * 255)
    out = io.BytesIO()
    Image.merge("LA", (Image.new("L", alpha.size), alpha)).save(out, "PNG", compress_level=1)
    return _PNG + base64.b64encode(out.getvalue()).decode("ascii")


def _from_png(url: Any, *, height: int, width: int) -> RLE | None:
    if not isinstance(url, str) or not url.startswith(_PNG) or len(url) > _MOST_BYTES:
        raise MaskError(f"imageDataURL must be a {_PNG} address")
    try:
        image = Image.open(io.BytesIO(base64.b64decode(url[len(_PNG) :], validate=True)), formats=["PNG"])
        if image.size != (width, height):  # from the header; nothing is decoded yet
            raise MaskError(f"the bitmask has {image.size[0]} x {image.size[1]} pixels, the photo {width} x {height}")
        transparent = "A" in image.getbands() or "transparency" in image.info
        shown = image.convert("RGBA").getchannel("A") if transparent else image.convert("L")
    except MaskError:
        raise
    except (OSError, ValueError, SyntaxError, binascii.Error, Image.DecompressionBombError) as error:
        raise MaskError(f"imageDataURL holds no readable PNG ({error})") from error
    mask = np.asarray(shown) > 0
    return encode(mask) if mask.any() else None


def _pairs(region: Mapping[str, Any], points: Any) -> list[tuple[float, float]]:
    usable = isinstance(points, list) and all(
        isinstance(point, list | tuple)
        and len(point) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in point)
        for point in points
    )
    if not usable or len(points) < 3:
        raise RegionError(f"{_named(region)}: points must be at least three pairs of numbers")
    return [(float(x), float(y)) for x, y in points]


def _number(region: Mapping[str, Any], name: str, *, default: float | None = None) -> float:
    found = _value(region).get(name, default)
    usable = isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e6
    if not usable:  # also NaN and infinity
        raise RegionError(f"{_named(region)}: value.{name} is {str(found)[:40]!r}; a number of percent is expected")
    return float(found)


def _value(region: Mapping[str, Any]) -> Mapping[str, Any]:
    value = region.get("value")
    if not isinstance(value, Mapping):
        raise RegionError(f"{_named(region)}: it has no value")
    return value


def _named(region: Mapping[str, Any]) -> str:
    return f"region {str(region.get('id', ''))[:40]!r}"


def _scale(height: int, width: int) -> NDArray[np.float64]:
    """Percent -> pixels, for (x, y)."""
    return np.array([width / 100, height / 100])
