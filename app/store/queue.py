"""The review queue: which photo an annotator gets next.

A photo has work if nobody marked it as reviewed and it has an annotation that somebody must look at, or none at all.
Each order gives photos a rank, and their place in the file decides between equals. The queue goes on after the
annotator's current photo and wraps around; photos that others hold are left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, not_, or_, select, tuple_
from sqlalchemy.orm import Session

from app.store.checks import checked_state, checked_text, is_id
from app.store.errors import StoreError
from app.store.images import find_image, image_record
from app.store.leases import LEASE_SECONDS, checked_lease, claim, free_for, refuse_if_held, release, renew
from app.store.projects import Project
from app.store.records import PENDING, ImageRecord, State
from app.store.schema import ActRow, AnnotationRow, CategoryRow, ImageRow

__all__ = ["Order", "claim", "has_work", "next_image", "release", "renew", "set_reviewed", "upcoming"]

_NOTHING = 3.0
"""Rank by quality of a photo without annotations: after all others (see ``app.store.schema.review_rank``)."""

_NO_CLASS, _NO_ANNOTATION = 1e9, 2e9
"""Ranks by class are places in the list of classes; unknown classes and photos without annotations come last."""


class Order(StrEnum):
    """QUALITY: worst mask first, photos with boxes that have none before all. RANDOM: the same for everybody."""

    QUALITY = "quality"
    CLASS = "class"
    FILE = "file"
    RANDOM = "random"


def next_image(
    project: Project,
    *,
    actor: str,
    order: Order | str = Order.QUALITY,
    after: int | None = None,
    category_id: int | None = None,
    states: Sequence[State | str] = PENDING,
    forward: bool = True,
    include_empty: bool = True,
    include_done: bool = False,
    lease_seconds: float = LEASE_SECONDS,
    now: Callable[[], float] = time.time,
) -> ImageRecord | None:
    """The next photo that has work, leased to the annotator; None where there is no more.

    Args:
        after: the photo to go on from; it is given back if the annotator holds it, and comes again only where nothing
            else has work.
        category_id: only photos with work of this class.
        states: what counts as work.
        forward: False goes through the same order backwards.
        include_empty: whether a photo without annotations has work.
        include_done: take photos without work too, to leaf through all of them.

    Raises:
        NotFound: ``after`` is not in this project.
        StoreError: unknown order or state, or a lease of impossible length.
    """
    checked_text(actor, "the annotator's name")
    checked_lease(lease_seconds)
    wish = _wish(project, order, category_id, states, include_empty, include_done)
    with project.database.writing() as session:
        at = now()
        parts = _queue(session, wish, actor=actor, after=after, forward=forward, at=at)
        # Photos that others are just taking are passed over. Only where nothing else is left is it worth waiting: what
        # locks the last photo may be a save, not a claim.
        found = _first(session, parts, skip_locked=True) or _first(session, parts, skip_locked=False)
        if found is None:
            return None
        row = session.get_one(ImageRow, found.id)
        row.lease_by, row.lease_until = actor, at + lease_seconds
        row.queue_order, row.queue_rank = wish.order.value, float(found.rank)
        if after is not None and after != row.id:
            _give_back(session, after, actor)
        return image_record(row)


def upcoming(
    project: Project,
    *,
    actor: str,
    order: Order | str = Order.QUALITY,
    after: int | None = None,
    category_id: int | None = None,
    states: Sequence[State | str] = PENDING,
    forward: bool = True,
    include_empty: bool = True,
    include_done: bool = False,
    count: int = 2,
    now: Callable[[], float] = time.time,
) -> list[int]:
    """Ids of the photos that ``next_image`` would likely give, without leasing them: to prepare them."""
    wish = _wish(project, order, category_id, states, include_empty, include_done)
    with project.database.reading() as session:
        found: list[int] = []
        for part in _queue(session, wish, actor=actor, after=after, forward=forward, at=now())[:2]:
            found += session.scalars(part.limit(count - len(found)))
    return found


def set_reviewed(
    project: Project, image_id: int, *, actor: str, reviewed: bool, now: Callable[[], float] = time.time
) -> ImageRecord:
    """Mark a photo as done, whatever its annotations say, or take the mark away.

    Raises:
        Leased: somebody else works on it.
        NotFound: it is not in this project.
    """
    checked_text(actor, "the annotator's name")
    with project.database.writing() as session:
        row = find_image(session, project, image_id, lock=True)
        at = now()
        refuse_if_held(row, actor=actor, at=at)
        row.reviewed = reviewed
        kind = "reviewed" if reviewed else "not reviewed"
        session.add(ActRow(project_id=project.id, image_id=image_id, actor=actor, kind=kind, created_at=at))
        return image_record(row)


def has_work(
    states: Sequence[State] = PENDING, *, category_id: int | None = None, include_empty: bool = True
) -> ColumnElement[bool]:
    """SQL on ``ImageRow``: the photo has work.

    Written as a subquery for each photo. With joins or EXISTS, PostgreSQL reads all annotations before it answers, or
    compares all with all where it has no statistics yet.
    """
    live = select(AnnotationRow.id).where(
        AnnotationRow.project_id == ImageRow.project_id,  # the index starts with it
        AnnotationRow.image_id == ImageRow.id,
        AnnotationRow.deleted.is_(False),
    )
    pending = live.where(AnnotationRow.state.in_(states))
    if category_id is not None:
        pending = pending.where(AnnotationRow.category_id == category_id)
    work: ColumnElement[bool] = pending.limit(1).scalar_subquery().is_not(None)
    if include_empty and category_id is None:
        work = or_(work, live.limit(1).scalar_subquery().is_(None))
    return and_(ImageRow.reviewed.is_(False), work)


@dataclass(frozen=True)
class _Wish:
    """Which photos, in which order."""

    project: Project
    order: Order
    category_id: int | None
    states: Sequence[State]
    include_empty: bool
    include_done: bool


def _wish(
    project: Project,
    order: Order | str,
    category_id: int | None,
    states: Sequence[State | str],
    include_empty: bool,
    include_done: bool,
) -> _Wish:
    if order not in tuple(Order):
        raise StoreError(f"order {order!r} is unknown; use one of {', '.join(Order)}")
    if category_id is not None and not is_id(category_id):
        raise StoreError(f"project {project.name!r} has no class {category_id!r}; load its classes anew")
    wanted = tuple(State) if include_done else tuple(checked_state(state) for state in states)
    return _Wish(project, Order(order), category_id, wanted, include_empty, include_done)


def _queue(
    session: Session, wish: _Wish, *, actor: str, after: int | None, forward: bool, at: float
) -> list[Select[int, float]]:
    """Photos with work that nobody else holds, and their ranks: those beyond ``after``, those before it, and itself.

    Three queries rather than one that sorts: the first mostly has what is wanted, and can stop at once where an index
    has the order.
    """
    rank = _rank(wish)
    statement = select(ImageRow.id, rank.label("rank")).where(
        ImageRow.project_id == wish.project.id, free_for(actor, at)
    )
    if not wish.include_done:
        work = has_work(wish.states, category_id=wish.category_id, include_empty=wish.include_empty)
        statement = statement.where(work)
    elif wish.category_id is not None:
        statement = statement.where(ImageRow.id.in_(_in_category(wish.project, wish.category_id)))
    key = (rank, ImageRow.position)
    ordered = statement.order_by(*(key if forward else (part.desc() for part in key)))
    if after is None:
        return [ordered]
    here = find_image(session, wish.project, after)
    there = tuple_(*_key_of(session, wish, here))
    beyond = tuple_(*key) > there if forward else tuple_(*key) < there
    others = ordered.where(ImageRow.id != after)
    return [others.where(beyond), others.where(not_(beyond)), statement.where(ImageRow.id == after)]


def _first(session: Session, parts: Sequence[Select[int, float]], *, skip_locked: bool) -> Row[int, float] | None:
    """The first photo of the first part that has any, locked."""
    for part in parts:
        locking = part.limit(1).with_for_update(of=ImageRow, key_share=True, skip_locked=skip_locked)
        if (found := session.execute(locking).first()) is not None:
            return found
    return None


def _rank(wish: _Wish) -> ColumnElement[Any]:
    """SQL on ``ImageRow``: the photo's place in the order, by its annotations in the wished states."""
    if wish.order is Order.FILE:
        return ImageRow.position.expression
    if wish.order is Order.RANDOM:
        return ImageRow.shuffle.expression
    worst: ColumnElement[Any]
    if wish.order is Order.QUALITY:
        worst, missing = AnnotationRow.review_rank.expression, _NOTHING
    else:
        place = select(CategoryRow.position).where(CategoryRow.id == AnnotationRow.category_id).scalar_subquery()
        worst, missing = func.coalesce(place, _NO_CLASS), _NO_ANNOTATION
    of_photo = select(func.min(worst)).where(
        AnnotationRow.project_id == ImageRow.project_id,
        AnnotationRow.image_id == ImageRow.id,
        AnnotationRow.deleted.is_(False),
        AnnotationRow.state.in_(wish.states),
    )
    if wish.category_id is not None:
        of_photo = of_photo.where(AnnotationRow.category_id == wish.category_id)
    return func.coalesce(of_photo.scalar_subquery(), missing)


