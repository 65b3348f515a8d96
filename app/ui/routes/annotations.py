"""Annotations: draw, change, delete, accept, and take back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.store import undo as undoing
from app.store.acts import Committed, Create, Delete, Update, commit
from app.store.annotations import annotation, history
from app.store.errors import StoreError
from app.store.images import image
from app.store.records import State
from app.ui.answers import annotation_json, values_json
from app.ui.editing import current, decoded_if_possible, within, write, write_all
from app.ui.requests import MAX_ID, AnnotationChange, Batch, NewAnnotation
from app.ui.server import Here, ItemId, User

router = APIRouter(prefix="/api")

_KINDS = {
    State.ACCEPTED: "accept",
    State.REJECTED: "reject",
    State.NEEDS_WORK: "needs work",
    State.PROPOSED: "propose",
}
"""What setting a state is called in the history."""


@router.post("/images/{image_id}/annotations")
def create(here: Here, user: User, image_id: ItemId, body: NewAnnotation) -> dict[str, Any]:
    """A box that was drawn, with its mask, in one act. Where no mask can be made, the box is kept: see ``reason``."""
    box = within(body.box, image(here.project, image_id))
    values: dict[str, Any] = {"box": box, "category_id": body.category_id, "source": "human"}
    found, reason = decoded_if_possible(here, image_id, box, body.category_id) if body.decode else ({}, None)
    changes = [Create({**values, **found})]
    done = commit(here.project, changes, actor=user, kind="create", image_id=image_id)
    shown = annotation_json(done.annotations[0])
    return {"annotation": shown, "act": done.act_id, "reason": reason}


@router.patch("/annotations/{annotation_id}")
def change(here: Here, user: User, annotation_id: ItemId, body: AnnotationChange) -> dict[str, Any]:
    """New values; ``decode`` makes the mask anew with the new box and class. What was changed is kept in any case."""
    record = current(here, annotation_id, body.version)
    values: dict[str, Any] = body.model_dump(exclude={"version", "decode"}, exclude_none=True)
    if body.box is not None:
        values["box"] = within(body.box, image(here.project, record.image_id))
    reason = None
    if body.decode:
        box, category_id = values.get("box", record.box), values.get("category_id", record.category_id)
        if box is None:
            raise StoreError("this annotation has no box to make a mask from; draw one")
        found, reason = decoded_if_possible(here, record.image_id, box, category_id)
        values = {**found, **values}
    if not values:
        raise StoreError(reason or "nothing to change: send box, category_id, state, form, simplify or decode")
    return {**write(here, user, record, values, kind=_kind(body)), "reason": reason}


@router.delete("/annotations/{annotation_id}")
def delete(here: Here, user: User, annotation_id: ItemId, version: Annotated[int, Query(ge=1, le=MAX_ID)]) -> Any:
    record = current(here, annotation_id, version)
    done = commit(here.project, [Delete(record.id, version)], actor=user, kind="delete", image_id=record.image_id)
    return {"annotation": annotation_json(done.annotations[0]), "act": done.act_id}


@router.post("/annotations/batch")
def batch(here: Here, user: User, body: Batch) -> dict[str, Any]:
    """One state for several annotations of a photo, in one act."""
    photos = {annotation(here.project, picked.id).image_id for picked in body.annotations}
    changes = [Update(picked.id, picked.version, {"state": body.state}) for picked in body.annotations]
    image_id = photos.pop() if len(photos) == 1 else None
    return write_all(here, user, image_id, changes, kind=_KINDS[body.state])


@router.get("/annotations/{annotation_id}/previous")
def previous(here: Here, annotation_id: ItemId) -> dict[str, Any]:
    """The annotation before the last act on it; null if that act made it, or if nothing was done to it."""
    record = annotation(here.project, annotation_id)
    events = history(here.project, annotation_id)
    if not events:
        return {"annotation": None, "at": None, "actor": None, "kind": None}
    last = events[-1]
    before = None if last.before is None else values_json(record.id, record.image_id, last.before)
    return {"annotation": before, "at": last.at, "actor": last.actor, "kind": last.kind}


@router.post("/undo")
def undo(here: Here, user: User) -> dict[str, Any]:
    """Take back the annotator's last act, be it of yesterday."""
    return _reversed(undoing.undo(here.project, actor=user))


@router.post("/redo")
def redo(here: Here, user: User) -> dict[str, Any]:
    return _reversed(undoing.redo(here.project, actor=user))


def _reversed(done: Committed) -> dict[str, Any]:
    found = [annotation_json(record) for record in done.annotations]
    photos = {record.image_id for record in done.annotations}
    image_id = done.image_id if done.image_id is not None else min(photos, default=None)
    return {"image_id": image_id, "annotations": found, "kind": done.undone, "act": done.act_id}


def _kind(body: AnnotationChange) -> str:
    """What the change is called in the history."""
    if body.decode:
        return "mask"
    if body.state is not None:
        return _KINDS[body.state]
    return "simplify" if body.box is None and body.category_id is None else "update"
