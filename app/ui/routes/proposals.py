"""Objects that the labeler finds on a photo by itself. They enter as proposals; what people did stays as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter

from app.store.acts import Create
from app.store.annotations import annotations_of
from app.store.errors import StoreError
from app.store.projects import categories
from app.store.records import AnnotationRecord, State
from app.store.stuff import vocabulary_with_stuff
from app.ui.editing import names, tight, write_all
from app.ui.requests import Find
from app.ui.server import Here, ItemId, User
from exporters.masks import area
from labelers.duplicates import suppress
from labelers.protocol import CannotPropose
from labelers.records import Boxes, Instances, Status

router = APIRouter(prefix="/api")


@router.post("/images/{image_id}/propose")
def propose(here: Here, user: User, image_id: ItemId, body: Find | None = None) -> dict[str, Any]:
    """Find objects of the project's classes, in one act that undo takes back.

    What is marked already is not found again, be it accepted or rejected. ``known``: how many were left out for that.
    """
    words = vocabulary_with_stuff(here.project).with_thresholds(body.threshold if body else None)
    ids: dict[str, int] = {}
    for category in categories(here.project):
        ids.setdefault(category.name, category.id)
    if not ids:
        raise StoreError("this project has no classes to look for; name one first")
    try:
        found = here.engine.propose(image_id, words)
    except CannotPropose as error:
        raise StoreError(str(error)) from error
    rows = suppress(found, _existing(here, image_id), vocabulary=words)
    known = len(found) - len(rows)
    changes = []
    for row in rows.tolist():
        mask, name = found.masks[row], found.boxes.names[row]
        if mask is None or not area(mask) or name not in ids:
            continue
        values = {"box": tight(mask), "mask": mask, "category_id": ids[name], "quality": float(found.scores[row])}
        changes.append(Create({**values, "source": here.engine.source, "state": State.PROPOSED}))
    if not changes:
        return {"annotations": [], "known": known}
    return {**write_all(here, user, image_id, changes, kind="find"), "known": known}


def _existing(here: Here, image_id: int) -> Instances:
    """What is marked on the photo, in upright pixels."""
    records = [one for one in annotations_of(here.project, image_id) if one.box is not None or one.mask is not None]
    known = names(here)
    xyxy = np.array([_box(one) for one in records], np.float32).reshape(-1, 4)
    boxes = Boxes(xyxy, tuple(known.get(one.category_id, known[None]) for one in records))
    masks = tuple(one.mask for one in records)
    status = tuple(Status.EMPTY if mask is None else Status.OK for mask in masks)
    return Instances(boxes, masks, np.ones(len(records), np.float32), status)


def _box(record: AnnotationRecord) -> tuple[float, float, float, float]:
    if record.mask is not None and record.box is None:
        return tight(record.mask)
    assert record.box is not None
    return record.box
