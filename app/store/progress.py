"""How far a project is, in a few aggregates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Select, func, not_, select
from sqlalchemy.orm import aliased

from app.store.acts import NOT_UNDOABLE, REVERSING
from app.store.projects import Project
from app.store.queue import has_work
from app.store.records import State
from app.store.schema import ActRow, AnnotationRow, CategoryRow, ImageRow

MACHINES = ("import", "convert-boxes")
"""Actors that are no annotators. Nobody should log in under these names."""

_JUDGING = ("accept", "reject", "needs work", "propose")


@dataclass(frozen=True)
class AnnotatorProgress:
    """What one annotator did.

    Attributes:
        accepted, rejected, needs_work: annotations whose state is theirs: they changed them last.
        edited: acts of theirs that changed more than a state and were not undone.
    """

    name: str
    accepted: int
    rejected: int
    needs_work: int
    edited: int


@dataclass(frozen=True)
class ClassProgress:
    """Annotations of one class by state; ``category_id`` None gathers those of unknown classes."""

    category_id: int | None
    name: str
    states: Mapping[State, int]


@dataclass(frozen=True)
class Progress:
    """How far the project is. Deleted annotations don't count.

    Attributes:
        images_done: photos without work (``app.store.queue``).
        states: number of annotations in each state; every state is there.
        annotators: by name. classes: in the project's order.
    """

    images: int
    images_done: int
    states: Mapping[State, int]
    annotators: tuple[AnnotatorProgress, ...]
    classes: tuple[ClassProgress, ...]


def progress(project: Project) -> Progress:
    """Count now, all at one moment."""
    image_count = select(func.count()).select_from(ImageRow).where(ImageRow.project_id == project.id)
    tally = (
        select(AnnotationRow.state, AnnotationRow.author, AnnotationRow.category_id, func.count().label("number"))
        .where(AnnotationRow.project_id == project.id, AnnotationRow.deleted.is_(False))
        .group_by(AnnotationRow.state, AnnotationRow.author, AnnotationRow.category_id)
    )
    category_names = (
        select(CategoryRow.id, CategoryRow.name)
        .where(CategoryRow.project_id == project.id)
        .order_by(CategoryRow.position)
    )
    with project.database.reading() as session:
        images = session.scalar(image_count) or 0
        done = session.scalar(image_count.where(not_(has_work()))) or 0
        tallied = session.execute(tally).all()
        edits = {row.actor: row.number for row in session.execute(_edits(project))}
        classes = [(row.id, row.name) for row in session.execute(category_names)]
    states: Counter[State] = Counter()
    by_author: defaultdict[str, Counter[State]] = defaultdict(Counter)
    by_class: defaultdict[int | None, Counter[State]] = defaultdict(Counter)
    for row in tallied:
        for counter in (states, by_author[row.author], by_class[row.category_id]):
            counter[State(row.state)] += row.number
    people = sorted({*by_author, *edits}.difference(MACHINES))
    unknown = [(None, "unknown class")] if None in by_class else []
    return Progress(
        images=images,
        images_done=done,
        states=_all_states(states),
        annotators=tuple(
            AnnotatorProgress(
                name=name,
                accepted=by_author[name][State.ACCEPTED],
                rejected=by_author[name][State.REJECTED],
                needs_work=by_author[name][State.NEEDS_WORK],
                edited=edits.get(name, 0),
            )
            for name in people
        ),
        classes=tuple(
            ClassProgress(category_id=number, name=name, states=_all_states(by_class[number]))
            for number, name in [*classes, *unknown]
        ),
    )


def _edits(project: Project) -> Select[str, int]:
    later = aliased(ActRow)
    return (
        select(ActRow.actor, func.count().label("number"))
        .where(
            ActRow.project_id == project.id,
            ActRow.kind.not_in((*NOT_UNDOABLE, *REVERSING, *_JUDGING)),
            ~select(later.id).where(later.reverses == ActRow.id).exists(),
        )
        .group_by(ActRow.actor)
    )


def _all_states(counter: Counter[State]) -> dict[State, int]:
    return {state: counter[state] for state in State}
