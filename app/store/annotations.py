"""Reading annotations and their history. Changing them is ``app.store.acts``."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.checks import is_id
from app.store.errors import NotFound
from app.store.images import find_image
from app.store.projects import Project
from app.store.records import AnnotationRecord, HistoryRecord
from app.store.schema import ActRow, AnnotationRow, EventRow, ImageRow
from app.store.values import from_json, record_of


def annotations_of(project: Project, image_id: int, *, deleted: bool = False) -> list[AnnotationRecord]:
    """The annotations of a photo in file order, new ones after; with the deleted ones if asked.

    Raises:
        NotFound: the photo is not in this project.
    """
    statement = select(AnnotationRow).where(AnnotationRow.project_id == project.id, AnnotationRow.image_id == image_id)
    if not deleted:
        statement = statement.where(AnnotationRow.deleted.is_(False))
    with project.database.reading() as session:
        photo = find_image(session, project, image_id)
        # Sorted here: asked for an order, SQLite would walk the whole project in that order.
        rows = sorted(session.scalars(statement), key=lambda row: (row.position, row.id))
        return [record_of(row, width=photo.width, height=photo.height) for row in rows]


def annotation(project: Project, annotation_id: int) -> AnnotationRecord:
    """One annotation, be it deleted.

    Raises:
        NotFound: it is not in this project.
    """
    statement = (
        select(AnnotationRow, ImageRow.width, ImageRow.height)
        .join(ImageRow, ImageRow.id == AnnotationRow.image_id)
        .where(AnnotationRow.id == annotation_id, AnnotationRow.project_id == project.id)
    )
    with project.database.reading() as session:
        found = session.execute(statement).one_or_none() if is_id(annotation_id) else None
    if found is None:
        raise no_annotation(project, annotation_id)
    row, width, height = found
    return record_of(row, width=width, height=height)


def history(project: Project, annotation_id: int) -> list[HistoryRecord]:
    """What was done to an annotation, oldest first. An import is not in it: the first ``before`` is what was imported.

    Raises:
        NotFound: it is not in this project.
    """
    annotation(project, annotation_id)
    statement = (
        select(EventRow, ActRow)
        .join(ActRow, ActRow.id == EventRow.act_id)
        .where(EventRow.annotation_id == annotation_id)
        .order_by(EventRow.id)
    )
    with project.database.reading() as session:
        rows = session.execute(statement).all()
    return [
        HistoryRecord(
            act_id=act.id,
            actor=act.actor,
            kind=act.kind,
            at=act.created_at,
            before=None if event.before is None else from_json(event.before),
            after=from_json(event.after),
        )
        for event, act in rows
    ]


def last_actor(session: Session, annotation_id: int) -> str:
    """Who did the last act on an annotation."""
    statement = (
        select(ActRow.actor)
        .join(EventRow, EventRow.act_id == ActRow.id)
        .where(EventRow.annotation_id == annotation_id)
        .order_by(EventRow.id.desc())
        .limit(1)
    )
    return session.scalar(statement) or "somebody"


def no_annotation(project: Project, annotation_id: int) -> NotFound:
    """The error for an id that is not in this project."""
    return NotFound(f"project {project.name!r} has no annotation {annotation_id}; load the photo anew")
