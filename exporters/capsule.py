"""The pixels under a round brush drawn along a line, found column by column without any pixel array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exporters.runs import Spans, joined

_THINNEST = 0.5
"""With this radius a line has no gaps: in each column (or row) some pixel's centre is at most half a pixel away."""

_AT_ONCE = 1 << 20
"""Pairs of segment and column looked at together, which bounds the memory of a long stroke with a wide brush."""


def capsule(line: NDArray[np.float64], radius: float, *, height: int, width: int) -> Spans:
    """Pixels whose centre is within ``radius`` of the line, and those under its points, cut to the photo.

    Args:
        line: [K, 2] finite (x, y), photo pixels, K >= 1.
        radius: pixels, above 0.

    Returns the spans of these pixels (see ``exporters.runs``).
    """
    radius = max(radius, _THINNEST)
    segments = np.stack([line[:-1], line[1:]], axis=1) if len(line) > 1 else np.stack([line, line], axis=1)
    # the columns that each segment's brush reaches
    first = np.clip(np.ceil(segments[:, :, 0].min(axis=1) - radius - 0.5), 0, width).astype(np.int64)
    end = np.clip(np.floor(segments[:, :, 0].max(axis=1) + radius - 0.5) + 1, 0, width).astype(np.int64)
    reach = np.maximum(end - first, 0)
    spans = [_under(line, height=height, width=width)]
    batch = np.cumsum(reach) // _AT_ONCE
    for number in np.unique(batch):
        rows = np.flatnonzero(batch == number)
        which = np.repeat(rows, reach[rows])
        before = np.repeat(np.cumsum(reach[rows]) - reach[rows], reach[rows])
        column = first[which] + np.arange(len(which)) - before
        low, high = _interval(segments[which], column + 0.5, radius)
        top = np.clip(np.ceil(low - 0.5), 0, height)
        bottom = np.clip(np.floor(high - 0.5) + 1, 0, height)
        spans.append(joined(np.stack([column * height + top, column * height + bottom], axis=1).astype(np.int64)))
    return joined(np.concatenate(spans))


def _interval(
    segments: NDArray[np.float64], x: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the vertical line at x[n] enters and leaves the capsule around segments[n]; (inf, -inf) where it misses.

    The capsule is two discs and the band between them; it is convex, so one interval is all there is.
    """
    low, high = np.full(len(x), np.inf), np.full(len(x), -np.inf)

    def add(y: NDArray[np.float64], where: NDArray[np.bool_]) -> None:
        np.minimum(low, y, out=low, where=where)
        np.maximum(high, y, out=high, where=where)

    start, along = segments[:, 0], segments[:, 1] - segments[:, 0]
    for end in (segments[:, 0], segments[:, 1]):
        square = radius * radius - (x - end[:, 0]) ** 2
        half = np.sqrt(np.maximum(square, 0))
        for side in (-half, half):
            add(end[:, 1] + side, square >= 0)
    length = np.hypot(along[:, 0], along[:, 1])
    safe = np.where(length > 0, length, 1)
    for sign in (-radius, radius):
        # one long side of the band: the segment moved sideways by the radius
        shift = np.stack([-along[:, 1], along[:, 0]], axis=1) * (sign / safe)[:, None]
        from_x = start[:, 0] + shift[:, 0]
        across = np.where(along[:, 0] == 0, 1, along[:, 0])
        share = (x - from_x) / across
        meets = (length > 0) & (along[:, 0] != 0) & (share >= 0) & (share <= 1)
        add(start[:, 1] + shift[:, 1] + share * along[:, 1], meets)
    return low, high


def _under(line: NDArray[np.float64], *, height: int, width: int) -> Spans:
    """The pixels that hold the points themselves."""
    pixel = np.floor(np.clip(line, -1, max(height, width))).astype(np.int64)
    inside = (pixel >= 0).all(axis=1) & (pixel[:, 0] < width) & (pixel[:, 1] < height)
    at = pixel[inside, 0] * height + pixel[inside, 1]
    return np.stack([at, at + 1], axis=1)
