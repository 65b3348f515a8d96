"""A ring with holes as one ring: holes joined to the outside by bridges of no width.

For formats that know one ring and no holes. Filled by the even-odd or the non-zero rule, the ring covers what the ring
with holes covered, because the bridge is walked once in each direction and holes are walked the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import LinearRing, Point
from shapely.ops import nearest_points

Points = NDArray[np.float64]


def keyhole(outer: Points, holes: Sequence[Points]) -> Points:
    """One ring, float64 [M, 2], that covers the outer ring [N, 2] without the holes.

    Args:
        outer: corners (x, y); the last is joined to the first.
        holes: rings inside, not touching each other.
    """
    merged = _oriented(np.asarray(outer, np.float64), clockwise=True)
    waiting = [_oriented(np.asarray(hole, np.float64), clockwise=False) for hole in holes]
    while waiting:
        # The nearest hole first: a bridge to it can't cross another one, which would be nearer.
        line = LinearRing(merged)
        distances = [line.distance(LinearRing(hole)) for hole in waiting]
        hole = waiting.pop(int(np.argmin(distances)))
        here, there = nearest_points(line, LinearRing(hole))
        merged = _from(merged, here)
        around = _from(hole, there)
        # once around, across the bridge, around the hole, and back across the bridge
        merged = np.concatenate([merged, merged[:1], around, around[:1]])
    return merged


def _from(ring: Points, point: Point) -> Points:
    """The same ring beginning at a point of it, which becomes a corner if it is none."""
    at = np.array([point.x, point.y])
    corners = np.flatnonzero((ring == at).all(axis=1))
    if len(corners):
        return np.roll(ring, -int(corners[0]), axis=0)
    ends = np.roll(ring, -1, axis=0)
    along = ends - ring
    length = (along**2).sum(axis=1)
    share = np.clip(((at - ring) * along).sum(axis=1) / np.where(length > 0, length, 1), 0, 1)
    away = ((ring + share[:, None] * along - at) ** 2).sum(axis=1)
    edge = int(np.argmin(away))
    return np.concatenate([at[None], np.roll(ring, -edge - 1, axis=0)])


def _oriented(ring: Points, *, clockwise: bool) -> Points:
    x, y = ring.T
    turns = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) > 0
    return ring if turns == clockwise else ring[::-1]
