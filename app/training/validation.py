"""Mean IoU of a model on part of a validation folder: a quick look while training; ``evaluate`` is the full one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from app.evaluation.boxes import mask_ious
from exporters import masks as codes
from labelers.conditioned import ConditionedLabeler
from labelers.photos import open_photo
from labelers.records import Boxes
from labelers.vocabulary import Vocabulary
from openseed_core.model import OpenSeeD


def mean_iou(model: OpenSeeD, folder: Path, *, limit: int) -> float:
    """Mean IoU over the instances (not crowd) of the first ``limit`` photos, given boxes and names."""
    labeler = ConditionedLabeler(model, name="training", version="0")
    return float(np.mean(ious(labeler, folder, limit=limit)))


def ious(labeler: ConditionedLabeler, folder: Path, *, limit: int) -> list[float]:
    """IoU of each instance with its truth; 0 where there is no mask."""
    document = json.loads((folder / "annotations.json").read_text())
    names = {c["id"]: c["name"] for c in document["categories"]}
    by_photo: dict[Any, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        if not annotation.get("iscrowd"):
            by_photo.setdefault(annotation["image_id"], []).append(annotation)
    # every n-th photo, as neighbours in the file come from one collection
    step = max(len(document["images"]) // limit, 1)
    found: list[float] = []
    for image in document["images"][::step]:
        rows = by_photo.get(image["id"], [])
        photo = open_photo(folder / "images", image["file_name"], key=str(image["id"]))
        xywh = np.array([a["bbox"] for a in rows], np.float32).reshape(-1, 4)
        xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
        boxes = Boxes(xyxy, tuple(names[a["category_id"]] for a in rows))
        result = labeler.open(photo).masks(boxes, Vocabulary())
        truths = [codes.from_coco(annotation["segmentation"], photo.height, photo.width) for annotation in rows]
        pairs = [(mask, truth) for mask, truth in zip(result.masks, truths, strict=True) if truth is not None]
        found += mask_ious([mask for mask, _ in pairs], [truth for _, truth in pairs]).tolist()
    return found
