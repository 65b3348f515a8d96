"""Mean IoU of a model on part of a validation folder: a quick look while training; ``evaluate`` is the full one."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from app.errors import UsageError
from app.evaluation.boxes import mask_ious
from app.evaluation.truth import image_rows, photos
from exporters.coco import CocoDocument
from labelers.conditioned import ConditionedLabeler
from labelers.vocabulary import Vocabulary
from openseed_core.model import OpenSeeD


def check(folder: Path) -> None:
    """Before hours of training, not after. Raises UsageError: the folder is no validation set."""
    if not (folder / "annotations.json").is_file() or not (folder / "images").is_dir():
        raise UsageError(f"[data] val {folder}: it needs an annotations.json and a folder images; check the path")
    with CocoDocument.open(folder / "annotations.json") as document:
        image_rows(document, None)


def mean_iou(model: OpenSeeD, folder: Path, *, limit: int) -> float:
    """Mean IoU over the instances (not crowd) of ``limit`` photos, given boxes and names; NaN if there is none."""
    labeler = ConditionedLabeler(model, name="training", version="0")
    found = ious(labeler, folder, limit=limit)
    return float(np.mean(found)) if found else math.nan


def ious(labeler: ConditionedLabeler, folder: Path, *, limit: int) -> list[float]:
    """IoU of each instance with its truth; 0 where there is no mask. A photo that can't be read is told."""
    found: list[float] = []
    skipped: list[str] = []
    with CocoDocument.open(folder / "annotations.json") as document:
        # every n-th photo, as neighbours in the file come from one collection
        step = max(len(document.images) // limit, 1)
        rows = [image.row for image in document.images[::step]]
        for truth in photos(document, folder / "images", rows, skipped=skipped):
            result = labeler.open(truth.header.photo(str(truth.image_row))).masks(truth.boxes, Vocabulary())
            found += mask_ious(list(result.masks), list(truth.masks)).tolist()
    for message in skipped:
        print(f"warning: validation: {message}", file=sys.stderr)
    return found
