"""What an annotator does to a mask: cut it into islands, fill holes, brush, take a piece, look at its outline.

Every function takes RLEs and gives new ones. Nothing here makes an array larger than the mask's own tight window, and
brushing makes none at all. Pixels that touch only diagonally belong together (8-connected), as an eye sees them;
background is then 4-connected: a hole is background with no way out over pixel edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from exporters.capsule import capsule
from exporters.masks import area, from_coco, paste, rings_of, window
from exporters.rings import simplified, unpinched
from exporters.runs import contains, difference, from_spans, intersection, odd, union
from labelers.records import RLE

__all__ = [
    "Outline",
    "Piece",
    "component_at",
    "difference",
    "drop_small",
    "fill_holes",
    "holes",
    "islands",
    "outline",
    "split_islands",
    "stroke",
    "union",
]

_EIGHT = 8
_MARK = 2


@dataclass(frozen=True)
class Piece:
    """One closed ring of an outline; the last point is joined to the first.

    Attributes:
        points: [x0, y0, x1, y1, ...] in photo pixels; (0, 0) is the photo's top-left corner.
        hole: the ring goes around background.
    """

    points: list[float]
    hole: bool


@dataclass(frozen=True)
class Outline:
    """A mask as rings, to be filled by the even-odd rule.

    Attributes:
        rings: from top to bottom; no ring touches itself.
        points: corners of all rings together.
        iou: of the filled rings with the exact mask; 1 where nothing was simplified, and for an empty mask.
    """

    rings: tuple[Piece, ...]
    points: int
    iou: float


def islands(rle: RLE) -> int:
    """How many separate pieces the mask has; 0 if it is empty."""
    crop, _, _ = window(rle)
    return _components(crop)[0]


def split_islands(rle: RLE) -> list[RLE]:
    """Each separate piece as a mask of its own, the largest first; together they are the mask."""
    height, width = rle["size"]
    crop, left, top = window(rle)
    count, labels, stats = _components(crop)
    found: list[tuple[int, RLE]] = []
    for label in range(1, count + 1):
        x, y, w, h, pixels = (int(v) for v in stats[label])
        piece = labels[y : y + h, x : x + w] == label
        found.append((pixels, paste(piece, left + x, top + y, height, width)))
    return [piece for _, piece in sorted(found, key=lambda pair: -pair[0])]


def drop_small(rle: RLE, *, smallest: int) -> RLE:
    """The mask without islands of fewer than ``smallest`` pixels."""
    height, width = rle["size"]
    crop, left, top = window(rle)
    count, labels, stats = _components(crop)
    keep = np.zeros(count + 1, bool)
    keep[1:] = stats[1 : count + 1, cv2.CC_STAT_AREA] >= smallest
    return rle if keep[1:].all() else paste(keep[labels], left, top, height, width)


def component_at(rle: RLE, x: float, y: float) -> RLE | None:
    """The island under the point (x, y) in photo pixels, or None where there is no mask."""
    column, row = _pixel(x, y)
    if not contains(rle, column, row):
        return None
    height, width = rle["size"]
    crop, left, top = window(rle)
    canvas = _image(crop.T)  # sideways, see _components
    cv2.floodFill(canvas, None, (row - top, column - left), _MARK, flags=_EIGHT)
    return paste((canvas == _MARK).T, left, top, height, width)


def holes(rle: RLE) -> bool:
    """Whether the mask encloses background. A bay that is open at the photo's border is no hole."""
    crop, _, _ = window(rle)
    return bool(_enclosed(crop).any())


def fill_holes(rle: RLE) -> RLE:
    """The mask with all enclosed background added."""
    height, width = rle["size"]
    crop, left, top = window(rle)
    enclosed = _enclosed(crop)
    return paste(crop | enclosed, left, top, height, width) if enclosed.any() else rle


