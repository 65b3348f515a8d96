"""Projects of a database and their classes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.reports.colours import colour_at
from app.store.checks import checked_colour, checked_text, is_id
from app.store.database import Database
from app.store.errors import NotFound, StoreError
from app.store.records import CategoryRecord, ProjectRecord
from app.store.schema import ActRow, CategoryRow, ProjectRow
from labelers.vocabulary import Entry, Vocabulary

_MAX_SYNONYMS = 50


@dataclass(frozen=True)
class Project:
    """A project of an open database: what every function of the store works on.

    Attributes:
        images_root: the folder that file names are relative to.
    """

    database: Database
    id: int
    name: str
    images_root: Path


def create_project(
    database: Database,
    *,
    name: str,
    images_root: str | Path,
    source: str | None = None,
    source_sha256: str | None = None,
    frame: str = "{}",
    now: Callable[[], float] = time.time,
) -> Project:
    """An empty project.

    Raises:
        StoreError: a project of this name is there, or the name is not a line of text.
    """
    with database.writing() as session:
        return new_project(
            session,
            database,
            name=name,
            images_root=images_root,
            source=source,
            source_sha256=source_sha256,
            frame=frame,
            now=now,
        )


def new_project(
    session: Session,
    database: Database,
    *,
    name: str,
    images_root: str | Path,
    source: str | None,
    source_sha256: str | None,
    frame: str,
    now: Callable[[], float] = time.time,
) -> Project:
    """``create_project`` within the caller's transaction, so that an import is all or nothing."""
    checked_text(name, "the project's name")
    if session.scalar(select(ProjectRow.id).where(ProjectRow.name == name)) is not None:
        raise StoreError(f"project {name!r} is already in {database.url}; choose another name")
    row = ProjectRow(
        name=name,
        images_root=str(images_root),
        source=source,
        source_sha256=source_sha256,
        frame=frame,
        created_at=now(),
    )
    session.add(row)
    session.flush()
    return Project(database=database, id=row.id, name=name, images_root=Path(images_root))


def projects(database: Database) -> list[ProjectRecord]:
    """All projects, oldest first."""
    with database.reading() as session:
        rows = session.scalars(select(ProjectRow).order_by(ProjectRow.id)).all()
    return [
        ProjectRecord(
            id=row.id,
            name=row.name,
            images_root=row.images_root,
            source=row.source,
            source_sha256=row.source_sha256,
            created_at=row.created_at,
        )
        for row in rows
    ]


def open_project(database: Database, name: str | None = None) -> Project:
    """The project of this name, or the only one.

    Raises:
        StoreError: there is none, or several and no name was given; the message lists the names.
    """
    found = projects(database)
    chosen = [record for record in found if name in (None, record.name)]
    if len(chosen) != 1:
        names = ", ".join(repr(record.name) for record in found) or "none"
        wish = "has no project" if not found else "has several projects" if name is None else f"has no project {name!r}"
        remedy = "import a dataset first" if not found else f"choose one of {names}"
        raise StoreError(f"{database.url} {wish}; {remedy}")
    record = chosen[0]
    return Project(database=database, id=record.id, name=record.name, images_root=Path(record.images_root))


def categories(project: Project) -> list[CategoryRecord]:
    """The classes in the order of the imported file, new ones after."""
    with project.database.reading() as session:
        rows = session.scalars(
            select(CategoryRow).where(CategoryRow.project_id == project.id).order_by(CategoryRow.position)
        ).all()
    return [_record(row) for row in rows]


def add_category(project: Project, name: str, *, actor: str, now: Callable[[], float] = time.time) -> CategoryRecord:
    """A new class at the end of the list.

    Raises:
        StoreError: a class of this name is there, or the name is not a line of text.
    """
    checked_text(name, "the class name")
    checked_text(actor, "the annotator's name")
    with project.database.writing() as session:
        # Two annotators may add classes at once; the project's row makes them take turns.
        session.execute(select(ProjectRow.id).where(ProjectRow.id == project.id).with_for_update())
        mine = CategoryRow.project_id == project.id
        if session.scalar(select(CategoryRow.id).where(mine, CategoryRow.name == name).limit(1)) is not None:
            raise StoreError(f"class {name!r} is already there; use it, or choose another name")
        last = session.scalar(select(func.max(CategoryRow.position)).where(mine))
        position = 0 if last is None else last + 1
        colour = colour_at(position)
        row = CategoryRow(project_id=project.id, position=position, name=name, colour=colour, synonyms="[]")
        session.add(row)
        session.add(ActRow(project_id=project.id, actor=actor, kind="class", created_at=now()))
        session.flush()
        return _record(row)


def set_synonyms(project: Project, category_id: int, synonyms: Sequence[str]) -> CategoryRecord:
    """What the class is called in prompts; none for its name alone.

    Raises:
        NotFound: no such class in this project.
        StoreError: too many, or not lines of text.
    """
    if isinstance(synonyms, str) or len(synonyms) > _MAX_SYNONYMS:
        raise StoreError(f"synonyms are a list of at most {_MAX_SYNONYMS} prompts")
    prompts = list(dict.fromkeys(checked_text(prompt, "a synonym") for prompt in synonyms))
    with project.database.writing() as session:
        row = _category(session, project, category_id)
        row.synonyms = json.dumps(prompts)
        return _record(row)


def set_colour(project: Project, category_id: int, colour: str) -> CategoryRecord:
    """``#rrggbb``.

    Raises:
        NotFound: no such class in this project.
        StoreError: not a colour.
    """
    checked = checked_colour(colour)
    with project.database.writing() as session:
        row = _category(session, project, category_id)
        row.colour = checked
        return _record(row)


def vocabulary(project: Project) -> Vocabulary:
    """Class names and their prompts. Classes of the same name share their prompts."""
    prompts: dict[str, list[str]] = {}
    for category in categories(project):
        prompts.setdefault(category.name, []).extend(category.synonyms)
    return Vocabulary(
        tuple(
            Entry(name, tuple(dict.fromkeys(synonyms)) or ((name,) if name.strip() else ("object",)))
            for name, synonyms in prompts.items()
        )
    )


def _category(session: Session, project: Project, category_id: int) -> CategoryRow:
    row = session.get(CategoryRow, category_id, with_for_update=True) if is_id(category_id) else None
    if row is None or row.project_id != project.id:
        raise NotFound(f"project {project.name!r} has no class {category_id}; load its classes anew")
    return row


def _record(row: CategoryRow) -> CategoryRecord:
    return CategoryRecord(
        id=row.id,
        position=row.position,
        name=row.name,
        colour=row.colour,
        synonyms=tuple(json.loads(row.synonyms)),
    )
