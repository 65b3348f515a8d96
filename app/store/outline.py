"""What a labeling run has to know of a project before it starts: every annotation in a few words."""

from __future__ import annotations

import json
from typing import NamedTuple

from sqlalchemy import select

from app.store.coco_export import read_frame
from app.store.projects import Project
from app.store.records import State
from app.store.schema import AnnotationRow, ImageRow
from exporters.coco_columns import Problems, image_row


class Outline(NamedTuple):
    """One annotation. ``source_key`` is its id in the imported file as JSON text, None if it was made here."""

    id: int
    image_id: int
    category_id: int | None
    source_key: str | None
    has_box: bool
    has_mask: bool
    iscrowd: bool
    state: str
    source: str
    author: str
    updated_at: float


def outline(project: Project) -> list[Outline]:
    """All annotations in file order, without those that were deleted or rejected: nobody wants masks for them."""
    statement = (
        select(
            AnnotationRow.id,
            AnnotationRow.image_id,
            AnnotationRow.category_id,
            AnnotationRow.source_key,
            AnnotationRow.x0.is_not(None),
            AnnotationRow.counts.is_not(None),
            AnnotationRow.iscrowd,
            AnnotationRow.state,
            AnnotationRow.source,
            AnnotationRow.author,
            AnnotationRow.updated_at,
        )
        .where(AnnotationRow.project_id == project.id, AnnotationRow.deleted.is_(False))
        .where(AnnotationRow.state != State.REJECTED)
        .order_by(AnnotationRow.position, AnnotationRow.id)
    )
    with project.database.reading() as session:
        return [Outline(*row) for row in session.execute(statement)]


def file_names(project: Project) -> dict[int, str]:
    """By image id, in file order."""
    statement = select(ImageRow.id, ImageRow.file_name).where(ImageRow.project_id == project.id)
    with project.database.reading() as session:
        return {row.id: row.file_name for row in session.execute(statement.order_by(ImageRow.position))}


def stated_sizes(project: Project) -> dict[int, tuple[int | None, int | None]]:
    """(width, height) as the imported file has them, by image id.

    Only of photos that were there at the import and have a ``problem``: it is about their size or rotation.
    """
    statement = select(ImageRow.id, ImageRow.raw).where(
        ImageRow.project_id == project.id,
        ImageRow.problem.is_not(None),
        ImageRow.file_size.is_not(None),
        ImageRow.raw.is_not(None),
    )
    found: dict[int, tuple[int | None, int | None]] = {}
    with project.database.reading() as session:
        for image_id, raw in session.execute(statement):
            image, _ = image_row(0, json.loads(raw or "{}"), Problems())
            found[image_id] = image.width, image.height
    return found


def orphans(project: Project) -> list[str]:
    """Ids, as JSON text, of the imported annotations whose photo is not in the file: they are only carried along."""
    with project.database.reading() as session:
        elements = [json.loads(text) for _, text in read_frame(session, project.id)[1]]
    return [json.dumps(element.get("id") if isinstance(element, dict) else None) for element in elements]
