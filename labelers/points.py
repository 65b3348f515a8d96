"""Points and a class name -> one mask, for a labeler that wants boxes.

The first positive point is tried with boxes of several sizes around it; the labeler's own quality score, which falls
where a mask doesn't fill its box, tells which one fits. Every further point that the mask is wrong about corrects it
as an include or exclude click does. ``docs/points.md`` says how the sizes were chosen and how good that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporters.edit import stroke
from exporters.masks import area, box_xyxy
from exporters.runs import contains
from labelers.protocol import Opened
from labelers.records import RLE, Boxes, Instances, Status
from labelers.repair import repair
from labelers.vocabulary import Vocabulary

SIZES = (0.12, 0.25, 0.5, 0.9)
"""Longer sides of the boxes that are tried, in shares of the photo's shorter side."""

ASPECTS = (1.0,)
"""Width to height of the boxes that are tried."""


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
    box, mask, score = _best(opened, vocabulary, first, points, name, height=height, width=width)
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


def _best(
    opened: Opened,
    vocabulary: Vocabulary,
    first: Point,
    points: Sequence[Point],
    name: str,
    *,
    height: int,
    width: int,
) -> tuple[tuple[float, float, float, float], RLE | None, float]:
    """The box, its mask and score: most points obeyed, then the best score."""
    boxes = candidates(first, height=height, width=width)
    found = opened.masks(Boxes(boxes, (name,) * len(boxes)), vocabulary)
    best = (-1.0, 0)
    for row, (mask, score) in enumerate(zip(found.masks, found.scores.tolist(), strict=True)):
        obeyed = sum(mask is not None and _obeys(mask, point) for point in points)
        best = max(best, (obeyed + score, row), key=lambda pair: pair[0])
    row = best[1]
    x0, y0, x1, y1 = (float(v) for v in boxes[row])
    return (x0, y0, x1, y1), found.masks[row], float(found.scores[row])


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
    """Boxes around a point, xyxy float32 [N, 4] pixels, cut to the photo."""
    shorter = min(height, width)
    boxes = []
    for size in SIZES:
        for aspect in ASPECTS:
            w, h = size * shorter * min(aspect, 1.0), size * shorter / max(aspect, 1.0)
            boxes.append([point.x - w / 2, point.y - h / 2, point.x + w / 2, point.y + h / 2])
    limit = np.array([width, height, width, height], np.float32)
    return np.clip(np.array(boxes, np.float32), 0, limit)


def _nothing(name: str, reason: str) -> Instances:
    return Instances.none_of(Boxes(np.zeros((1, 4), np.float32), (name,)), Status.EMPTY, reason)
