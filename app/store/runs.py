"""Passes of a labeler over a project: which model, which settings, how much."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from app.store.checks import is_id
from app.store.errors import NotFound
from app.store.projects import Project
from app.store.records import ModelRunRecord
from app.store.schema import ModelRunRow


def begin_run(
    project: Project,
    *,
    labeler: str,
    version: str,
    settings: Mapping[str, Any],
    now: Callable[[], float] = time.time,
) -> int:
    """Note that a labeler starts; gives the run's id. A run that is never finished was interrupted."""
    row = ModelRunRow(
        project_id=project.id,
        labeler=labeler,
        version=version,
        settings=json.dumps(settings, sort_keys=True),
        started_at=now(),
    )
    with project.database.writing() as session:
        session.add(row)
        session.flush()
        return row.id


def finish_run(
    project: Project, run_id: int, *, photos: int, annotations: int, now: Callable[[], float] = time.time
) -> None:
    """Note how many photos were done and how many annotations got a mask.

    Raises:
        NotFound: the run is not of this project.
    """
    with project.database.writing() as session:
        row = session.get(ModelRunRow, run_id) if is_id(run_id) else None
        if row is None or row.project_id != project.id:
            raise NotFound(f"project {project.name!r} has no model run {run_id}")
        row.finished_at, row.photos, row.annotations = now(), photos, annotations


def runs(project: Project) -> list[ModelRunRecord]:
    """All runs, oldest first."""
    statement = select(ModelRunRow).where(ModelRunRow.project_id == project.id).order_by(ModelRunRow.id)
    with project.database.reading() as session:
        rows = session.scalars(statement).all()
    return [
        ModelRunRecord(
            id=row.id,
            labeler=row.labeler,
            version=row.version,
            settings=json.loads(row.settings),
            started_at=row.started_at,
            finished_at=row.finished_at,
            photos=row.photos,
            annotations=row.annotations,
        )
        for row in rows
    ]
