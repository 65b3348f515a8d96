"""Which classes of a project are stuff: what the imported COCO file says of its categories."""

from __future__ import annotations

import json
from dataclasses import replace

from sqlalchemy import select

from app.propose.classes import is_stuff
from app.store.projects import Project, vocabulary
from app.store.schema import CategoryRow
from labelers.vocabulary import Vocabulary


def vocabulary_with_stuff(project: Project) -> Vocabulary:
    """``app.store.projects.vocabulary``, with stuff marked. Classes that were made in the project are things."""
    with project.database.reading() as session:
        rows = session.execute(
            select(CategoryRow.name, CategoryRow.raw).where(CategoryRow.project_id == project.id)
        ).all()
    stuff = {name for name, raw in rows if raw is not None and _says_stuff(raw)}
    return Vocabulary(tuple(replace(entry, stuff=entry.name in stuff) for entry in vocabulary(project).entries))


def _says_stuff(raw: str) -> bool:
    found = json.loads(raw)
    return isinstance(found, dict) and is_stuff(found)
