"""Masks: made from boxes, and mended by clicks and brush. All masks are made here; no client sends one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.store.acts import Create, Update
from app.store.annotations import annotation, annotations_of
from app.store.errors import StoreError
from app.store.images import image
from app.store.records import AnnotationRecord, State
from app.ui.editing import class_name, current, decoded, edited, names, tight, write, write_all
from app.ui.requests import Convert, RepairClick, Simplify, Stroke, Versioned
from app.ui.server import Here, ItemId, User
from exporters import edit
from exporters.masks import area
from labelers.records import RLE

router = APIRouter(prefix="/api")

_MAX_PIECES = 200
"""More are noise, and not objects that somebody wants one by one."""


@router.post("/annotations/{annotation_id}/decode")
def decode(here: Here, user: User, annotation_id: ItemId, body: Versioned) -> dict[str, Any]:
    """A box that was clicked: its mask."""
    record = current(here, annotation_id, body.version)
    if record.box is None:
        raise StoreError("this annotation has no box to make a mask from; draw one")
    values = decoded(here, record.image_id, record.box, record.category_id)
    return write(here, user, record, values, kind="mask")


@router.post("/images/{image_id}/convert")
def convert(here: Here, user: User, image_id: ItemId, body: Convert) -> dict[str, Any]:
    """All boxes of the photo that have no mask (``redo``: and those whose mask nobody has looked at), in one act."""
    todo = [record for record in annotations_of(here.project, image_id) if _wants_mask(record, redo=body.redo)]
    if not todo:
        return {"annotations": [], "failed": []}
    known = names(here)
    boxes = [record.box for record in todo if record.box is not None]
    instances = here.engine.masks(image_id, boxes, [known[record.category_id] for record in todo])
    changes: list[Update] = []
    failed: list[dict[str, Any]] = []
    for row, record in enumerate(todo):
        mask = instances.masks[row]
        if mask is None:
            failed.append({"id": record.id, "reason": instances.reasons[row] or instances.status[row].value})
            continue
        values = {"mask": mask, "quality": float(instances.scores[row]), "source": here.engine.source}
        changes.append(Update(record.id, record.version, {**values, "state": State.PROPOSED}))
    if not changes:
        return {"annotations": [], "failed": failed}
    return {**write_all(here, user, image_id, changes, kind="convert"), "failed": failed}


@router.post("/annotations/{annotation_id}/repair")
def repair(here: Here, user: User, annotation_id: ItemId, body: RepairClick) -> dict[str, Any]:
    """A click that says: this belongs to it, or this does not."""
    record = current(here, annotation_id, body.version)
    photo = image(here.project, record.image_id)
    if not (0 <= body.x < photo.width and 0 <= body.y < photo.height):
        raise StoreError(f"the click lies outside the {photo.width} x {photo.height} photo; click on the photo")
    if record.box is None:
        raise StoreError("this annotation has no box; draw one first")
    name = class_name(here, record.category_id)
    mask = here.engine.repair(record.image_id, record, body.x, body.y, body.include, name=name)
    return write(here, user, record, edited(record, _or_none(mask)), kind="repair")


@router.post("/annotations/{annotation_id}/stroke")
def stroke(here: Here, user: User, annotation_id: ItemId, body: Stroke) -> dict[str, Any]:
    """A stroke of the brush or the eraser, photo pixels."""
    record = current(here, annotation_id, body.version)
    photo = image(here.project, record.image_id)
    if record.mask is None and body.erase:
        raise StoreError("there is no mask to erase from; paint one, or make it from the box")
    mask = edit.stroke(
        record.mask,
        points=body.points,
        radius=body.radius,
        erase=body.erase,
        height=photo.height,
        width=photo.width,
    )
    return write(here, user, record, edited(record, _or_none(mask)), kind="brush")


@router.post("/annotations/{annotation_id}/fill")
def fill(here: Here, user: User, annotation_id: ItemId, body: Versioned) -> dict[str, Any]:
    """Fill the holes of the mask."""
    record = current(here, annotation_id, body.version)
    mask = edit.fill_holes(_mask(record))
    if mask == record.mask:
        raise StoreError("this mask has no holes")
    return write(here, user, record, edited(record, mask), kind="fill")


@router.post("/annotations/{annotation_id}/split")
def split(here: Here, user: User, annotation_id: ItemId, body: Versioned) -> dict[str, Any]:
    """Each island of the mask becomes an annotation with a box of its own; the largest keeps the id."""
    record = current(here, annotation_id, body.version)
    first, *others = edit.split_islands(_mask(record))
    if not others:
        raise StoreError("this mask is in one piece")
    if len(others) >= _MAX_PIECES:
        raise StoreError(f"this mask has {len(others) + 1} pieces, more than {_MAX_PIECES}; erase the specks first")
    copied = {name: getattr(record, name) for name in ("category_id", "form", "simplify", "state", "iscrowd")}
    changes: list[Update | Create] = [
        Update(record.id, record.version, {**edited(record, first), "box": tight(first)}),
        *(Create({**copied, **edited(record, piece), "box": tight(piece)}) for piece in others),
    ]
    return write_all(here, user, record.image_id, changes, kind="split")


@router.get("/annotations/{annotation_id}/polygon")
def polygon(here: Here, annotation_id: ItemId, simplify: Annotated[Simplify, Query()] = 0.0) -> dict[str, Any]:
    """The outline as it would be exported with this tolerance in pixels, and its IoU with the exact mask."""
    outline = edit.outline(_mask(annotation(here.project, annotation_id)), simplify=simplify)
    rings = [{"points": ring.points, "hole": ring.hole} for ring in outline.rings]
    return {"polygons": rings, "points": outline.points, "iou": outline.iou}


def _wants_mask(record: AnnotationRecord, *, redo: bool) -> bool:
    if record.box is None or record.iscrowd or record.state is State.REJECTED:
        return False
    untouched = record.state is State.PROPOSED and record.source != "human"
    return record.mask is None or (redo and untouched)


def _mask(record: AnnotationRecord) -> RLE:
    if record.mask is None:
        raise StoreError("this annotation has no mask; make one from its box")
    return record.mask


def _or_none(mask: RLE) -> RLE | None:
    """A mask without a pixel is no mask."""
    return mask if area(mask) else None
