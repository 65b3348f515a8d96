"""The photos of a project."""

from __future__ import annotations

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session

from app.store.checks import is_id
from app.store.errors import NotFound
from app.store.projects import Project
from app.store.records import PENDING, ImageRecord, ImageSummary
from app.store.schema import AnnotationRow, ImageRow


def image(project: Project, image_id: int) -> ImageRecord:
    """One photo.

    Raises:
        NotFound: it is not in this project.
    """
    with project.database.reading() as session:
        return image_record(find_image(session, project, image_id))


def image_count(project: Project) -> int:
    """How many photos the project has."""
    with project.database.reading() as session:
        return session.scalar(select(func.count()).where(ImageRow.project_id == project.id)) or 0


def list_images(project: Project, *, offset: int = 0, limit: int = 100, search: str = "") -> list[ImageSummary]:
    """A page of the photos in file order, those whose file name contains ``search`` (in any case)."""
    mine = select(ImageRow.id).where(ImageRow.project_id == project.id)
    if search:
        mine = mine.where(ImageRow.file_name.icontains(search, autoescape=True))
    page = mine.order_by(ImageRow.position).offset(offset).limit(limit).subquery()
    pending = case((AnnotationRow.state.in_(PENDING), 1), else_=0)
    statement = (
        select(ImageRow, func.coalesce(func.sum(pending), 0), func.count(AnnotationRow.id))
        .select_from(ImageRow)
        .outerjoin(
            AnnotationRow,
            and_(
                AnnotationRow.project_id == project.id,  # the index starts with it
                AnnotationRow.image_id == ImageRow.id,
                AnnotationRow.deleted.is_(False),
            ),
        )
        .where(ImageRow.id.in_(select(page.c.id)))
        .group_by(ImageRow.id)
        .order_by(ImageRow.position)
    )
    with project.database.reading() as session:
        rows = session.execute(statement).all()
    return [
        ImageSummary(
            id=row.id,
            position=row.position,
            file_name=row.file_name,
            pending=int(pending),
            total=total,
            reviewed=row.reviewed,
            problem=row.problem,
        )
        for row, pending, total in rows
    ]


def note_photo(project: Project, image_id: int, *, sha256: str, size: int) -> str | None:
    """Remember the photo's hash when it is first opened, and compare it ever after.

    A photo that was missing or broken when it was imported has no problem any more.

    Args:
        sha256: of the file, which was read without a fault; ``size``: its bytes.

    Returns:
        What to tell the annotator where the file is no longer the one that was labelled, None where all is well.

    Raises:
        NotFound: the photo is not in this project.
    """
    known = image(project, image_id).sha256
    if known is None:
        with project.database.writing() as session:
            row = find_image(session, project, image_id, lock=True)
            if row.sha256 is None:
                row.sha256 = sha256
                if row.file_size is None:
                    row.file_size, row.problem = size, None
            known = row.sha256
    if known == sha256:
        return None
    return "the file changed since it was first opened here; its masks may not fit any more"


def find_image(session: Session, project: Project, image_id: int, *, lock: bool = False) -> ImageRow:
    """The row of a photo of this project; ``lock`` keeps other writers away until the transaction ends.

    Raises:
        NotFound: it is not in this project.
    """
    statement = select(ImageRow).where(ImageRow.id == image_id, ImageRow.project_id == project.id)
    row = session.scalar(statement.with_for_update(key_share=True) if lock else statement) if is_id(image_id) else None
    if row is None:
        raise NotFound(f"project {project.name!r} has no photo {image_id}; go on with the next one")
    return row


def image_record(row: ImageRow) -> ImageRecord:
    """For callers."""
    return ImageRecord(
        id=row.id,
        position=row.position,
        file_name=row.file_name,
        width=row.width,
        height=row.height,
        orientation=row.orientation,
        frame_orientation=row.frame_orientation,
        frame_width=row.frame_width,
        frame_height=row.frame_height,
        problem=row.problem,
        reviewed=row.reviewed,
        lease_by=row.lease_by,
        lease_until=row.lease_until,
        sha256=row.sha256,
    )
