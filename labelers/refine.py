"""Corrections of finished instances that the user may ask for. Pure functions; rows keep their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from exporters.masks import area, box_xyxy, decode, encode, paste
from labelers.records import RLE, Instances, Status
from labelers.windows import touched


def clip_to_boxes(instances: Instances, margin: float = 0.0) -> Instances:
    """Cut each mask to its box, grown on each side by ``margin`` times the box's own width or height.

    Pixels that the box touches only in part stay. Rows with nothing left become ``EMPTY``. Raises
    ``ValueError`` for a margin that is negative or no number.
    """
    if not 0 <= margin < float("inf"):
        raise ValueError(f"margin {margin} is no share of the box; give 0 or more, such as 0.1")
    changed: dict[int, RLE] = {}
    for k, mask in enumerate(instances.masks):
        if mask is None:
            continue
        height, width = mask["size"]
        window = touched(instances.boxes.xyxy[k], height=height, width=width, margin=margin)
        x0, y0, x1, y1 = box_xyxy(mask).tolist()
        if window.x0 <= x0 and window.y0 <= y0 and x1 <= window.x1 and y1 <= window.y1:
            continue
        pixels = decode(mask)[window.y0 : window.y1, window.x0 : window.x1]
        if pixels.size == 0:
            changed[k] = encode(np.zeros((height, width), bool))
        else:
            changed[k] = paste(pixels, window.x0, window.y0, height, width)
    return _with_masks(instances, changed, "nothing of the mask lies in the box")


def resolve_overlaps(instances: Instances) -> Instances:
    """Give each pixel to one mask: the one with the higher score, the lower row where scores are equal.

    Masks that touch no other mask's box stay as they are, bit for bit. Rows with nothing left become ``EMPTY``.
    """
    rows = [k for k, mask in enumerate(instances.masks) if mask is not None]
    tight = {k: box_xyxy(mask) for k, mask in enumerate(instances.masks) if mask is not None}
    order = sorted(rows, key=lambda k: (-float(instances.scores[k]), k))
    changed: dict[int, RLE] = {}
    taken: NDArray[np.bool_] | None = None
    for place, k in enumerate(order):
        if not any(_meet(tight[k], tight[other]) for other in rows if other != k):
            continue
        mask = instances.masks[k]
        assert mask is not None
        pixels = decode(mask)
        if taken is None:
            taken = np.zeros(pixels.shape, bool)
        if any(_meet(tight[k], tight[other]) for other in order[:place]) and (taken & pixels).any():
            pixels = pixels & ~taken
            changed[k] = encode(pixels)
        taken |= pixels
    return _with_masks(instances, changed, "neighbours with higher scores took every pixel")


def _meet(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    return bool(max(a[0], b[0]) < min(a[2], b[2]) and max(a[1], b[1]) < min(a[3], b[3]))


def _with_masks(instances: Instances, changed: Mapping[int, RLE], reason_if_empty: str) -> Instances:
    """Put the masks in their rows; empty ones lose mask and score and say why."""
    if not changed:
        return instances
    masks, status, reasons = list(instances.masks), list(instances.status), list(instances.reasons)
    scores = instances.scores.copy()
    for k, mask in changed.items():
        if area(mask):
            masks[k] = mask
        else:
            masks[k], status[k], reasons[k] = None, Status.EMPTY, reason_if_empty
            scores[k] = 0
    return replace(instances, masks=tuple(masks), scores=scores, status=tuple(status), reasons=tuple(reasons))
