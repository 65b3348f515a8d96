"""How an act is written: annotators take turns, photos and annotations are locked, events go beside the rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.store.annotations import last_actor, no_annotation
from app.store.checks import is_id
from app.store.errors import Conflict
from app.store.images import find_image
from app.store.leases import refuse_if_held
from app.store.projects import Project
from app.store.records import AnnotationRecord, AnnotationValues
from app.store.schema import ActRow, AnnotationRow, EventRow, ImageRow
from app.store.values import record_of, to_json, values_of


@dataclass(frozen=True)
class Committed:
    """What an act did.

    Attributes:
        annotations: as they stand now, in the order of the changes.
        undone: kind of the act that an undo took back or a redo brought back, None for other acts.
    """

    act_id: int
    kind: str
    image_id: int | None
    annotations: tuple[AnnotationRecord, ...]
    undone: str | None = None


@dataclass(frozen=True)
class Touched:
    """An annotation that an act is about to change, with what it was before: None where the act makes it."""

    row: AnnotationRow
    image: ImageRow
    before: AnnotationValues | None

    @property
    def record(self) -> AnnotationRecord:
        return record_of(self.row, width=self.image.width, height=self.image.height)

    @property
    def values(self) -> AnnotationValues:
        return values_of(self.row, width=self.image.width, height=self.image.height)


@dataclass(frozen=True)
class Stamp:
    """What an act says of itself."""

    actor: str
    kind: str
    image_id: int | None
    at: float
    reverses: int | None = None
    root: int | None = None


def take_turns(session: Session, project: Project, actor: str) -> None:
    """Acts of one annotator follow one another, be they in several windows: undo depends on their order."""
    if session.get_bind().dialect.name == "postgresql":
        digest = hashlib.blake2b(f"{project.id} {actor}".encode(), digest_size=8).digest()
        key = int.from_bytes(digest, "big", signed=True)
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


@dataclass(frozen=True)
class Locked:
    """Photos and annotations that nobody else can change until the transaction ends, by id."""

    images: Mapping[int, ImageRow]
    annotations: Mapping[int, AnnotationRow]

    def touch(self, annotation_id: int) -> Touched:
        """Note what an annotation is before it changes."""
        row = self.annotations[annotation_id]
        image = self.images[row.image_id]
        return Touched(row=row, image=image, before=values_of(row, width=image.width, height=image.height))


def lock(
    session: Session, project: Project, ids: Iterable[int], *, image_id: int | None, actor: str, at: float
) -> Locked:
    """Lock photos before annotations, each in the order of their ids: so no two acts wait for one another.

    Raises:
        NotFound, Leased: as ``commit``.
    """
    wanted = list(ids)
    for number in wanted:
        if not is_id(number):
            raise no_annotation(project, number)
    mine = AnnotationRow.id.in_(wanted), AnnotationRow.project_id == project.id
    photos_of = session.execute(select(AnnotationRow.id, AnnotationRow.image_id).where(*mine))
    photo_of = {row.id: row.image_id for row in photos_of}
    for number in wanted:
        if number not in photo_of or (image_id is not None and photo_of[number] != image_id):
            raise no_annotation(project, number)
    photos = set(photo_of.values()) if image_id is None else {image_id}
    images = {number: _free_photo(session, project, number, actor=actor, at=at) for number in sorted(photos)}
    rows = session.scalars(select(AnnotationRow).where(*mine).order_by(AnnotationRow.id).with_for_update())
    return Locked(images=images, annotations={row.id: row for row in rows})


def _free_photo(session: Session, project: Project, image_id: int, *, actor: str, at: float) -> ImageRow:
    photo = find_image(session, project, image_id, lock=True)
    refuse_if_held(photo, actor=actor, at=at)
    return photo


def conflict(session: Session, touched: Touched) -> Conflict:
    """The error for an annotation that is not as the caller last saw it. To be made before the row is changed."""
    theirs = touched.record
    with session.no_autoflush:
        who = last_actor(session, theirs.id)
    did = "deleted" if theirs.deleted else "changed"
    return Conflict(
        f"{who} {did} annotation {theirs.id} in the meantime; look at it as it is now and do it again",
        theirs=theirs,
        by=who,
    )


def record(session: Session, project: Project, touched: Sequence[Touched], stamp: Stamp) -> Committed:
    """Write the rows, the act and its events."""
    session.flush()  # gives new annotations their ids
    act = ActRow(
        project_id=project.id,
        image_id=stamp.image_id,
        actor=stamp.actor,
        kind=stamp.kind,
        reverses=stamp.reverses,
        root=stamp.root,
        created_at=stamp.at,
    )
    session.add(act)
    session.flush()
    session.add_all(
        EventRow(
            act_id=act.id,
            annotation_id=one.row.id,
            before=None if one.before is None else to_json(one.before),
            after=to_json(one.values),
        )
        for one in touched
    )
    session.flush()
    return Committed(
        act_id=act.id,
        kind=stamp.kind,
        image_id=stamp.image_id,
        annotations=tuple(one.record for one in touched),
    )
