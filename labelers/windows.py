"""From fractional boxes to whole pixels, and how well a mask fits its box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Box = NDArray[np.floating] | Sequence[float]


class PixelWindow(NamedTuple):
    """Pixels x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int


def touched(xyxy: NDArray[np.floating], *, height: int, width: int, margin: float = 0.0) -> PixelWindow:
    """Every pixel that the box (grown by ``margin`` of its sides on each side) touches, inside the photo."""
    x0, y0, x1, y1 = (float(value) for value in xyxy)
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    return PixelWindow(
        min(max(math.floor(x0 - dx), 0), width),
        min(max(math.floor(y0 - dy), 0), height),
        min(max(math.ceil(x1 + dx), 0), width),
        min(max(math.ceil(y1 + dy), 0), height),
    )


def covered(xyxy: NDArray[np.floating], *, height: int, width: int) -> PixelWindow:
    """The pixels whose centre lies in the box; at least one, however thin the box. The box overlaps the photo."""
    x0, y0, x1, y1 = (float(value) for value in xyxy)
    left, right = _centres(x0, x1, width)
    top, bottom = _centres(y0, y1, height)
    return PixelWindow(left, top, right, bottom)


def _centres(low: float, high: float, size: int) -> tuple[int, int]:
    first, last = max(math.ceil(low - 0.5), 0), min(math.ceil(high - 0.5), size)
    if last <= first:  # between two centres: the pixel that holds its middle
        first = min(max(math.floor((low + high) / 2), 0), size - 1)
        last = first + 1
    return first, last


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes xyxy; 0 where both are empty. ``labelers.duplicates`` has it for many."""
    # plain floats: arrays of four take several times as long, and this is asked for every box
    ax0, ay0, ax1, ay1 = map(float, a)
    bx0, by0, bx1, by1 = map(float, b)
    shared = max(min(ax1, bx1) - max(ax0, bx0), 0.0) * max(min(ay1, by1) - max(ay0, by0), 0.0)
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - shared
    return shared / union if union > 0 else 0.0
