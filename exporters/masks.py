"""Mask <-> COCO RLE <-> COCO polygons. The only place that knows these codes.

Inside the program a mask is a ``labelers.records.RLE``: size [height, width] and the compressed counts of
pycocotools, column-major, background first. Polygons are flat [x0, y0, x1, y1, ...] lists in pixels.
Rings are made in ``exporters.rings``.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from exporters.rings import Ring, simplified, trace
from labelers.records import RLE

Form = Literal["auto", "polygon", "rle"]

# pycocotools counts pixels and polygon steps in 32-bit integers.
_MAX_PIXELS = 2**31 - 1


class MaskError(ValueError):
    """A segmentation that can't be read; the message says why."""


def encode(mask: NDArray[Any]) -> RLE:
    """Bool (or 0/1) [height, width] -> RLE."""
    if mask.ndim != 2:
        raise ValueError(f"a mask has two axes [height, width], this one has {mask.ndim}")
    found = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8, copy=False)))
    return RLE(size=[int(n) for n in found["size"]], counts=found["counts"])


def decode(rle: RLE) -> NDArray[np.bool_]:
    """RLE -> bool [height, width]."""
    height, width = rle["size"]
    return _filled(rle, height, 0, width)


def _filled(rle: RLE, height: int, x0: int, x1: int) -> NDArray[np.bool_]:
    """The columns x0 to x1 of the mask, bool [height, x1 - x0]. Costs what these columns cost, not the photo."""
    runs = np.array(compressed_counts(rle["counts"]), np.int64)
    ends = np.clip(runs.cumsum() - x0 * height, 0, height * (x1 - x0))
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, np.diff(ends, prepend=0))
    return flat.reshape(x1 - x0, height).T


def area(rle: RLE) -> int:
    """Number of mask pixels."""
    return int(coco_mask.area(rle))


def box_xyxy(rle: RLE) -> NDArray[np.float32]:
    """Tight box, float32 [x0, y0, x1, y1] pixels; all zero for an empty mask."""
    if area(rle) == 0:  # pycocotools lets a trailing empty run widen the box of an empty mask
        return np.zeros(4, np.float32)
    x, y, w, h = coco_mask.toBbox(rle)
    return np.array([x, y, x + w, y + h], np.float32)


def paste(window: NDArray[np.bool_], x0: int, y0: int, height: int, width: int) -> RLE:
    """Encode a window of a photo without ever holding a full-size array.

    Args:
        window: bool [h, w].
        x0, y0: pixel of the photo under window[0, 0]; parts of the window outside the photo are cut off.
        height, width: size of the photo.
    """
    top, left = max(-y0, 0), max(-x0, 0)
    inside = np.asarray(window, bool)[top : max(height - y0, top), left : max(width - x0, left)]
    y0, x0 = y0 + top, x0 + left
    # A zero row above and below each column makes every run start and end inside its column.
    columns = np.zeros((inside.shape[1], inside.shape[0] + 2), bool)
    columns[:, 1:-1] = inside.T
    flat = columns.ravel()
    # so changes in the flattened columns are a start and an end in turn
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), columns.shape[1])
    at = (column + x0) * height + row + y0
    starts, ends = at[::2], at[1::2]
    # A run that reaches the bottom continues where the next column starts at the top.
    joined = ends[:-1] == starts[1:]
    starts = starts[np.concatenate([[True], ~joined])] if len(starts) else starts
    ends = ends[np.concatenate([~joined, [True]])] if len(ends) else ends
    edges = np.concatenate([[0], np.stack([starts, ends], axis=1).ravel(), [height * width]])
    counts = np.diff(edges)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    found = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return RLE(size=[height, width], counts=found["counts"])


def window(rle: RLE) -> tuple[NDArray[np.bool_], int, int]:
    """The tight crop of the mask, bool [h, w], and the pixel (x0, y0) of its top-left corner; [0, 0] if empty."""
    x0, y0, x1, y1 = (int(v) for v in box_xyxy(rle))
    return _filled(rle, rle["size"][0], x0, x1)[y0:y1], x0, y0


def rings_of(rle: RLE) -> list[Ring]:
    crop, x0, y0 = window(rle)
    return trace(crop, x0=x0, y0=y0)


