"""Leases: a photo that one annotator works on is not handed to another until they go on or stop renewing.

Times are unix seconds of the machine that the server runs on; servers that share a database need clocks that agree to
within a few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, or_, select

from app.store.checks import checked_text
from app.store.errors import Leased, StoreError
from app.store.images import find_image, image_record
from app.store.projects import Project
from app.store.records import ImageRecord
from app.store.schema import ImageRow

LEASE_SECONDS = 300.0
_LONGEST_LEASE = 86400.0


def claim(
    project: Project,
    image_id: int,
    *,
    actor: str,
    lease_seconds: float = LEASE_SECONDS,
    now: Callable[[], float] = time.time,
) -> ImageRecord:
    """Take this very photo, or go on holding it.

    Raises:
        Leased: somebody else holds it.
        NotFound: it is not in this project.
    """
    checked_text(actor, "the annotator's name")
    checked_lease(lease_seconds)
    with project.database.writing() as session:
        row = find_image(session, project, image_id, lock=True)
        at = now()
        refuse_if_held(row, actor=actor, at=at)
        if row.lease_by != actor:
            row.queue_order = row.queue_rank = None
        row.lease_by, row.lease_until = actor, at + lease_seconds
        return image_record(row)


def renew(
    project: Project,
    image_id: int,
    *,
    actor: str,
    lease_seconds: float = LEASE_SECONDS,
    now: Callable[[], float] = time.time,
) -> ImageRecord:
    """Hold a photo longer. A lease that ran out is taken up again if nobody took the photo meanwhile.

    Raises:
        Leased: somebody else took it.
        NotFound: it is not in this project.
    """
    return claim(project, image_id, actor=actor, lease_seconds=lease_seconds, now=now)


def release(project: Project, actor: str, image_id: int | None = None) -> None:
    """Give back one photo, or all that the annotator holds. Harmless where they hold none."""
    held = select(ImageRow).where(ImageRow.project_id == project.id, ImageRow.lease_by == actor)
    if image_id is not None:
        held = held.where(ImageRow.id == image_id)
    with project.database.writing() as session:
        for row in session.scalars(held.order_by(ImageRow.id).with_for_update(key_share=True)):
            row.lease_by = row.lease_until = None


def free_for(actor: str, at: float) -> ColumnElement[bool]:
    """SQL: the photo is held by nobody else."""
    return or_(ImageRow.lease_by.is_(None), ImageRow.lease_by == actor, ImageRow.lease_until <= at)


def refuse_if_held(row: ImageRow, *, actor: str, at: float) -> None:
    """The same for a row at hand.

    Raises:
        Leased: somebody else holds it.
    """
    if row.lease_by not in (None, actor) and row.lease_until is not None and row.lease_until > at:
        raise Leased(image_id=row.id, file_name=row.file_name, by=str(row.lease_by), until=row.lease_until)


def checked_lease(seconds: float) -> None:
    """How long a photo may be held.

    Raises:
        StoreError: not a number of seconds, or more than a day.
    """
    if not 0 < seconds <= _LONGEST_LEASE:
        raise StoreError(f"a lease of {seconds} seconds is not possible; give up to {_LONGEST_LEASE:g}")
