"""Correct a mask by a click: add what was missed there, or take away what doesn't belong.

A pixel follows the click if a weighted sum of a few cues is above 0: how far it is from the click and from the mask's
edge, and what the labeler thought of it and of the clicked place. The weights were fitted to simulated clicks;
``docs/repair.md`` says how, and what else was tried.

The click is always obeyed: afterwards the pixel under it is in the mask (include) or out of it (exclude).
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from exporters.edit import difference, stroke, union
from exporters.masks import paste
from exporters.runs import contains
from labelers.clicks import Click, cues, distance_to_edge, look_around
from labelers.protocol import Hint, Hinting, Opened
from labelers.records import RLE, Boxes
from labelers.vocabulary import Vocabulary
from labelers.windows import touched

WITH_HINT = (0.945, -0.818, -0.687, -0.711, -0.402, 0.392, -0.199, -0.242, 0.132, -1.668)
"""Weights of ``labelers.clicks.CUES``."""

GEOMETRY_ALONE = (-0.635, -1.705, -1.267, -1.28, -0.819)
"""Weights of ``labelers.clicks.GEOMETRY``, for labelers that give no hints."""

CAUTION = 0.4
"""Taken off the sum with hints: too small a repair needs another click, too large a one does damage. Without hints the
repair is small enough."""

CORE = 0.7
"""All within this share of the click's distance to the mask's edge follows the click."""

_CONNECTED = 2
BOX_MARGIN = 0.05
"""A mask may leave its box by this share of the box's sides."""


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
    """The mask after one click at (x, y); unchanged if it has been right about that pixel.

    Args:
        opened: the photo, as a labeler opened it.
        vocabulary: what the class names mean.
        mask: the mask so far; None: an including click starts from the mask of the box.
        box: the object's box xyxy, pixels of the upright photo.
        name: the object's class.
        x, y: the point clicked, pixels of the upright photo.
        include: True to add the region under the click, False to take it away.
        height, width: size of the photo.

    Returns the mask; it may be empty.

    Raises:
        ValueError: the click or the box is not finite, the click is outside the photo, or the mask has another size.
    """
    if not (0 <= x < width and 0 <= y < height):  # also false for NaN
        raise ValueError(f"the click ({x}, {y}) lies outside the {width} x {height} photo; click on the photo")
    if not all(map(math.isfinite, box)):
        raise ValueError(f"the box {box} is not finite; draw it again")
    asked = Boxes(np.array([box], np.float32), (name,))
    if mask is None:
        mask = opened.masks(asked, vocabulary).masks[0] if include else None
        mask = mask or stroke(None, points=[(x, y)], radius=1, erase=True, height=height, width=width)
    if list(mask["size"]) != [height, width]:
        raise ValueError(f"the mask is of a photo of [height, width] {mask['size']}, this one has {[height, width]}")
    column, row = math.floor(x), math.floor(y)
    if contains(mask, column, row) == include:
        return mask
    side = math.sqrt(max(box[2] - box[0], 1.0) * max(box[3] - box[1], 1.0))
    far = distance_to_edge(mask, column, row, include=include)
    click = Click(column, row, include, min(far, side), side)
    hint = opened.hint(asked.xyxy[0], name, vocabulary, at=(x, y)) if isinstance(opened, Hinting) else None
    change = region_of(click, mask, hint=hint, box=box)
    return union(mask, change) if include else difference(mask, change)


def region_of(
    click: Click,
    mask: RLE,
    *,
    hint: Hint | None,
    box: tuple[float, float, float, float],
) -> RLE:
    """The connected region that follows a click which the mask is wrong about; the clicked pixel is always in it.

    Args:
        hint: what the labeler thinks around the box, if it gives hints.
    """
    height, width = mask["size"]
    around = look_around(mask, click)
    limits = touched(np.array(box, np.float64), height=height, width=width, margin=BOX_MARGIN)
    maps = cues(click, around, size=(height, width), hint=hint, box=limits)
    weights, caution = (GEOMETRY_ALONE, 0.0) if hint is None else (WITH_HINT, CAUTION)
    total = np.full_like(maps[0], -caution)
    for weight, cue in zip(weights, maps, strict=True):
        total += np.float32(weight) * cue
    follows = np.array(around.fine(total), np.uint8, order="C")
    at = (click.x - around.window.x0, click.y - around.window.y0)
    cv2.circle(follows, at, max(int(CORE * click.distance), 1), 1, cv2.FILLED)
    follows[~around.wrong] = 0
    cv2.floodFill(follows, None, at, _CONNECTED, flags=8)
    return paste(follows == _CONNECTED, around.window.x0, around.window.y0, height, width)