def region(rle: RLE, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    """Pixels x0 <= x < x1, y0 <= y < y1 of the mask, bool [y1 - y0, x1 - x0]; they must lie in the photo."""
    return _filled(rle, rle["size"][0], x0, x1)[y0:y1]


def has_holes(rle: RLE) -> bool:
    """Whether one connected piece of the mask encloses background, be it but for a corner where it touches itself."""
    return any(ring.hole or ring.pinched for ring in rings_of(rle))


def to_coco(rle: RLE, *, form: Form = "auto", simplify: float = 0.0) -> list[list[float]] | dict[str, Any]:
    """RLE -> the value of a COCO ``segmentation``.

    "auto" gives polygons where the mask has no holes, else compressed RLE; "rle" always gives RLE;
    "polygon" always gives polygons and fills holes (count them with ``has_holes``). Islands are several polygons
    of one segmentation. Without simplification the polygons run along pixel edges and rasterise to exactly this mask.

    Args:
        simplify: how far in pixels a polygon may stray from the pixel edges; 0 keeps every corner.

    Raises:
        ValueError: the mask is empty, the form unknown, or simplify negative or not finite.
    """
    if form not in ("auto", "polygon", "rle"):
        raise ValueError(f"form {form!r} is unknown: choose auto, polygon or rle")
    if not (math.isfinite(simplify) and simplify >= 0):
        raise ValueError(f"simplify is a distance in pixels, 0 or more, not {simplify}")
    if area(rle) == 0:
        raise ValueError("an empty mask has no segmentation: keep the annotation unchanged instead")
    if form != "rle":
        rings = rings_of(rle)
        if form == "polygon" or not any(ring.hole or ring.pinched for ring in rings):
            outer = [ring.points for ring in rings if not ring.hole]
            return [list(simplified(points, simplify).ravel().tolist()) for points in outer]
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}


def from_coco(segmentation: Any, height: int, width: int) -> RLE | None:
    """The value of a COCO ``segmentation`` -> RLE at photo size; None where it is absent or empty.

    Reads polygons, compressed RLE (text or bytes) and uncompressed RLE (list of counts). Everything is checked
    before pycocotools sees it, because its C code trusts what it is given.

    Raises:
        MaskError: anything else, sizes that differ from the photo's, runs that don't add up.
    """
    if height <= 0 or width <= 0 or height * width > _MAX_PIXELS:
        raise MaskError(f"a mask of {width} x {height} pixels can't be stored")
    if isinstance(segmentation, dict):
        return _from_rle(segmentation, height, width)
    if segmentation is None or isinstance(segmentation, list):
        return _from_polygons(segmentation or [], height, width)
    raise MaskError(f"segmentation is a {type(segmentation).__name__}; a list of polygons or an RLE is expected")


def _from_polygons(polygons: list[Any], height: int, width: int) -> RLE | None:
    if polygons and all(isinstance(value, int | float) for value in polygons):
        polygons = [polygons]  # some tools forget the outer list
    limit = 4.0 * max(height, width) + 1024
    kept: list[list[float]] = []
    for number, polygon in enumerate(polygons):
        if not isinstance(polygon, list) or not all(type(v) in (int, float) for v in polygon):
            raise MaskError(f"polygon {number} is not a list of numbers")
        if len(polygon) % 2:
            raise MaskError(f"polygon {number} has {len(polygon)} numbers; x and y must come in pairs")
        if not all(abs(v) <= limit for v in polygon):  # also false for NaN
            raise MaskError(f"polygon {number} has a coordinate that is not finite or far outside the photo")
        if len(polygon) >= 6:
            kept.append(polygon)
    if not kept:
        return None
    found = coco_mask.merge(coco_mask.frPyObjects(kept, height, width))
    rle = RLE(size=[height, width], counts=found["counts"])
    return rle if area(rle) else None