def _in_category(project: Project, category_id: int) -> Select[int]:
    return select(AnnotationRow.image_id).where(
        AnnotationRow.project_id == project.id,
        AnnotationRow.deleted.is_(False),
        AnnotationRow.category_id == category_id,
    )


def _key_of(session: Session, wish: _Wish, here: ImageRow) -> tuple[float, int]:
    """Where in the order the annotator is: by the rank that their photo was handed out with, had its masks changed."""
    if here.queue_order == wish.order and here.queue_rank is not None:
        return here.queue_rank, here.position
    with_work, at_all = (
        session.execute(select(_rank(replace(wish, states=states)).label("rank")).where(ImageRow.id == here.id)).one()
        for states in (wish.states, tuple(State))
    )
    nothing = _NOTHING if wish.order is Order.QUALITY else _NO_ANNOTATION
    return (at_all if with_work.rank == nothing else with_work).rank, here.position


def _give_back(session: Session, image_id: int, actor: str) -> None:
    """End the annotator's own lease. A row that is locked keeps it till it runs out: waiting could be a deadlock."""
    mine = select(ImageRow).where(ImageRow.id == image_id, ImageRow.lease_by == actor)
    row = session.scalar(mine.with_for_update(key_share=True, skip_locked=True))
    if row is not None:
        row.lease_by = row.lease_until = None
