"""Polygons through the centres of border pixels, as Pillow draws them: with their line.

Cityscapes' own scripts make their id PNGs this way, later objects over earlier ones. A ring along pixel edges (as
``exporters.rings`` makes them) would come out a pixel too large to the right and below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from shapely.geometry import LinearRing

from exporters.masks import paste
from exporters.rings import trace
from labelers.records import RLE

Points = Sequence[tuple[float, float]]


def paint(polygons: Iterable[tuple[int, Sequence[tuple[float, float]]]], height: int, width: int) -> NDArray[np.int32]:
    """Draw (value, corners) one over the other; int32 [H, W], 0 where none is."""
    canvas = Image.new("I", (width, height))
    draw = ImageDraw.Draw(canvas)
    for value, points in polygons:
        draw.polygon(list(points), fill=value)
    return np.asarray(canvas)


def layers(index: NDArray[np.int32], *, tolerance: float = 0.0) -> list[tuple[int, Points]]:
    """Polygons that, painted in this order, give ``index`` [H, W] exactly; value 0 is painted where it must be.

    Every connected part is drawn whole, without its holes; whatever lies in a hole is smaller than the part around it
    and is drawn later.

    Args:
        tolerance: corners may be left out where the line then strays at most so many pixels; not exact any more.
    """
    height, width = index.shape
    found = [(size, value, points) for value in np.unique(index[index > 0]) for size, points in _parts(index == value)]
    found = [(size, int(value), points) for size, value, points in found]
    found.sort(key=lambda part: -part[0])
    covered = paint(((value, points) for _, value, points in found), height, width)
    holes = (covered > 0) & (index == 0)
    if holes.any():
        found += [(size, 0, points) for size, points in _parts(holes)]
        found.sort(key=lambda part: -part[0])
    return [(value, _simpler(points, tolerance)) for _, value, points in found]


def region(canvas: NDArray[np.int32], value: int, points: Sequence[tuple[float, float]]) -> RLE:
    """The pixels of ``value``, looked for around ``points`` only. Maybe empty."""
    height, width = canvas.shape
    corners = np.asarray(points, np.float64)
    x0, y0 = np.clip(np.floor(corners.min(0)) - 1, 0, (width, height)).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(corners.max(0)) + 2, 0, (width, height)).astype(int).tolist()
    return paste(canvas[y0:y1, x0:x1] == value, x0, y0, height, width)


def _parts(mask: NDArray[np.bool_]) -> list[tuple[float, Points]]:
    """(area with holes, corners) of each part of a mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, x0 = int(rows[0]), int(columns[0])
    crop = mask[y0 : rows[-1] + 1, x0 : columns[-1] + 1]
    found = []
    for ring in trace(crop, x0=x0, y0=y0):
        if not ring.hole:
            x, y = ring.points.T.astype(np.float64)
            size = abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2
            found.append((size, _through_pixels(ring.points)))
    return found


def _through_pixels(corners: NDArray[np.int64]) -> Points:
    """Corners of a ring along pixel edges, clockwise on the screen -> the pixels of the mask beside its edges."""
    step = np.roll(corners, -1, axis=0) - corners
    # Right of the way lies the mask: below an edge to the east, left of one to the south.
    level = step[:, 1] == 0
    row = np.where(step[:, 0] > 0, corners[:, 1], corners[:, 1] - 1)
    column = np.where(step[:, 1] > 0, corners[:, 0] - 1, corners[:, 0])
    before_row, before_column = np.roll(row, 1), np.roll(column, 1)
    x = np.where(level, before_column, column)
    y = np.where(level, row, before_row)
    return [(int(a), int(b)) for a, b in zip(x, y, strict=True)]


def _simpler(points: Points, tolerance: float) -> Points:
    if tolerance <= 0 or len(points) <= 4:
        return points
    found = LinearRing(points).simplify(tolerance, preserve_topology=False)
    corners: Points = [(int(x), int(y)) for x, y in found.coords][:-1]
    return corners if len(corners) >= 3 else points
