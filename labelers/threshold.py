"""Where to cut a mask's probabilities: at the level whose mask fills the given box best.

The box is exact knowledge about the object's extent, the probabilities are not: a thin leg may stay at 0.4 all along.
So the level moves away from one half, within limits, where that makes the mask's own box agree better with the
box that was asked for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelers.windows import box_iou

LEVELS = (0.5, 0.4, 0.6, 0.3, 0.7)
"""In order of preference."""

LEAST_GAIN = 0.02
"""How much better the boxes must agree for a level to be preferred to an earlier one."""


def fitting_level(probability: NDArray[np.float32], box: NDArray[np.floating], x0: int, y0: int) -> float:
    """The level of ``LEVELS`` at which the mask's tight box agrees best with ``box``.

    Args:
        probability: [h, w] window of the photo with its top-left pixel at (x0, y0).
        box: xyxy pixels of the photo.
    """
    # a column belongs to the mask's box exactly if its largest probability is over the level
    columns, rows = probability.max(axis=0, initial=0), probability.max(axis=1, initial=0)
    wanted = np.asarray(box, np.float64).tolist()
    best, chosen = -1.0, LEVELS[0]
    for level, xs, ys in zip(LEVELS, _extents(columns), _extents(rows), strict=True):
        if xs is None or ys is None:
            continue
        agreement = box_iou((x0 + xs[0], y0 + ys[0], x0 + xs[1], y0 + ys[1]), wanted)
        if agreement > best + LEAST_GAIN:
            best, chosen = agreement, level
        if best + LEAST_GAIN >= 1:  # no other level can be so much better
            break
    return chosen


def _extents(largest: NDArray[np.float32]) -> list[tuple[int, int] | None]:
    """For each level the first and (exclusive) last place where ``largest`` [n] is over it; None where it never is."""
    if not len(largest):
        return [None] * len(LEVELS)
    over = largest > np.array(LEVELS, np.float32)[:, None]
    first, last = over.argmax(axis=1), len(largest) - over[:, ::-1].argmax(axis=1)
    spans = zip(first.tolist(), last.tolist(), strict=True)
    return [span if row[span[0]] else None for span, row in zip(spans, over, strict=True)]
