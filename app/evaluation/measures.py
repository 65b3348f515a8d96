"""From answers to numbers: mean IoU in many cuts, mask AP, the worth of the score, speed."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from app.evaluation.boxes import JITTERS, Answers

SMALL, LARGE = 32**2, 96**2
"""COCO's limits between small, medium and large, in pixels of the true mask."""

SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Measures:
    """One labeler on one file. IoUs are means over instances in [0, 1]; None where there is nothing to average.

    Attributes:
        labeler, version: from its spec.
        photos, instances: how many were measured.
        iou: cut -> mean: ``all``, sizes, ``thing``, ``part``, ``jitter 5`` ..., ``name object``.
        counts: cut -> instances in it.
        pairs: on instances with another class in the same place: ``right``, ``object``, ``neighbour``; ``count``.
        by_class: name -> (mean IoU, instances), most frequent first.
        ap: ``AP``, ``AP50``, ``AP75`` and per size, with the given boxes and the labeler's score.
        spearman: of score and true IoU, ``all`` and per size.
        images_per_second, boxes_per_second: from file to RLE, one photo at a time.
        skipped: messages of photos that could not be measured.
    """

    labeler: str
    version: str
    photos: int
    instances: int
    iou: dict[str, float | None]
    counts: dict[str, int]
    pairs: dict[str, float | None]
    by_class: dict[str, tuple[float, int]]
    ap: dict[str, float | None]
    spearman: dict[str, float | None]
    images_per_second: float | None
    boxes_per_second: float | None
    skipped: tuple[str, ...]


def measure(
    answers: Answers, *, labeler: str, version: str, class_names: Sequence[str], skipped: tuple[str, ...] = ()
) -> Measures:
    """All numbers of one labeler. ``class_names``: by category row. ``skipped``: photos that were never asked about."""
    exact = answers.iou["exact"]
    bins = dict(zip(SIZES, size_bins(answers.areas), strict=True))
    everything = np.ones(len(exact), bool)
    cuts = {"all": everything, **bins, "thing": ~answers.part, "part": answers.part}
    iou = {name: _mean(exact[cut]) for name, cut in cuts.items()}
    variants = [f"jitter {percent}" for percent in JITTERS] + ["name object"]
    iou |= {name: _mean(answers.iou[name]) for name in variants if name in answers.iou}
    return Measures(
        labeler=labeler,
        version=version,
        photos=answers.photos,
        instances=len(exact),
        iou=iou,
        counts={name: int(cut.sum()) for name, cut in cuts.items()},
        pairs=_pairs(answers),
        by_class=_by_class(answers, class_names),
        ap=average_precision(answers),
        spearman={name: _spearman(answers.score[cut], exact[cut]) for name, cut in {"all": everything, **bins}.items()},
        images_per_second=_rate(answers.photos, answers.seconds),
        boxes_per_second=_rate(len(exact), answers.seconds),
        skipped=(*skipped, *answers.skipped),
    )


def size_bins(areas: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Small, medium, large, bool [N] each."""
    return areas < SMALL, (areas >= SMALL) & (areas < LARGE), areas >= LARGE


def average_precision(answers: Answers) -> dict[str, float | None]:
    """COCO mask AP of the answers, each a detection of its box's class with the labeler's score.

    Box, class and count are given, so this is no detection result: it shows whether masks are good at the stricter
    thresholds and whether the score ranks them.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    if not len(answers.truths):
        return {}
    # pycocotools wants to know the size even of images whose masks say it themselves
    images = {row: mask["size"] for row, mask in zip(answers.image_rows.tolist(), answers.truths, strict=True)}
    categories = sorted(set(answers.category_rows.tolist()))
    truths, found = [], []
    for k, (truth, mask) in enumerate(zip(answers.truths, answers.masks, strict=True)):
        common = {"image_id": int(answers.image_rows[k]), "category_id": int(answers.category_rows[k]), "id": k + 1}
        area = int(answers.areas[k])
        truths.append({**common, "segmentation": truth, "area": area, "bbox": [0, 0, 0, 0], "iscrowd": 0})
        if mask is not None:
            # pycocotools matches by size bin; the answer's bin is its truth's, since the box is given
            found.append(
                {**common, "segmentation": mask, "area": area, "bbox": [0, 0, 0, 0], "score": float(answers.score[k])}
            )
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        gt, dt = (_coco(COCO(), images, categories, rows) for rows in (truths, found))
        run = COCOeval(gt, dt, "segm")
        run.params.maxDets = [1, 10, 10_000]  # the usual 100 would count further boxes of a photo as missed
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"]  # [10 thresholds, recalls, classes, size ranges, maxDets]; -1 where undefined
    cuts = {
        "AP": precision[:, :, :, 0, -1],
        "AP50": precision[0, :, :, 0, -1],
        "AP75": precision[5, :, :, 0, -1],
        **{f"AP {size}": precision[:, :, :, k + 1, -1] for k, size in enumerate(SIZES)},
    }
    return {name: _mean(values[values > -1]) for name, values in cuts.items()}


def _coco(coco: Any, images: dict[int, list[int]], categories: list[int], annotations: list[dict[str, Any]]) -> Any:
    coco.dataset = {
        "images": [{"id": row, "height": size[0], "width": size[1]} for row, size in images.items()],
        "categories": [{"id": row} for row in categories],
        "annotations": annotations,
    }
    coco.createIndex()
    return coco


def _pairs(answers: Answers) -> dict[str, float | None]:
    if "name neighbour" not in answers.iou:
        return {}
    cut = answers.in_pair
    columns = {"right": "exact", "object": "name object", "neighbour": "name neighbour"}
    found: dict[str, float | None] = {name: _mean(answers.iou[column][cut]) for name, column in columns.items()}
    return {**found, "count": int(cut.sum())}


def _by_class(answers: Answers, class_names: Sequence[str]) -> dict[str, tuple[float, int]]:
    names = np.array([class_names[row] if row >= 0 else "object" for row in answers.category_rows.tolist()], object)
    found = {}
    for name in dict.fromkeys(names.tolist()):
        values = answers.iou["exact"][names == name]
        found[name] = (round(float(values.mean()), 4), len(values))
    return dict(sorted(found.items(), key=lambda item: (-item[1][1], item[0])))


def _spearman(score: NDArray[np.float64], iou: NDArray[np.float64]) -> float | None:
    """None where either is constant: a rank among equals means nothing."""
    if len(score) < 3 or np.ptp(score) == 0 or np.ptp(iou) == 0:
        return None
    return round(float(spearmanr(score, iou).statistic), 4)


def _mean(values: NDArray[np.float64]) -> float | None:
    mean = float(np.nanmean(values)) if np.isfinite(values).any() else math.nan
    return None if math.isnan(mean) else round(mean, 4)


def _rate(count: int, seconds: float) -> float | None:
    return round(count / seconds, 2) if seconds > 0 else None
