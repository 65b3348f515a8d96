"""Which proposals are new: not there already, and not found twice.

Two regions are duplicates if they are of one class (or of synonyms) and overlap much or lie in one another, or if
they cover nearly the same pixels, whatever they are called. Masks are compared where both have one, else boxes;
of two boxes only the overlap counts, because one box often lies in that of a neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pycocotools import mask as coco_mask

from labelers.records import Boxes, Instances
from labelers.vocabulary import Vocabulary

SAME_PIXELS = 0.9
"""IoU from which two regions are one thing with two names."""


@dataclass(frozen=True)
class _Regions:
    """What is compared: xyxy float64 [N, 4], areas of the masks float64 [N] (NaN where there is none), RLEs, words."""

    xyxy: NDArray[np.float64]
    areas: NDArray[np.float64]
    masks: tuple[object, ...]
    words: tuple[frozenset[str], ...]


def suppress(
    found: Instances,
    existing: Instances,
    *,
    iou: float = 0.5,
    containment: float = 0.8,
    vocabulary: Vocabulary | None = None,
) -> NDArray[np.intp]:
    """Rows of ``found`` that are new, best score first.

    Args:
        found: proposals; a row whose mask is missing is compared by its box.
        existing: what is annotated already, on the same photo; its scores don't matter, it always wins.
        iou: overlap (intersection / union) from which two regions of one class are one.
        containment: intersection / smaller area from which a mask lies in another of its class.
        vocabulary: makes names that share a prompt one class; without it names are compared, upper case or not.

    Returns:
        intp [K], in the order of falling scores; equal scores keep the order of ``found``.
    """
    ours, theirs = _regions(found, vocabulary), _regions(existing, vocabulary)
    order = np.argsort(-found.scores, kind="stable")
    x0, y0, x1, y1 = ours.xyxy.T
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(ours.xyxy).all(axis=1) & (x1 > x0) & (y1 > y0))
    taken: NDArray[np.bool_] = np.any(_duplicates(ours, theirs, iou=iou, containment=containment), axis=1)
    among = _duplicates(ours, ours, iou=iou, containment=containment)
    kept: list[int] = []
    for row in order.tolist():
        if usable[row] and not taken[row] and not np.any(among[row, kept]):
            kept.append(row)
    return np.array(kept, np.intp)


def select(found: Instances, rows: NDArray[np.intp]) -> Instances:
    """The chosen rows, in the order of ``rows``."""
    picked = [int(row) for row in rows]
    return Instances(
        found.boxes[rows],
        tuple(found.masks[row] for row in picked),
        found.scores[rows],
        tuple(found.status[row] for row in picked),
        tuple(found.reasons[row] for row in picked),
    )


def box_iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Boxes xyxy [N, 4] and [M, 4] (one may be [4]) -> float64 [N, M]; 0 for boxes without area or with NaN."""
    one, two = np.asarray(first, np.float64).reshape(-1, 1, 4), np.asarray(second, np.float64).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):
        shared = _areas(np.minimum(one[..., 2:], two[:, 2:]) - np.maximum(one[..., :2], two[:, :2]))
        union = _areas(one[..., 2:] - one[..., :2]) + _areas(two[:, 2:] - two[:, :2]) - shared
        return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _areas(sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Widths and heights [..., 2] -> [...]; a negative one is none."""
    kept = np.maximum(sides, 0)
    found: NDArray[np.float64] = kept[..., 0] * kept[..., 1]
    return found


def _regions(instances: Instances, vocabulary: Vocabulary | None) -> _Regions:
    boxes: Boxes = instances.boxes
    areas = [np.nan if mask is None else float(coco_mask.area(mask)) for mask in instances.masks]
    areas = [np.nan if area == 0 else area for area in areas]
    return _Regions(
        boxes.xyxy.astype(np.float64),
        np.array(areas, np.float64),
        instances.masks,
        tuple(_words(name, vocabulary) for name in boxes.names),
    )


def _words(name: str, vocabulary: Vocabulary | None) -> frozenset[str]:
    prompts = vocabulary.prompts(name) if vocabulary is not None else ()
    return frozenset(" ".join(text.casefold().split()) for text in (name, *prompts))


def _duplicates(one: _Regions, two: _Regions, *, iou: float, containment: float) -> NDArray[np.bool_]:
    """bool [N, M]; a region is its own duplicate."""
    if not len(one.words) or not len(two.words):
        return np.zeros((len(one.words), len(two.words)), bool)
    overlap = box_iou(one.xyxy, two.xyxy)
    inside = np.zeros_like(overlap)
    a, b = np.flatnonzero(np.isfinite(one.areas)), np.flatnonzero(np.isfinite(two.areas))
    if len(a) and len(b):
        between = np.asarray(
            coco_mask.iou([one.masks[k] for k in a], [two.masks[k] for k in b], [0] * len(b)), np.float64
        ).reshape(len(a), len(b))
        total = one.areas[a][:, None] + two.areas[b][None, :]
        shared = between * total / (1 + between)  # because IoU = shared / (total - shared)
        overlap[np.ix_(a, b)] = between
        inside[np.ix_(a, b)] = shared / np.minimum(one.areas[a][:, None], two.areas[b][None, :])
    same = np.array([[bool(left & right) for right in two.words] for left in one.words])
    close = 1e-9  # shared was computed back from a quotient
    return (same & ((overlap >= iou) | (inside >= containment - close))) | (overlap >= SAME_PIXELS)
