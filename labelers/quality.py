"""How good a mask probably is, from the model's own doubts and from the box it should fill."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from labelers.windows import box_iou

BLOCK = 1 << 16
"""Pixels of one product."""


def expected_iou(probability: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """IoU of the mask with a truth whose pixels are drawn independently from ``probability``; both [h, w]."""
    # products of a few rows at a time: picking the pixels of a large mask out takes ten times as long, and a whole
    # large mask as float would be the largest array of all
    step = max(BLOCK // max(mask.shape[1], 1), 1)
    parts = ((probability[row : row + step], mask[row : row + step]) for row in range(0, len(mask), step))
    inside = sum(float(np.dot(values.ravel(), chosen.ravel().astype(np.float32))) for values, chosen in parts)
    outside = float(probability.sum()) - inside
    return inside / max(float(mask.sum()) + outside, 1e-6)


def quality(
    probability: NDArray[np.float32], mask: NDArray[np.bool_], box: NDArray[np.floating], x0: int, y0: int
) -> float:
    """Score in [0, 1]: expected IoU x agreement of the mask's tight box with the box it was asked for.

    Args:
        probability, mask: [h, w] window of the photo with its top-left pixel at (x0, y0).
        box: xyxy pixels of the photo.
    """
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    if not len(columns):
        return 0.0
    tight = np.array([x0 + columns[0], y0 + rows[0], x0 + columns[-1] + 1, y0 + rows[-1] + 1], np.float64)
    # a square root, as each side of the box is off on average by half of what its area is off
    return expected_iou(probability, mask) * float(np.sqrt(box_iou(tight, np.asarray(box, np.float64))))
