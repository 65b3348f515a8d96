"""The outline of a mask as rings along pixel edges, and their simplification.

Contours through pixel centres (OpenCV's) lose half a pixel on every side and vanish for thin things. Rings along
pixel edges rasterise back to exactly the mask they were traced from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import Polygon

# A simplified ring must keep at least this IoU with the exact one, or the tolerance is halved.
_MIN_IOU = 0.9
_HALVINGS = 4


@dataclass(frozen=True)
class Ring:
    """One closed outline; the last point is joined to the first.

    Attributes:
        points: int64 [M, 2], (x, y) corners in pixels; no three in a row are collinear.
        hole: the ring goes around background enclosed by the mask.
        pinched: the ring touches itself in a corner, around background that is enclosed but for that corner.
    """

    points: NDArray[np.int64]
    hole: bool
    pinched: bool


def trace(mask: NDArray[np.bool_], *, x0: int = 0, y0: int = 0) -> list[Ring]:
    """All rings of a bool mask [h, w], from top to bottom; pixels that touch only diagonally are separate.

    Args:
        x0, y0: added to every point (where the window lies in the photo).
    """
    m = np.pad(np.asarray(mask, bool), 1)
    nw, ne, sw, se = m[:-1, :-1], m[:-1, 1:], m[1:, :-1], m[1:, 1:]
    # A lattice point is a corner of the outline where one or three of the four pixels around it are mask ...
    top = nw ^ ne
    odd = top ^ sw ^ se
    single_y, single_x = _places(odd)
    # ... or two that touch diagonally: two corners in one point, each kept with the edges of its own pixel.
    double_y, double_x = _places(top & (nw ^ sw) & ~odd)
    slash = ne[double_y, double_x]
    y = np.concatenate([single_y, double_y, double_y])
    x = np.concatenate([single_x, double_x, double_x])
    east, south = (ne ^ se)[single_y, single_x], (sw ^ se)[single_y, single_x]
    to_east = np.concatenate([east, np.zeros(len(slash), bool), np.ones(len(slash), bool)])
    to_south = np.concatenate([south, slash, ~slash])
    if len(x) == 0:
        return []
    # In one lattice row the corners pair up, left with right, into horizontal edges; in one column into vertical
    # ones. Of two corners in one point the one whose edge goes west (north) closes its pair first.
    along_row = np.lexsort((to_east, x, y)).reshape(-1, 2)
    along_column = np.lexsort((to_south, y, x)).reshape(-1, 2)
    row_partner, column_partner = np.empty(len(x), np.int64), np.empty(len(x), np.int64)
    row_partner[along_row] = along_row[:, ::-1]
    column_partner[along_column] = along_column[:, ::-1]
    points = np.stack([x + x0, y + y0], axis=1)
    rings: list[Ring] = []
    for order in _cycles(row_partner.tolist(), column_partner.tolist(), along_row):
        # The first edge is the top of the ring: below it lies mask in an outer ring, background in a hole.
        hole = not bool(se[y[order[0]], x[order[0]]])
        # only where pixels touch diagonally does a ring come to a point twice
        pinched = len(slash) > 0 and len(set(map(tuple, points[order].tolist()))) < len(order)
        rings.append(Ring(points=points[order], hole=hole, pinched=pinched))
    return rings


def _places(marked: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each True; several times faster than ``np.nonzero`` where there are few."""
    row, column = np.divmod(np.flatnonzero(marked), marked.shape[1])
    return row, column


def _cycles(row_partner: list[int], column_partner: list[int], starts: NDArray[np.int64]) -> list[list[int]]:
    """Follow horizontal and vertical edges in turn; each ring starts at its top-left corner and goes east."""
    seen = bytearray(len(row_partner))
    cycles: list[list[int]] = []
    for start in starts[:, 0].tolist():
        if seen[start]:
            continue
        cycle: list[int] = []
        at = start
        while not seen[at]:
            across = row_partner[at]
            seen[at] = seen[across] = 1
            cycle += (at, across)
            at = column_partner[across]
        cycles.append(cycle)
    return cycles


def unpinched(ring: Ring) -> list[Ring]:
    """The ring cut at every corner where it touches itself, so that each part is a simple polygon."""
    if not ring.pinched:
        return [ring]
    parts: list[Ring] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    corners = [(x, y) for x, y in ring.points.tolist()]
    for corner in [*corners, corners[0]]:
        if corner in place:
            first = place[corner]
            points = np.array(path[first:], np.int64)
            # Every ring starts eastwards along its top, so clockwise on the screen; a part that runs the other way
            # goes around what the ring only touches.
            x, y = points.T
            clockwise = float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) > 0
            parts.append(Ring(points=points, hole=ring.hole == clockwise, pinched=False))
            for left in path[first:]:
                del place[left]
            del path[first:]
        place[corner] = len(path)
        path.append(corner)
    return parts


def simplified(points: NDArray[np.int64], tolerance: float) -> NDArray[np.int64]:
    """A ring with fewer corners that strays about ``tolerance`` pixels; the ring itself where that would break it.

    The result is a valid polygon whenever the input is one, and keeps an IoU of at least 0.9 with it, so that a thin
    or tiny ring never collapses.
    """
    if tolerance <= 0 or len(points) <= 4:
        return points
    exact = Polygon(points)
    if not exact.is_valid:
        return points
    for halving in range(_HALVINGS):
        found = exact.simplify(tolerance / 2**halving, preserve_topology=True)
        if found.is_valid and found.geom_type == "Polygon" and not found.is_empty:
            union = exact.union(found).area
            if exact.intersection(found).area >= _MIN_IOU * union:
                return np.asarray(found.exterior.coords, np.float64)[:-1].astype(np.int64)
    return points
