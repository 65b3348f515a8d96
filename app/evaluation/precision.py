"""COCO's average precision and recall, through pycocotools, with what its own script leaves to others.

Added around it: recall and precision by class, and the rules of LVIS, whose photos are marked for some classes only:
detections of classes that nobody looked for are left out before, and where a class is marked incompletely, a
detection without a match is ignored at each threshold instead of being counted as wrong.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelers.records import RLE

Kind = Literal["masks", "boxes"]

SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Object:
    """One true or found object.

    Attributes:
        photo: which photo, any number.
        label: class, from 0.
        xywh: box in pixels; only for boxes.
        mask: only for masks.
        area: decides between small, medium and large.
        score: of found ones.
        crowd: of true ones: found ones inside it don't count.
    """

    photo: int
    label: int
    xywh: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    mask: RLE | None = None
    area: float = 0.0
    score: float = 0.0
    crowd: bool = False


@dataclass(frozen=True)
class Precision:
    """``numbers``: AP, AP50, AP75, sizes, AR; ``by_class``: label -> (AP, true objects). None: no true object."""

    numbers: dict[str, float | None]
    by_class: dict[int, tuple[float | None, int]]


def average_precision(
    truths: Sequence[Object],
    found: Sequence[Object],
    *,
    kind: Kind,
    photos: Mapping[int, tuple[int, int]],
    max_detections: int = 100,
    incomplete: frozenset[tuple[int, int]] = frozenset(),
    groups: Mapping[str, frozenset[int]] | None = None,
) -> Precision:
    """All numbers.

    Args:
        truths, found: objects of all photos.
        kind: compare masks or boxes.
        photos: number -> (height, width).
        max_detections: best found objects of a photo and class that count; AR is given for 1, 10 and this.
        incomplete: pairs (photo, label) whose unmatched found objects are ignored.
        groups: name -> labels; adds an AP for each.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    # A class without a true object has no AP, so what was found of it doesn't matter either.
    labels = sorted({truth.label for truth in truths if not truth.crowd})
    if not labels:
        return Precision(_numbers(None, (), max_detections, groups), {})
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        gt, dt = (_coco(COCO(), photos, labels, rows) for rows in (truths, found))
        run = COCOeval(gt, dt, "segm" if kind == "masks" else "bbox")
        run.params.maxDets = [1, min(10, max_detections), max_detections]  # ascending: it sorts them
        run.evaluate()
        for one in run.evalImgs if incomplete else ():
            if one is not None and (one["image_id"], one["category_id"]) in incomplete:
                one["dtIgnore"] = np.logical_or(one["dtIgnore"], np.asarray(one["dtMatches"]) == 0)
        run.accumulate()
    precision: NDArray[np.float64] = run.eval["precision"]  # [thresholds, recalls, classes, sizes, maxDets]
    counts = dict.fromkeys(labels, 0)
    for truth in truths:
        if truth.label in counts and not truth.crowd:
            counts[truth.label] += 1
    by_class = {label: (_mean(precision[:, :, k, 0, -1]), counts[label]) for k, label in enumerate(labels)}
    return Precision(_numbers(run.eval, labels, max_detections, groups), by_class)


def _numbers(
    found: Mapping[str, NDArray[np.float64]] | None,
    labels: Sequence[int],
    max_detections: int,
    groups: Mapping[str, frozenset[int]] | None,
) -> dict[str, float | None]:
    names = ["AP", "AP50", "AP75", *(f"AP {size}" for size in SIZES), *(f"AP {name}" for name in groups or {})]
    names += ["AR 1", "AR 10", f"AR {max_detections}", *(f"AR {size}" for size in SIZES)]
    if found is None:
        return dict.fromkeys(names)
    precision, recall = found["precision"], found["recall"]  # recall [thresholds, classes, sizes, maxDets]
    cuts = {"AP": precision[:, :, :, 0, -1], "AP50": precision[0, :, :, 0, -1], "AP75": precision[5, :, :, 0, -1]}
    for k, size in enumerate(SIZES):
        cuts[f"AP {size}"] = precision[:, :, :, k + 1, -1]
        cuts[f"AR {size}"] = recall[:, :, k + 1, -1]
    for name, members in (groups or {}).items():
        cuts[f"AP {name}"] = precision[:, :, [label in members for label in labels], 0, -1]
    for k, count in enumerate((1, 10, max_detections)):
        cuts[f"AR {count}"] = recall[:, :, 0, k]
    return {name: _mean(cuts[name]) for name in names}


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[values > -1]  # -1: no true object
    return float(defined.mean()) if defined.size else None


def _coco(coco: Any, photos: Mapping[int, tuple[int, int]], labels: Sequence[int], rows: Sequence[Object]) -> Any:
    kept = set(labels)
    coco.dataset = {
        "images": [{"id": number, "height": size[0], "width": size[1]} for number, size in photos.items()],
        "categories": [{"id": label} for label in labels],
        "annotations": [
            {
                "id": k,
                "image_id": row.photo,
                "category_id": row.label,
                "segmentation": row.mask,
                "bbox": list(row.xywh),
                "area": row.area,
                "iscrowd": int(row.crowd),
                "score": row.score,
            }
            for k, row in enumerate(rows, start=1)  # it takes id 0 for "no match"
            if row.label in kept
        ],
    }
    coco.createIndex()
    return coco