def _from_rle(segmentation: dict[str, Any], height: int, width: int) -> RLE | None:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if not counts:
        return None
    if size != [height, width]:
        raise MaskError(
            f"RLE size is {size}, but the image is [height {height}, width {width}]; make the mask again at this size"
        )
    if isinstance(counts, str | bytes):
        runs = compressed_counts(counts)
    elif isinstance(counts, list) and all(type(n) is int for n in counts):
        runs = counts
    else:
        raise MaskError("RLE counts must be text or a list of whole numbers")
    if min(runs) < 0 or sum(runs) != height * width:
        raise MaskError(
            f"RLE counts add up to {sum(runs)} pixels, the image has {height * width}; make the mask again at its size"
        )
    if not any(runs[1::2]):
        return None
    found = coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return RLE(size=[height, width], counts=found["counts"])


def compressed_counts(counts: str | bytes) -> list[int]:
    """The runs in pycocotools' compressed text: 5 bits a character, low first, from the third on as differences.

    Raises:
        MaskError: characters outside the code, a text that ends within a number, or a number beyond 32 bits.
    """
    data = counts.encode("utf-8", "replace") if isinstance(counts, str) else counts
    if not data:
        return []
    bits = np.frombuffer(data, np.uint8).astype(np.int64) - 48
    last = bits & 32 == 0  # of each number
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends + 1])  # of the numbers, and of what is cut off
    shift = 5 * (np.arange(len(bits)) - np.repeat(starts, np.diff(starts, append=len(bits))))
    if bits.min() < 0 or bits.max() > 63 or shift.max() > 30:
        raise MaskError("RLE counts hold characters that are no compressed RLE; export the mask again")
    if not last[-1]:
        raise MaskError("RLE counts are cut off within a number; export the mask again")
    runs: NDArray[np.int64] = np.add.reduceat((bits & 31) << shift, starts[:-1])
    runs -= np.where(bits[ends] & 16, 32 << shift[ends], 0)
    for chain in (runs[1::2], runs[2::2]):
        chain[:] = chain.cumsum()
    found: list[int] = runs.tolist()
    return found


def is_empty(segmentation: Any) -> bool:
    """Whether a COCO ``segmentation`` holds no pixel: absent, no polygon of 3 points, or no counts. Cheap."""
    if isinstance(segmentation, list):
        if segmentation and not isinstance(segmentation[0], list):
            return len(segmentation) < 6
        return not any(isinstance(polygon, list) and len(polygon) >= 6 for polygon in segmentation)
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            return not any(counts[1::2])
        if isinstance(counts, str) and 0 < len(counts) < 8:  # maybe one number: a run of background alone
            with contextlib.suppress(MaskError):
                return not any(compressed_counts(counts)[1::2])
        return not counts
    return segmentation is None


def is_box(segmentation: Any, bbox_xywh: Any, *, tolerance: float = 0.02) -> bool:
    """Whether the segmentation is one polygon that only repeats its box (so that the mask counts as missing).

    Args:
        segmentation: value of a COCO ``segmentation``.
        bbox_xywh: value of the COCO ``bbox``, [x, y, width, height].
        tolerance: difference in pixels that rounding may have caused.
    """
    if not (isinstance(segmentation, list) and isinstance(bbox_xywh, list | tuple) and len(bbox_xywh) == 4):
        return False
    ring = segmentation[0] if len(segmentation) == 1 and isinstance(segmentation[0], list) else segmentation
    if len(ring) not in (8, 10):
        return False
    try:
        x, y, w, h = (float(value) for value in bbox_xywh)
        corners = [(abs(px - x) > abs(px - x - w), abs(py - y) > abs(py - y - h)) for px, py in _pairs(ring)]
        close = all(
            min(abs(px - x), abs(px - x - w)) <= tolerance and min(abs(py - y), abs(py - y - h)) <= tolerance
            for px, py in _pairs(ring)
        )
    except (TypeError, ValueError, OverflowError):
        return False
    if len(ring) == 10 and corners[0] != corners[-1]:
        return False
    # Neighbouring corners differ in one coordinate: a bow tie through the same points is no box.
    around = zip(corners[:4], corners[1:4] + corners[:1], strict=True)
    return close and len(set(corners)) == 4 and all((a[0] != b[0]) != (a[1] != b[1]) for a, b in around)


def _pairs(ring: list[Any]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(ring[::2], ring[1::2], strict=True)]
