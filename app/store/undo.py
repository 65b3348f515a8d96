"""Undo and redo, from the event log alone: they work after a restart and in another browser.

An undo is an act like any other. It says in ``reverses`` which act it takes back, and a redo says which undo it takes
back; the database keeps that column unique, so nothing is taken back twice. What an annotator can undo next is their
newest act that nothing reverses; what they can redo is their newest undo that nothing reverses and no newer act of
theirs follows.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, aliased

from app.store.acts import NOT_UNDOABLE, REVERSING
from app.store.checks import checked_text
from app.store.errors import NothingToUndo
from app.store.projects import Project
from app.store.schema import ActRow, EventRow
from app.store.values import from_json, put
from app.store.writing import Committed, Stamp, Touched, conflict, lock, record, take_turns


def undo(project: Project, *, actor: str, now: Callable[[], float] = time.time) -> Committed:
    """Take back the annotator's newest act: every annotation of it is as it was before.

    Raises:
        NothingToUndo: there is none.
        Conflict: somebody changed one of its annotations since; nothing was taken back.
        Leased: somebody else works on the photo now.
        Busy: the database stayed locked.
    """
    checked_text(actor, "the annotator's name")
    with project.database.writing() as session:
        take_turns(session, project, actor)
        act = session.scalar(_not_reversed(project, actor).where(ActRow.kind.not_in((*NOT_UNDOABLE, "undo"))).limit(1))
        if act is None:
            raise NothingToUndo(f"{actor} has nothing left to undo in project {project.name!r}")
        return _reverse(session, project, act, actor=actor, kind="undo", at=now())


def redo(project: Project, *, actor: str, now: Callable[[], float] = time.time) -> Committed:
    """Bring back what the annotator's newest undo took back. A new act ends what can be redone.

    Raises:
        NothingToUndo: nothing was undone since the annotator's newest act.
        Conflict, Leased, Busy: as ``undo``.
    """
    checked_text(actor, "the annotator's name")
    with project.database.writing() as session:
        take_turns(session, project, actor)
        newest = session.scalar(
            select(func.max(ActRow.id)).where(
                ActRow.project_id == project.id,
                ActRow.actor == actor,
                ActRow.kind.not_in((*NOT_UNDOABLE, *REVERSING)),
            )
        )
        undone = _not_reversed(project, actor).where(ActRow.kind == "undo", ActRow.id > (newest or 0)).limit(1)
        act = session.scalar(undone)
        if act is None:
            raise NothingToUndo(f"{actor} has nothing left to redo in project {project.name!r}")
        return _reverse(session, project, act, actor=actor, kind="redo", at=now())


def _not_reversed(project: Project, actor: str) -> Select[ActRow]:
    """The annotator's acts that no other act takes back, newest first."""
    later = aliased(ActRow)
    reversed_by_any = select(later.id).where(later.reverses == ActRow.id).exists()
    return (
        select(ActRow)
        .where(ActRow.project_id == project.id, ActRow.actor == actor, ~reversed_by_any)
        .order_by(ActRow.id.desc())
    )


def _reverse(session: Session, project: Project, act: ActRow, *, actor: str, kind: str, at: float) -> Committed:
    events = session.scalars(select(EventRow).where(EventRow.act_id == act.id).order_by(EventRow.id)).all()
    ids = [event.annotation_id for event in events]
    locked = lock(session, project, ids, image_id=act.image_id, actor=actor, at=at)
    touched = [_taken_back(session, locked.touch(event.annotation_id), event, at=at) for event in events]
    root = act if act.root is None else session.get_one(ActRow, act.root)
    stamp = Stamp(actor=actor, kind=kind, image_id=act.image_id, at=at, reverses=act.id, root=root.id)
    return replace(record(session, project, touched, stamp), undone=root.kind)


def _taken_back(session: Session, touched: Touched, event: EventRow, *, at: float) -> Touched:
    """The row as it was before the event. Refused unless it still is what the event made of it."""
    after = from_json(event.after)
    if touched.values != after:
        raise conflict(session, touched)
    put(replace(after, deleted=True) if event.before is None else from_json(event.before), touched.row)
    touched.row.updated_at = at
    return touched
