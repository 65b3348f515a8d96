"""The tables. Change one here and add a migration; a test holds the two together on both databases.

Text columns named ``raw`` and ``frame`` hold JSON as the imported file has it, so that export gives back what it does
not know. They stand last in their tables, with the masks: SQLite reads a row from the left, and the queue and the
progress counts never get that far.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    MetaData,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_REVIEW_RANK = "CASE WHEN counts IS NULL AND x0 IS NOT NULL THEN -1.0 WHEN quality IS NULL THEN 2.0 ELSE quality END"


def review_rank(*, x0: float | None, counts: str | None, quality: float | None) -> float:
    """Place of an annotation in the queue by quality: a box without a mask, then 0 to 1, then a mask without score."""
    if counts is None and x0 is not None:
        return -1.0
    return 2.0 if quality is None else quality


class Base(DeclarativeBase):
    """Constraints get names by rule, so that a migration can name them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: Text, float: Double}  # noqa: RUF012 (SQLAlchemy reads it from the class)


class ProjectRow(Base):
    """``frame``: JSON of the imported file's top level without images, annotations, categories; and its key order."""

    __tablename__ = "projects"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    images_root: Mapped[str]
    source: Mapped[str | None]
    source_sha256: Mapped[str | None]
    created_at: Mapped[float]
    frame: Mapped[str] = mapped_column(server_default="{}")


class ImageRow(Base):
    """A photo. ``source_key`` is the COCO image id as JSON text, ``raw`` the COCO element.

    ``shuffle`` is its place in the random order, drawn at import. ``queue_order`` and ``queue_rank`` say in which order
    and with which rank the photo was last handed out, so that the queue goes on from there after its masks changed.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("project_id", "position"),
        Index(None, "project_id", "shuffle"),
        Index(None, "project_id", "lease_by"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    position: Mapped[int]
    shuffle: Mapped[int]
    reviewed: Mapped[bool] = mapped_column(server_default=false())
    lease_by: Mapped[str | None]
    lease_until: Mapped[float | None]
    queue_order: Mapped[str | None]
    queue_rank: Mapped[float | None]
    file_name: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    orientation: Mapped[int]
    frame_orientation: Mapped[int]
    frame_width: Mapped[int]
    frame_height: Mapped[int]
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str | None]
    problem: Mapped[str | None]
    source_key: Mapped[str | None]
    raw: Mapped[str | None] = mapped_column(deferred=True)


class CategoryRow(Base):
    """A class. ``synonyms`` is a JSON list of prompts; empty means the name itself."""

    __tablename__ = "categories"
    __table_args__ = (UniqueConstraint("project_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    position: Mapped[int]
    source_id: Mapped[str | None]
    name: Mapped[str]
    colour: Mapped[str]
    synonyms: Mapped[str] = mapped_column(server_default="[]")
    raw: Mapped[str | None] = mapped_column(deferred=True)


def _review_rank_of_insert(context: DefaultExecutionContext) -> float:
    given = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return review_rank(x0=given.get("x0"), counts=given.get("counts"), quality=given.get("quality"))


class AnnotationRow(Base):
    """A box and its mask, xyxy pixels of the upright photo. Never removed: ``deleted`` hides it.

    ``counts`` is the compressed COCO RLE of the upright photo, whose size is the image's. ``box_changed``,
    ``mask_changed`` and ``category_changed`` tell what differs from ``raw``, and so what export rewrites.
    ``review_rank`` follows from other columns, which the database checks: the queue needs it in an index.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        # All that the queue and the progress counts ask for, so that they never touch the rows with the masks.
        Index("ix_annotations_review", "project_id", "image_id", "deleted", "state", "review_rank", "category_id"),
        Index("ix_annotations_tally", "project_id", "deleted", "state", "author", "category_id"),
        Index(None, "project_id", "position"),
        CheckConstraint("state IN ('proposed', 'accepted', 'rejected', 'needs work')", name="state"),
        CheckConstraint(f"review_rank = {_REVIEW_RANK}", name="review_rank"),
        CheckConstraint("form IN ('auto', 'polygon', 'rle')", name="form"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    category_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))
    position: Mapped[int]
    version: Mapped[int] = mapped_column()
    deleted: Mapped[bool] = mapped_column(server_default=false())
    state: Mapped[str]
    quality: Mapped[float | None]
    author: Mapped[str]
    source: Mapped[str]
    form: Mapped[str] = mapped_column(server_default="auto")
    simplify: Mapped[float] = mapped_column(server_default="0")
    iscrowd: Mapped[bool] = mapped_column(server_default=false())
    x0: Mapped[float | None]
    y0: Mapped[float | None]
    x1: Mapped[float | None]
    y1: Mapped[float | None]
    box_changed: Mapped[bool] = mapped_column(server_default=false())
    mask_changed: Mapped[bool] = mapped_column(server_default=false())
    category_changed: Mapped[bool] = mapped_column(server_default=false())
    created_at: Mapped[float]
    updated_at: Mapped[float]
    review_rank: Mapped[float] = mapped_column(default=_review_rank_of_insert)
    source_key: Mapped[str | None]
    counts: Mapped[str | None]
    raw: Mapped[str | None] = mapped_column(deferred=True)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 (SQLAlchemy reads it from the class)


class ActRow(Base):
    """Something that somebody did: any number of annotations in one transaction. Append-only.

    ``reverses`` is the act that an undo takes back, or the undo that a redo takes back; unique, so that no act is taken
    back twice. ``root`` is the act at the start of such a chain.
    """

    __tablename__ = "acts"
    __table_args__ = (
        UniqueConstraint("reverses"),
        Index(None, "project_id", "actor", "kind"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"))
    actor: Mapped[str]
    kind: Mapped[str]
    reverses: Mapped[int | None] = mapped_column(ForeignKey("acts.id"))
    root: Mapped[int | None] = mapped_column(ForeignKey("acts.id"))
    created_at: Mapped[float]


class EventRow(Base):
    """What an act did to one annotation: its values before (None: it did not exist) and after, as JSON. Append-only."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("act_id", "annotation_id"), Index(None, "annotation_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    act_id: Mapped[int] = mapped_column(ForeignKey("acts.id"))
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))
    before: Mapped[str | None]
    after: Mapped[str]


class ModelRunRow(Base):
    """One pass of a labeler over the project. ``settings`` is a JSON object."""

    __tablename__ = "model_runs"
    __table_args__ = (Index(None, "project_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    labeler: Mapped[str]
    version: Mapped[str]
    settings: Mapped[str] = mapped_column(server_default="{}")
    started_at: Mapped[float]
    finished_at: Mapped[float | None]
    photos: Mapped[int] = mapped_column(server_default="0")
    annotations: Mapped[int] = mapped_column(server_default="0")
