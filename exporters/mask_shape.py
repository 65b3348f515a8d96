"""How many parts and holes a mask has, quickly for the masks that have one part and none."""

from __future__ import annotations

import numpy as np

from exporters.masks import compressed_counts, rings_of
from labelers.records import RLE


def parts_and_holes(mask: RLE) -> tuple[int, int]:
    """Number of connected parts (touching along an edge) and of holes.

    A part that encloses background but for a corner where it touches itself counts as having a hole.
    """
    if _is_plain(mask):
        return 1, 0
    rings = rings_of(mask)
    holes = sum(ring.hole for ring in rings)
    return len(rings) - holes, holes + sum(ring.pinched for ring in rings if not ring.hole)


def _is_plain(mask: RLE) -> bool:
    """One run in each column, each beside the next one: one part without holes. False says nothing."""
    height = mask["size"][0]
    edges = np.cumsum(np.array(compressed_counts(mask["counts"]), np.int64))
    starts, ends = edges[:-1:2], edges[1::2]
    if not len(ends):
        return False
    starts = starts[: len(ends)]
    column, top = np.divmod(starts, height)
    bottom = ends - column * height
    if (bottom > height).any() or (starts == ends).any():
        return False
    beside = (np.diff(column) == 1) & (np.maximum(top[1:], top[:-1]) < np.minimum(bottom[1:], bottom[:-1]))
    return bool(beside.all())