def stroke(rle: RLE | None, *, points: ArrayLike, radius: float, erase: bool, height: int, width: int) -> RLE:
    """Brush along a line: add (or take away) every pixel whose centre is within ``radius`` of it.

    The pixels under the points are always part of it, however thin the brush; below half a pixel the brush gets no
    thinner, so that a line has no gaps.

    Args:
        rle: the mask so far; None for none.
        points: [K, 2] (x, y) photo pixels, K >= 1; they may lie outside the photo.
        radius: of the brush, in photo pixels.
        height, width: size of the photo.

    Raises:
        ValueError: no point, points that are not finite, a radius that is not positive, or a mask of another size.
    """
    line = np.asarray(points, np.float64)
    if line.ndim != 2 or line.shape[1:] != (2,) or len(line) == 0:
        raise ValueError("a stroke is a list of points [x, y]; give at least one")
    if not np.isfinite(line).all():
        raise ValueError("a stroke has a point that is not finite; send numbers in photo pixels")
    if not (math.isfinite(radius) and radius > 0):
        raise ValueError(f"the brush's radius is a number of pixels above 0, not {radius}")
    painted = from_spans(capsule(line, radius, height=height, width=width), height=height, width=width)
    if rle is None:
        rle = from_spans(np.zeros((0, 2), np.int64), height=height, width=width)
    return difference(rle, painted) if erase else union(rle, painted)


def outline(rle: RLE, *, simplify: float = 0.0) -> Outline:
    """The mask as polygons with holes, and how well they still agree with it.

    Args:
        simplify: how far in pixels a ring may stray from the pixel edges; 0 keeps every corner.

    Raises:
        ValueError: simplify is negative or not finite.
    """
    if not (math.isfinite(simplify) and simplify >= 0):
        raise ValueError(f"simplify is a distance in pixels, 0 or more, not {simplify}")
    height, width = rle["size"]
    pieces: list[Piece] = []
    drawn: list[RLE] = []
    for ring in rings_of(rle):
        for part in unpinched(ring):
            points = simplified(part.points, simplify).astype(np.float64).ravel().tolist()
            pieces.append(Piece(points, part.hole))
            filled = from_coco([points], height, width) if simplify > 0 else None
            if filled is not None:
                drawn.append(filled)
    count = sum(len(piece.points) // 2 for piece in pieces)
    exact = simplify == 0 or not pieces
    return Outline(tuple(pieces), count, 1.0 if exact else _iou(rle, odd(drawn, height=height, width=width)))


def _iou(first: RLE, second: RLE) -> float:
    shared = area(intersection(first, second))
    return shared / (area(first) + area(second) - shared)


def _pixel(x: float, y: float) -> tuple[int, int]:
    """The pixel under a point. Raises ``ValueError`` for a point that is not finite."""
    if not (math.isfinite(x) and math.isfinite(y)):
        raise ValueError(f"the point ({x}, {y}) is not finite; send numbers in photo pixels")
    return math.floor(x), math.floor(y)


def _image(crop: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A copy that OpenCV takes and may write to; it refuses some strides that numpy calls contiguous."""
    return np.array(crop, np.uint8, order="C")


def _components(crop: NDArray[np.bool_]) -> tuple[int, NDArray[np.int32], NDArray[Any]]:
    """Number of islands, their labels 1... [h, w], and per label x, y, width, height, pixels (row 0: background)."""
    if not crop.size:
        return 0, np.zeros(crop.shape, np.int32), np.zeros((1, 5), np.int32)
    found, labels, stats, _ = cv2.connectedComponentsWithStats(_image(crop), connectivity=_EIGHT, ltype=cv2.CV_32S)
    return found - 1, labels, stats


def _enclosed(crop: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Background of the window that can't be left over pixel edges, bool [h, w]."""
    canvas = _image(np.pad(crop.T, 1))  # sideways, see _components
    cv2.floodFill(canvas, None, (0, 0), _MARK, flags=4)
    return np.asarray(canvas[1:-1, 1:-1] == 0).T
