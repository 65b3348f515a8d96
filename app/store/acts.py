"""The one way to change annotations: an act, which is a transaction, with one event for each annotation it touches.

Who may write is settled twice. The caller says which version of an annotation the change is meant for, and a change
of an older one is refused; and the photo and the annotations are locked while the act is written, so that two acts on
one photo take turns, on PostgreSQL too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.store.checks import checked_text, is_id
from app.store.errors import StoreError
from app.store.projects import Project
from app.store.records import AnnotationValues, State
from app.store.schema import AnnotationRow, CategoryRow, ImageRow
from app.store.values import checked, put
from app.store.writing import Committed, Locked, Stamp, Touched, conflict, lock, record, take_turns

__all__ = ["NOT_UNDOABLE", "REVERSING", "Change", "Committed", "Create", "Delete", "Update", "commit"]

NOT_UNDOABLE = ("import", "convert run", "class", "reviewed", "not reviewed")
"""Kinds of acts that undo steps over: they are not one annotator's click, or touch no annotation."""

REVERSING = ("undo", "redo")
"""Kinds that only ``app.store.undo`` writes."""

_LONGEST_NAME = 100
_NEW = AnnotationValues(
    category_id=None,
    box=None,
    mask=None,
    form="auto",
    simplify=0.0,
    quality=None,
    source="human",
    state=State.PROPOSED,
    iscrowd=False,
    author="",
    deleted=False,
    box_changed=True,
    mask_changed=True,
    category_changed=True,
)


@dataclass(frozen=True)
class Create:
    """A new annotation, on the photo of the act. ``values`` has keys of ``app.store.values.KEYS``; a box or a mask."""

    values: Mapping[str, Any]


@dataclass(frozen=True)
class Update:
    """New values for an annotation; what ``values`` doesn't name stays."""

    id: int
    version: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Delete:
    """Hide an annotation. Undo brings it back."""

    id: int
    version: int


Change = Create | Update | Delete


def commit(
    project: Project,
    changes: Sequence[Change],
    *,
    actor: str,
    kind: str,
    image_id: int | None,
    now: Callable[[], float] = time.time,
) -> Committed:
    """Do all the changes, or none of them.

    Args:
        actor: who does it.
        kind: what it is called in the history: create, update, delete, accept, mask, repair, brush, ...
        image_id: the photo that it is about; None for changes on several photos.

    Raises:
        Conflict: an annotation has another version by now, or was deleted.
        Leased: somebody else works on the photo.
        NotFound: no such photo or annotation in this project.
        StoreError: a value is out of range.
        Busy: the database stayed locked; nothing was changed.
    """
    stamp = Stamp(
        actor=checked_text(actor, "the annotator's name", longest=_LONGEST_NAME),
        kind=checked_text(kind, "the kind of act", longest=_LONGEST_NAME),
        image_id=image_id,
        at=now(),
    )
    if kind in REVERSING:
        raise StoreError(f"acts of the kind {kind!r} are made by app.store.undo")
    ids = [change.id for change in changes if not isinstance(change, Create)]
    if not changes or len(set(ids)) != len(ids):
        raise StoreError("an act changes at least one annotation, and each of them once")
    with project.database.writing() as session:
        take_turns(session, project, actor)
        known = lock(session, project, ids, image_id=image_id, actor=actor, at=stamp.at)
        touched = [_done(session, project, change, known, stamp) for change in changes]
        return record(session, project, touched, stamp)


def _done(session: Session, project: Project, change: Change, known: Locked, stamp: Stamp) -> Touched:
    """The change made on its row, not yet flushed."""
    if isinstance(change, Create):
        if stamp.image_id is None:
            raise StoreError("a new annotation needs a photo: give image_id")
        touched = _created(session, project, known.images[stamp.image_id], stamp)
        _set(session, project, touched, change.values)
        return touched
    touched = known.touch(change.id)
    if touched.row.deleted or touched.row.version != change.version:
        raise conflict(session, touched)
    touched.row.author = stamp.actor
    touched.row.updated_at = stamp.at
    if isinstance(change, Delete):
        touched.row.deleted = True
    else:
        _set(session, project, touched, change.values)
    return touched


def _created(session: Session, project: Project, image: ImageRow, stamp: Stamp) -> Touched:
    with session.no_autoflush:
        last = session.scalar(select(func.max(AnnotationRow.position)).where(AnnotationRow.project_id == project.id))
    pending = [row.position for row in session.new if isinstance(row, AnnotationRow)]
    row = AnnotationRow(
        project_id=project.id,
        image_id=image.id,
        position=max([-1 if last is None else last, *pending]) + 1,
        created_at=stamp.at,
        updated_at=stamp.at,
    )
    put(replace(_NEW, author=stamp.actor), row)
    session.add(row)
    return Touched(row=row, image=image, before=None)


def _set(session: Session, project: Project, touched: Touched, values: Mapping[str, Any]) -> None:
    """Put the new values into the row, and note what differs from the imported file from now on."""
    found = checked(values, touched.image)
    if found.get("category_id") is not None:
        _check_category(session, project, found["category_id"])
    old = touched.values
    new = replace(old, **found)
    if new.box is None and new.mask is None and (touched.before is None or "box" in found or "mask" in found):
        raise StoreError("an annotation needs a box or a mask; delete it instead")
    shape = (new.mask, new.form, new.simplify) != (old.mask, old.form, old.simplify)
    put(
        replace(
            new,
            box_changed=new.box_changed or new.box != old.box,
            mask_changed=new.mask_changed or shape,
            category_changed=new.category_changed or new.category_id != old.category_id,
        ),
        touched.row,
    )


def _check_category(session: Session, project: Project, category_id: Any) -> None:
    with session.no_autoflush:
        found = session.get(CategoryRow, category_id) if is_id(category_id) else None
    if found is None or found.project_id != project.id:
        raise StoreError(f"project {project.name!r} has no class {category_id}; load its classes anew")
