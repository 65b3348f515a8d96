"""Correct a mask by a click: add what was missed there, or take away what doesn't belong.

The click is always obeyed: afterwards the pixel under it is in the mask (include) or out of it (exclude).
"""

from __future__ import annotations

import math

import numpy as np

from exporters.edit import component_at, difference, stroke, union
from exporters.masks import area
from labelers.protocol import Opened
from labelers.records import RLE, Boxes
from labelers.vocabulary import Vocabulary

REACH = 0.15
"""Half the side of the box around the click, in shares of the square root of the object's box area."""


def repair(
    opened: Opened,
    vocabulary: Vocabulary,
    *,
    mask: RLE | None,
    box: tuple[float, float, float, float],
    name: str,
    x: float,
    y: float,
    include: bool,
    height: int,
    width: int,
) -> RLE:
    """The mask after one click at (x, y).

    Args:
        opened: the photo, as a labeler opened it.
        vocabulary: what the class names mean.
        mask: the mask so far; None for none.
        box: the object's box xyxy, pixels of the upright photo.
        name: the object's class.
        x, y: the point clicked, pixels of the upright photo.
        include: True to add the region under the click, False to take it away.
        height, width: size of the photo.

    Raises:
        ValueError: the click is not finite or outside the photo, or the mask has another size.
    """
    if not (math.isfinite(x) and math.isfinite(y) and 0 <= x < width and 0 <= y < height):
        raise ValueError(f"the click ({x}, {y}) lies outside the {width} x {height} photo; click on the photo")
    reach = max(REACH * math.sqrt(max(box[2] - box[0], 1) * max(box[3] - box[1], 1)), 2.0)
    around = Boxes(np.array([[x - reach, y - reach, x + reach, y + reach]], np.float32), (name,))
    dot = stroke(None, points=[(x, y)], radius=reach / 4, erase=False, height=height, width=width)
    found = opened.masks(around, vocabulary).masks[0]
    region = component_at(found, x, y) if found is not None else None
    change = dot if region is None else union(dot, region)
    if mask is None:
        mask = difference(dot, dot)
    done = union(mask, change) if include else difference(mask, change)
    return done if area(done) else difference(mask, dot)
