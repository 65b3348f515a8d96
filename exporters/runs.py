"""Set operations on masks as runs: their cost depends on the outline, not on the photo's megapixels.

A span is a pair (start, end) of flat positions in column-major order, as in COCO's RLE: pixel (x, y) stands at
``x * height + y``, ``end`` is one past the last pixel. Spans of a mask are sorted, not empty, and never touch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from exporters.masks import compressed_counts
from labelers.records import RLE

Spans = NDArray[np.int64]

# What stays, by membership: in neither, in the first, in the second, in both.
_UNION = np.array([False, True, True, True])
_DIFFERENCE = np.array([False, True, False, False])
_INTERSECTION = np.array([False, False, False, True])


def union(first: RLE, second: RLE) -> RLE:
    """Pixels of either mask. Raises ``ValueError`` if the masks belong to photos of different sizes."""
    return _combined(first, second, _UNION)


def difference(first: RLE, second: RLE) -> RLE:
    """Pixels of the first mask that are not in the second. Raises ``ValueError`` as ``union`` does."""
    return _combined(first, second, _DIFFERENCE)


def intersection(first: RLE, second: RLE) -> RLE:
    """Pixels of both masks. Raises ``ValueError`` as ``union`` does."""
    return _combined(first, second, _INTERSECTION)


def odd(masks: Sequence[RLE], *, height: int, width: int) -> RLE:
    """Pixels that lie in an odd number of the masks, as the even-odd rule fills rings. All are of that size."""
    spans = np.concatenate([np.zeros((0, 2), np.int64), *map(spans_of, masks)])
    filled = _where(spans.ravel(), np.tile(np.array([1, -1]), len(spans)), lambda state: state % 2 == 1)
    return from_spans(filled, height=height, width=width)


def contains(rle: RLE, x: int, y: int) -> bool:
    """Whether pixel (x, y) is in the mask; False outside the photo."""
    height, width = rle["size"]
    if not (0 <= x < width and 0 <= y < height):
        return False
    spans, at = spans_of(rle), x * height + y
    before = int(np.searchsorted(spans[:, 0], at, side="right")) - 1
    return before >= 0 and bool(at < spans[before, 1])


def spans_of(rle: RLE) -> Spans:
    """The mask's spans, int64 [K, 2]. Empty runs in between, which other tools may write, are healed."""
    edges = np.cumsum(np.array(compressed_counts(rle["counts"]), np.int64))
    return joined(edges[: len(edges) // 2 * 2].reshape(-1, 2))


def joined(spans: Spans) -> Spans:
    """Any spans [N, 2], overlapping and in any order -> the spans of their union."""
    spans = spans[spans[:, 1] > spans[:, 0]]
    step = np.tile(np.array([1, -1]), len(spans))
    return _where(spans.ravel(), step, lambda state: state > 0)


def from_spans(spans: Spans, *, height: int, width: int) -> RLE:
    """Sorted spans that don't touch -> RLE."""
    counts = np.diff(np.concatenate([[0], spans.ravel(), [height * width]]))
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    found = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    return RLE(size=[height, width], counts=found["counts"])


def _combined(first: RLE, second: RLE, stays: NDArray[np.bool_]) -> RLE:
    if list(first["size"]) != list(second["size"]):
        raise ValueError(f"masks of photos of different sizes: {first['size']} and {second['size']}")
    a, b = spans_of(first), spans_of(second)
    at = np.concatenate([a.ravel(), b.ravel()])
    step = np.concatenate([np.tile(np.array([1, -1]), len(a)), np.tile(np.array([2, -2]), len(b))])
    height, width = first["size"]
    return from_spans(_where(at, step, lambda state: stays[state]), height=height, width=width)


def _where(
    at: NDArray[np.int64], step: NDArray[np.int64], inside: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
) -> Spans:
    """Sweep over the positions, adding up the steps; the spans where ``inside`` holds of the sum."""
    order = np.argsort(at, kind="stable")
    at, state = at[order], np.cumsum(step[order])
    last = np.concatenate([at[1:] != at[:-1], [True]]) if len(at) else np.zeros(0, bool)
    at, member = at[last], inside(state[last])
    turns = member != np.concatenate([[False], member[:-1]])
    spans: Spans = at[turns].reshape(-1, 2)
    return spans
