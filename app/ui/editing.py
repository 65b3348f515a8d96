"""What a request about one annotation has in common: find it, check its version, ask the engine, write one act."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from app.convert.plan import UNKNOWN_NAME
from app.serving.loading import ModelFailed, NotReady
from app.store.acts import Change, Update, commit
from app.store.annotations import annotation, last_actor
from app.store.errors import Conflict, StoreError
from app.store.projects import categories
from app.store.records import AnnotationRecord, Box, ImageRecord, State
from app.ui.answers import annotation_json
from app.ui.errors import told
from app.ui.server import Server
from exporters.masks import box_xyxy
from labelers.paths import PhotoError
from labelers.records import RLE

_log = logging.getLogger(__name__)


class NoMask(StoreError):
    """The labeler found no mask for the box; the message says why."""


def current(here: Server, annotation_id: int, version: int) -> AnnotationRecord:
    """The annotation that the client sees, before any time is spent on a mask for it.

    Raises NotFound; Conflict: somebody changed or deleted it since.
    """
    record = annotation(here.project, annotation_id)
    if record.deleted or record.version != version:
        did = "deleted" if record.deleted else "changed"
        with here.project.database.reading() as session:
            who = last_actor(session, record.id)
        raise Conflict(f"{who} {did} annotation {record.id} in the meantime; look at it anew", theirs=record, by=who)
    return record


def names(here: Server) -> dict[int | None, str]:
    """Category id -> name; what has no class is an object."""
    found = {category.id: category.name for category in categories(here.project)}
    return {None: UNKNOWN_NAME, **{key: name if name.strip() else UNKNOWN_NAME for key, name in found.items()}}


def class_name(here: Server, category_id: int | None) -> str:
    """Raises StoreError: no such class in this project."""
    found = names(here).get(category_id)
    if found is None:
        raise StoreError(f"there is no class {category_id} in this project; load its classes anew")
    return found


def within(box: Box, image: ImageRecord) -> Box:
    """The box cut to the photo: a drag may end outside. Raises StoreError: nothing is left of it."""
    cut = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(image.width)), min(box[3], float(image.height))
    if cut[2] <= cut[0] or cut[3] <= cut[1]:
        raise StoreError(f"the box lies outside the {image.width} x {image.height} photo; draw it on the photo")
    return cut


def decoded(here: Server, image_id: int, box: Box, category_id: int | None) -> dict[str, Any]:
    """Values of an annotation whose mask the labeler makes from its box, to be looked at by an annotator.

    Raises NoMask, NotReady, ModelFailed, PhotoError.
    """
    instances = here.engine.masks(image_id, [box], [class_name(here, category_id)])
    mask = instances.masks[0]
    if mask is None:
        raise NoMask(f"no mask for this box: {instances.reasons[0] or instances.status[0].value}")
    return {
        "mask": mask,
        "quality": float(instances.scores[0]),
        "source": here.engine.source,
        "state": State.PROPOSED,
    }


def decoded_if_possible(
    here: Server, image_id: int, box: Box, category_id: int | None
) -> tuple[dict[str, Any], str | None]:
    """``decoded``, or no values and the reason: what an annotator drew is kept, whatever becomes of its mask."""
    try:
        return decoded(here, image_id, box, category_id), None
    except (NoMask, NotReady, ModelFailed, PhotoError) as error:
        _log.info("no mask for a box on photo %d: %s", image_id, error)
        return {}, told(error, here.project)


def edited(record: AnnotationRecord, mask: RLE | None) -> dict[str, Any]:
    """Values after a person has changed the mask: theirs now, and its quality is not known any more.

    Raises StoreError: neither mask nor box would be left.
    """
    if mask is None and record.box is None:
        raise StoreError("nothing of this annotation would be left; delete it instead")
    values: dict[str, Any] = {"mask": mask, "quality": None, "source": "human"}
    if record.box is None and mask is not None:
        values["box"] = tight(mask)
    return values


def tight(mask: RLE) -> Box:
    """The box around a mask, xyxy."""
    x0, y0, x1, y1 = (float(value) for value in box_xyxy(mask))
    return x0, y0, x1, y1


def write(here: Server, user: str, record: AnnotationRecord, values: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
    """One annotation changed in one act: ``{"annotation": A, "act": id}``."""
    done = commit(
        here.project, [Update(record.id, record.version, values)], actor=user, kind=kind, image_id=record.image_id
    )
    return {"annotation": annotation_json(done.annotations[0]), "act": done.act_id}


def write_all(here: Server, user: str, image_id: int | None, changes: Sequence[Change], *, kind: str) -> dict[str, Any]:
    """Several annotations in one act: ``{"annotations": [A, ...], "act": id}``."""
    done = commit(here.project, changes, actor=user, kind=kind, image_id=image_id)
    return {"annotations": [annotation_json(record) for record in done.annotations], "act": done.act_id}
