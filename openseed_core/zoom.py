"""Which crop of the photo each box is decoded from.

Small boxes cover few cells of the mask grid, so they are decoded from an enlarged, re-encoded crop. Crops come
from a fixed pyramid of windows over the photo: side lengths grow by a factor of sqrt(2), places lie on a grid of an
eighth of the side. Each box picks its window by itself, so a box never changes its neighbour's mask; yet boxes of
similar size that lie close together pick the same window and share its encoding.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SMALLEST_SIDE = 40
"""Shortest side of a window in photo pixels: below, there is nothing left to enlarge."""

LARGEST_SHARE = 0.8
"""A box's longer side takes at most this share of its window's side; at least this divided by sqrt(2)."""

PLACES = 8
"""Windows of one size start at multiples of side / PLACES."""


class Window(NamedTuple):
    """Pixels x0 <= x < x1, y0 <= y < y1 of the photo."""

    x0: int
    y0: int
    x1: int
    y1: int


def window_for(box: tuple[float, float, float, float], *, height: int, width: int) -> Window:
    """The pyramid window for one box (xyxy photo pixels, inside the photo)."""
    x0, y0, x1, y1 = box
    longer = max(x1 - x0, y1 - y0)
    octave = max(math.ceil(2 * math.log2(max(longer, 1.0) / LARGEST_SHARE / SMALLEST_SIDE)), 0)
    side = round(SMALLEST_SIDE * 2 ** (octave / 2))
    left, right = _place(x0, x1, side, width)
    top, bottom = _place(y0, y1, side, height)
    return Window(left, top, right, bottom)


def _place(low: float, high: float, side: int, limit: int) -> tuple[int, int]:
    """Start and end along one axis: the grid place nearest to the box's centre, moved into the photo."""
    if side >= limit:
        return 0, limit
    step = side / PLACES
    start = round(round(((low + high - side) / 2) / step) * step)
    start = min(max(start, 0), limit - side)
    return start, start + side
