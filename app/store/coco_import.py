"""A COCO file into a project, new or not, in one transaction: a killed import leaves nothing behind.

The file is read as a stream and inserted in batches, so memory depends on neither masks nor polygons.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.bulk import insert_act, insert_rows
from app.store.coco_merge import Merge, Merged
from app.store.coco_rows import (
    Look,
    Row,
    annotation_rows,
    category_key,
    category_values,
    image_values,
    look,
)
from app.store.database import Database
from app.store.errors import StoreError
from app.store.projects import Project, new_project
from app.store.schema import AnnotationRow, CategoryRow, ImageRow
from exporters.coco import CocoDocument
from exporters.coco_columns import Problems
from labelers.frames import ExifMode


def import_coco(
    db: Database,
    source: Path,
    *,
    images_root: Path,
    name: str,
    exif: ExifMode = "auto",
    on_read: Callable[[int], object] = lambda size: None,
    on_photo: Callable[[], object] = lambda: None,
    on_annotation: Callable[[], object] = lambda: None,
    on_note: Callable[[str], object] = lambda text: None,
) -> Project:
    """Read a COCO file into a new project.

    Args:
        images_root: folder of the photos. Those that are missing are imported too, with a ``problem``.
        name: of the project; must be new in this database.
        exif: which frame the boxes of rotated photos are in (``labelers.frames.decide``).
        on_read, on_photo, on_annotation: hear of bytes, photos and annotations, for progress.
        on_note: hears what is odd in the file, one text for each kind.

    Raises:
        CocoError: the file can't be read or was changed meanwhile.
        StoreError: the name is taken, or the database refuses.
    """
    with CocoDocument.open(source, on_read=on_read) as document:
        return import_document(
            db,
            document,
            images_root=images_root,
            name=name,
            exif=exif,
            on_photo=on_photo,
            on_annotation=on_annotation,
            on_note=on_note,
        )


def import_document(
    db: Database,
    document: CocoDocument,
    *,
    images_root: Path,
    name: str,
    exif: ExifMode = "auto",
    on_photo: Callable[[], object] = lambda: None,
    on_annotation: Callable[[], object] = lambda: None,
    on_note: Callable[[str], object] = lambda text: None,
) -> Project:
    """``import_coco`` of a document that is open already (detection results with their images file, say)."""
    root = images_root.resolve()
    if not root.is_dir():
        raise StoreError(f"{images_root}: there is no such folder of photos; give the right one with --images")
    looks: list[Look] = []
    for image in document.images:  # before the transaction: a slow disk must not keep others from writing
        looks.append(look(root, image, exif))
        on_photo()
    problems = Problems()
    with db.writing() as session:
        project = new_project(
            session,
            db,
            name=name,
            images_root=root,
            source=str(document.path.resolve()),
            source_sha256=sha256(document.path),
            frame=frame_of(document),
        )
        insert_act(session, project.id)
        classes = _insert_categories(session, project.id, document)
        photos = _insert_images(session, project.id, document, looks)
        insert_rows(
            session,
            AnnotationRow,
            _annotations(document, project.id, photos, looks, classes, problems, on_annotation),
        )
        document.check_unchanged()
    for text in (*document.problems, *problems.lines()):
        on_note(text)
    return project


def merge_coco(
    project: Project,
    source: Path,
    *,
    exif: ExifMode = "auto",
    on_read: Callable[[int], object] = lambda size: None,
    on_photo: Callable[[], object] = lambda: None,
    on_annotation: Callable[[], object] = lambda: None,
    on_note: Callable[[str], object] = lambda text: None,
) -> Merged:
    """Add the photos, classes and annotations of a COCO file that the project doesn't have, in one transaction.

    Annotations that were changed, rejected or deleted in the project stay so. Arguments as in ``import_coco``.

    Raises:
        CocoError: the file can't be read or was changed meanwhile.
        StoreError: the database refuses.
    """
    with CocoDocument.open(source, on_read=on_read) as document:
        looks: list[Look] = []
        for image in document.images:
            looks.append(look(project.images_root, image, exif))
            on_photo()
        merge = Merge(document, looks)
        with project.database.writing() as session:
            merged = merge.into(session, project.id, on_annotation)
            document.check_unchanged()
        for text in (*document.problems, *merge.problems.lines()):
            on_note(text)
    return merged


def frame_of(document: CocoDocument) -> str:
    """What of the document is in no table, as JSON: the top level in file order (null for the three lists), and the
    annotations without an image, each with its place among the annotations."""
    orphans = [[row, document.annotation_text(row)] for row in document.orphans().tolist()]
    return json.dumps({"members": document.top_level(), "orphans": orphans})


def _insert_categories(session: Session, project_id: int, document: CocoDocument) -> list[int]:
    keys = [category_key(category) for category in document.categories]
    last = {key: row for row, key in enumerate(keys)}  # of several with one id, annotations mean the last
    rows: list[Row] = []
    for category, key in zip(document.categories, keys, strict=True):
        own = key if last[key] == category.row else None
        text = document.category_text(category.row)
        rows.append(
            {"project_id": project_id, **category_values(category, raw=text, source_id=own, position=category.row)}
        )
    insert_rows(session, CategoryRow, rows)
    of_project = select(CategoryRow.id).where(CategoryRow.project_id == project_id)
    return list(session.scalars(of_project.order_by(CategoryRow.position)))


def _insert_images(session: Session, project_id: int, document: CocoDocument, looks: Sequence[Look]) -> list[int]:
    insert_rows(
        session,
        ImageRow,
        (
            {
                "project_id": project_id,
                **image_values(
                    image, found, raw=document.image_text(image.row), source_key=image.key, position=image.row
                ),
            }
            for image, found in zip(document.images, looks, strict=True)
        ),
    )
    of_project = select(ImageRow.id).where(ImageRow.project_id == project_id)
    return list(session.scalars(of_project.order_by(ImageRow.position)))


def _annotations(
    document: CocoDocument,
    project_id: int,
    photos: Sequence[int],
    looks: Sequence[Look],
    classes: Sequence[int],
    problems: Problems,
    on_annotation: Callable[[], object],
) -> Iterator[Row]:
    now = time.time()
    for image in document.images:
        annotations = document.annotations(image.row)
        if not len(annotations):
            continue
        rows = annotation_rows(document, annotations, looks[image.row].frame, problems)
        for (_, values), category_row in zip(rows, annotations.category_rows.tolist(), strict=True):
            yield {
                **values,
                "project_id": project_id,
                "image_id": photos[image.row],
                "category_id": classes[category_row] if category_row >= 0 else None,
                "created_at": now,
                "updated_at": now,
            }
            on_annotation()


def sha256(path: Path) -> str:
    """Of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
