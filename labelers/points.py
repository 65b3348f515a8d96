"""Points and a class name -> one mask, for a labeler that wants boxes.

The first positive point is tried with boxes of several sizes and shapes around it. Which mask is right, two things
tell: the labeler's own score, which falls where a mask doesn't fill its box, and agreement, because boxes that hold the
whole object give much the same mask. Then the box is fitted to the mask. Every further point that the mask is wrong
about corrects it as an include or exclude click does. ``docs/points.md`` says how good that is and what was tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from exporters.edit import stroke
from exporters.masks import area, box_xyxy
from exporters.runs import contains
from labelers.protocol import Opened
from labelers.records import RLE, Boxes, Instances, Status
from labelers.repair import repair
from labelers.vocabulary import Vocabulary

SIZES = (0.12, 0.25, 0.5, 0.9)
"""Square roots of the areas of the boxes that are tried, in shares of the photo's shorter side."""

ASPECTS = (1.0, 0.5, 2.0)
"""Width to height of the boxes that are tried."""

_ALIKE = 3
"""A mask is as trustworthy as its agreement with so many others."""

_LARGER = 0.05
"""The exponent of the box's area: of two masks that are equally likely, the larger one is the object, not its part."""

_FITTINGS = 2
_MARGINS = (0.0, 0.1, 0.25)
"""By how much of their sides boxes around the mask are widened when it is fitted."""


@dataclass(frozen=True)
class Point:
    """A point (x, y) in pixels of the upright photo; positive: on the object."""

    x: float
    y: float
    positive: bool = True


def mask_from_points(
    opened: Opened, vocabulary: Vocabulary, *, points: Sequence[Point], name: str, height: int, width: int
) -> Instances:
    """One row: the mask that all points agree with, and the box around it.

    Args:
        opened: the photo, as a labeler opened it.
        vocabulary: what the class names mean.
        points: in the order they were made.
        name: the object's class.
        height, width: of the photo, pixels.

    Raises:
        ValueError: a point is outside the photo.
    """
    for point in points:
        if not (0 <= point.x < width and 0 <= point.y < height):  # also false for NaN
            raise ValueError(
                f"the point ({point.x:g}, {point.y:g}) lies outside the {width} x {height} photo; click on the photo"
            )
    first = next((point for point in points if point.positive), None)
    if first is None:
        return _nothing(name, "only points that don't belong to it; click on the object first")
    best = _found(opened, vocabulary, first, name, height=height, width=width)
    mask, score = (best.mask, best.score) if best is not None else (None, 0.0)
    box = _box(best, first, height=height, width=width)
    for point in points:
        if mask is None or not _obeys(mask, point):
            mask = repair(
                opened,
                vocabulary,
                mask=mask,
                box=box,
                name=name,
                x=point.x,
                y=point.y,
                include=point.positive,
                height=height,
                width=width,
            )
    mask = _obeyed(mask, points)
    if mask is None or not area(mask):
        return _nothing(name, "nothing is left of it")
    found = Boxes(box_xyxy(mask)[None], (name,))
    return Instances(found, (mask,), np.array([score], np.float32), (Status.OK,))


@dataclass(frozen=True)
class _Candidate:
    """A box, xyxy float32 [4] pixels, and the mask that the labeler made of it."""

    box: NDArray[np.float32]
    mask: RLE
    score: float


def _found(
    opened: Opened,
    vocabulary: Vocabulary,
    first: Point,
    name: str,
    *,
    height: int,
    width: int,
) -> _Candidate | None:
    """The box and mask that fit best; None where the labeler finds nothing anywhere.

    Later points don't take part: choosing anew with each of them gave worse masks than correcting the first choice.
    """

    def ask(boxes: NDArray[np.float32]) -> list[_Candidate]:
        limit = np.array([width, height, width, height], np.float32)
        cut = np.clip(boxes, 0, limit)
        found = opened.masks(Boxes(cut, (name,) * len(cut)), vocabulary)
        rows = zip(cut, found.masks, found.scores.tolist(), strict=True)
        return [_Candidate(box, mask, score) for box, mask, score in rows if mask is not None]

    tried = ask(candidates(first, height=height, width=width))
    if not tried:
        return None
    tried = [one for one in tried if _obeys(one.mask, first)] or tried
    trust = _agreement([one.mask for one in tried])
    best = max(
        zip(tried, trust, strict=True),
        key=lambda pair: pair[0].score * pair[1] * float(np.prod(pair[0].box[2:] - pair[0].box[:2])) ** _LARGER,
    )[0]
    for _ in range(_FITTINGS):
        tight = box_xyxy(best.mask)
        grow = np.tile(tight[2:] - tight[:2], 2) * np.array([-1, -1, 1, 1], np.float32)
        around = ask(np.stack([tight + margin * grow for margin in _MARGINS]).astype(np.float32))
        best = max([best, *around], key=lambda one: (_obeys(one.mask, first), one.score))
    return best


def _agreement(masks: Sequence[RLE]) -> list[float]:
    """For each mask its mean IoU with those that are most like it; 1 where it is the only one."""
    if len(masks) == 1:
        return [1.0]
    table = coco_mask.iou(list(masks), list(masks), [0] * len(masks))
    np.fill_diagonal(table, -1.0)
    near = np.sort(table, axis=1)[:, 1:][:, -_ALIKE:]
    return [float(row.mean()) for row in near]


def _obeys(mask: RLE, point: Point) -> bool:
    return contains(mask, math.floor(point.x), math.floor(point.y)) == point.positive


def _obeyed(mask: RLE | None, points: Sequence[Point]) -> RLE | None:
    """Where the correction of one point has undone another one nearby: a small dab at each of those."""
    for point in points:
        if mask is not None and not _obeys(mask, point):
            others = [other for other in points if other.positive != point.positive]
            away = min((math.hypot(other.x - point.x, other.y - point.y) for other in others), default=1.0)
            height, width = mask["size"]
            at, radius = (math.floor(point.x) + 0.5, math.floor(point.y) + 0.5), max(0.4 * away - 1.0, 0.5)
            mask = stroke(mask, points=[at], radius=radius, erase=not point.positive, height=height, width=width)
    return mask


def candidates(point: Point, *, height: int, width: int) -> NDArray[np.float32]:
    """Boxes around a point, xyxy float32 [N, 4] pixels; they may reach beyond the photo."""
    sides = [
        (size * min(height, width) * math.sqrt(aspect), size * min(height, width) / math.sqrt(aspect))
        for size in SIZES
        for aspect in ASPECTS
    ]
    half = np.array(sides, np.float32) / 2
    centre = np.array([point.x, point.y], np.float32)
    return np.concatenate([centre - half, centre + half], axis=1)


def _box(best: _Candidate | None, first: Point, *, height: int, width: int) -> tuple[float, float, float, float]:
    """Where corrections look: the box of the mask so far, or a middling one around the first positive point."""
    if best is not None:
        x0, y0, x1, y1 = (float(v) for v in best.box)
        return x0, y0, x1, y1
    half = 0.25 * min(height, width)
    return first.x - half, first.y - half, first.x + half, first.y + half


def _nothing(name: str, reason: str) -> Instances:
    return Instances.none_of(Boxes(np.zeros((1, 4), np.float32), (name,)), Status.EMPTY, reason)
