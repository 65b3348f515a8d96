"""A mask as rings, and rings as a mask: what the formats that know polygons share.

Rings run along pixel edges, so nothing is lost until they are simplified. They come in a fixed order: each outer ring
is followed by its own holes. Formats with one ring an object get ``bridged``, which joins holes and islands by
bridges of no width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from shapely import STRtree
from shapely.geometry import Polygon

from exporters.keyhole import keyhole
from exporters.masks import area, compressed_counts, encode, from_coco, rings_of
from exporters.rings import Ring, unpinched
from labelers.records import RLE

Points = NDArray[np.float64]

# What a simplified part must share with the exact one at least; else it keeps its corners.
_MIN_IOU = 0.9
_HALVINGS = 4


def outlines(mask: RLE) -> list[Ring]:
    """All rings of a mask, each a simple polygon: an outer ring, its holes, the next outer ring, and so on.

    Pixels that touch by a corner only are parts of their own. An empty mask has no rings.
    """
    parts = [part for ring in rings_of(mask) for part in unpinched(ring)]
    outers = [part for part in parts if not part.hole]
    if len(outers) == len(parts):
        return parts
    holes = [part for part in parts if part.hole]
    inside: list[list[Ring]] = [[] for _ in outers]
    shapes = np.array([Polygon(outer.points) for outer in outers], dtype=object)
    # The pixel in a hole's top-left corner is background, so it lies in no island of the hole.
    pixels = shapely.points(np.array([min(map(_upper_left, hole.points.tolist()))[::-1] for hole in holes]) + 0.5)
    found: dict[int, tuple[float, int]] = {}
    for number, owner in np.transpose(STRtree(shapes).query(pixels, predicate="within")).tolist():
        found[number] = min(found.get(number, (np.inf, -1)), (shapes[owner].area, owner))
    for number, (_, owner) in sorted(found.items()):
        inside[owner].append(holes[number])
    return [ring for outer, holes in zip(outers, inside, strict=True) for ring in (outer, *holes)]


def _upper_left(point: list[int]) -> tuple[int, int]:
    return point[1], point[0]


def parts_of(rings: Sequence[Ring]) -> Iterator[tuple[Ring, list[Ring]]]:
    """Each outer ring with its holes, from rings in the order of ``outlines``."""
    at = 0
    while at < len(rings):
        end = at + 1
        while end < len(rings) and rings[end].hole:
            end += 1
        yield rings[at], list(rings[at + 1 : end])
        at = end


def has_holes(rings: Sequence[Ring]) -> bool:
    return any(ring.hole for ring in rings)


def islands(rings: Sequence[Ring]) -> int:
    """Number of parts."""
    return sum(not ring.hole for ring in rings)


def simplified(rings: Sequence[Ring], tolerance: float) -> list[Ring]:
    """Rings with fewer corners that stray about ``tolerance`` pixels; corners are left out, never moved.

    A part with its holes stays a valid polygon and keeps an IoU of at least 0.9 with the exact one; a part for which
    that can't be had keeps its corners.
    """
    if tolerance <= 0:
        return list(rings)
    return [ring for outer, holes in parts_of(rings) for ring in _simpler(outer, holes, tolerance)]


def _simpler(outer: Ring, holes: list[Ring], tolerance: float) -> list[Ring]:
    exact = Polygon(outer.points, [hole.points for hole in holes])
    if exact.is_valid:
        for halving in range(_HALVINGS):
            found = exact.simplify(tolerance / 2**halving, preserve_topology=True)
            if not (isinstance(found, Polygon) and found.is_valid) or found.is_empty:
                continue
            if exact.intersection(found).area >= _MIN_IOU * exact.union(found).area:
                edges = [(found.exterior, False), *((hole, True) for hole in found.interiors)]
                return [Ring(np.asarray(e.coords, np.float64)[:-1].astype(np.int64), hole, False) for e, hole in edges]
    return [outer, *holes]


def bridged(rings: Sequence[Ring]) -> Points:
    """One ring, float64 [M, 2], that covers all parts without their holes.

    Holes and islands hang on bridges of no width that are walked once in each direction. By the even-odd and by the
    non-zero rule alike the ring covers what the rings covered; programs that also draw the line of a polygon
    (``cv2.fillPoly``) show a bridge as a line one pixel wide.

    Raises:
        ValueError: there are no rings.
    """
    if not rings:
        raise ValueError("an empty mask has no outline")
    if len(rings) == 1:
        return _float(rings[0])
    pieces = [_joined(_float(outer), [_float(hole) for hole in holes]) for outer, holes in parts_of(rings)]
    return _joined(pieces[0], pieces[1:])


# From so many rings on the shortest bridge of each is no longer looked for: that takes time with their square.
_MANY = 48


def _joined(first: Points, others: list[Points]) -> Points:
    """One ring of all, by the shortest bridges; by bridges from ring to ring, in their order, where there are many."""
    if len(others) <= _MANY:
        return keyhole(first, others)
    pieces = [keyhole(first, []), *(keyhole(other, [])[::-1] for other in others)]
    path = [corner for piece in pieces for corner in (piece, piece[:1])]
    back = [piece[:1] for piece in pieces[-2::-1]]
    return np.concatenate([*path, *back])


def mask_of(rings: Sequence[Ring | Points], height: int, width: int) -> RLE:
    """The pixels whose centres lie in the rings: parts together, each without its holes. Maybe empty.

    Args:
        rings: in the order of ``outlines``, or single rings as points [M, 2], which are outer ones.

    Raises:
        exporters.masks.MaskError: a number that isn't finite or lies far outside, a size that can't be stored.
    """
    whole = [ring if isinstance(ring, Ring) else _outer(ring) for ring in rings]
    found: list[RLE] = []
    for outer, holes in parts_of(whole):
        part = _filled(outer, height, width)
        cut = [rle for rle in (_filled(hole, height, width) for hole in holes) if rle is not None]
        if part is None:
            continue
        if cut:
            part = without(part, union(cut))
        found.append(part)
    if not found:
        return encode(np.zeros((height, width), bool))
    return union(found)


def _outer(points: Points) -> Ring:
    return Ring(points=np.asarray(points), hole=False, pinched=False)


def _filled(ring: Ring, height: int, width: int) -> RLE | None:
    return from_coco([np.asarray(ring.points, np.float64).ravel().tolist()], height, width)


def union(masks: Sequence[RLE]) -> RLE:
    """All pixels of one or more masks of one size."""
    merged = coco_mask.merge([dict(mask) for mask in masks])
    return RLE(size=[int(n) for n in merged["size"]], counts=merged["counts"])


def without(mask: RLE, other: RLE) -> RLE:
    """The pixels of the first mask that are not in the second; both of one size."""
    both = coco_mask.merge([dict(mask), dict(other)], intersect=True)
    # mask - both, by runs: where exactly one of the two changes, so does the difference (both lies in mask)
    return _xor(mask, RLE(size=mask["size"], counts=both["counts"]))


def _xor(first: RLE, second: RLE) -> RLE:
    edges = np.concatenate([np.cumsum(compressed_counts(rle["counts"]))[:-1] for rle in (first, second)])
    places, times = np.unique(edges.astype(np.int64), return_counts=True)
    height, width = first["size"]
    changes = places[times % 2 == 1]
    counts = np.diff(np.concatenate([[0], changes, [height * width]]))
    found = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return RLE(size=[height, width], counts=found["counts"])


def iou(a: RLE, b: RLE) -> float:
    """Shared pixels over all pixels of two masks of one size; 1 for two empty ones."""
    if area(a) == 0 or area(b) == 0:
        return float(area(a) == area(b))
    return float(coco_mask.iou([dict(a)], [dict(b)], [0])[0][0])


def _float(ring: Ring) -> Points:
    return np.asarray(ring.points, np.float64)
