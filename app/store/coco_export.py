"""A project as a COCO file: a stream from the database, of one moment, and the same bytes for the same content.

What was imported comes out as it went in: keys, order, ids, unknown fields, number text. Only values that somebody
changed are rewritten, in the frame of the imported file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Executable, Row, select
from sqlalchemy.orm import Session

from app.store.coco_element import Element, Photo, element_text
from app.store.coco_numbers import Numbers, numbers, parsed
from app.store.projects import Project
from app.store.records import State
from app.store.schema import AnnotationRow, CategoryRow, ImageRow, ProjectRow
from exporters.coco import Edit
from exporters.coco_edit import edited
from exporters.files import replacing
from labelers.frames import Frame

EXPORTED = (State.PROPOSED, State.ACCEPTED, State.NEEDS_WORK)
"""All but rejected."""

_BATCH = 1000
_LISTS = ("images", "annotations", "categories")


@dataclass(frozen=True)
class ExportSummary:
    """Counts: photos and annotations written, and annotations left out because of their state."""

    images: int
    annotations: int
    left_out: int


def export_coco(
    project: Project,
    output: Path | BinaryIO,
    *,
    states: Collection[State] = EXPORTED,
    provenance: bool = True,
    on_annotation: Callable[[], object] = lambda: None,
) -> ExportSummary:
    """Write the project as a COCO file.

    Deleted annotations are left out, and so are those of other ``states``. Annotations of the imported file without a
    photo are kept.

    Args:
        output: a path, which is replaced in one step when all is written; or a stream of bytes.
        provenance: False leaves out the key ``openseed_label`` (state, author, source, score).
        on_annotation: hears of each annotation, for progress.

    Raises:
        StoreError: the database can't be read.
        OSError: the file can't be written; an old one is untouched.
    """
    if isinstance(output, Path):
        with replacing(output) as file:
            return _write(project, file, frozenset(states), provenance, on_annotation)
    return _write(project, output, frozenset(states), provenance, on_annotation)


@dataclass
class _Counts:
    images: int = 0
    annotations: int = 0
    left_out: int = 0


def _write(
    project: Project,
    out: BinaryIO,
    states: frozenset[State],
    provenance: bool,
    on_annotation: Callable[[], object],
) -> ExportSummary:
    counts = _Counts()
    with project.database.reading() as session:
        members, orphans = read_frame(session, project.id)
        ids = numbers(session, project.id, orphans=(text for _, text in orphans))
        if ids.categories and not any(key == "categories" for key, _ in members):
            members.append(("categories", None))
        elements = {
            "images": _images(session, project.id, ids, counts),
            "categories": _categories(session, project.id, ids),
            "annotations": _annotations(session, project.id, ids, orphans, states, provenance, counts, on_annotation),
        }
        out.write(b"{")
        for place, (key, text) in enumerate(members):
            out.write(b",\n" * (place > 0) + json.dumps(key).encode() + b": ")
            if text is not None:
                out.write(text.encode())
                continue
            out.write(b"[")
            for number, element in enumerate(elements[key]):
                out.write(b",\n" * (number > 0) + element)
            out.write(b"]")
        out.write(b"}\n")
    return ExportSummary(counts.images, counts.annotations, counts.left_out)


def read_frame(session: Session, project_id: int) -> tuple[list[tuple[str, str | None]], list[tuple[int, str]]]:
    """What ``coco_import.frame_of`` wrote: the top level in order, and (place, text) of annotations without photo."""
    text = session.scalar(select(ProjectRow.frame).where(ProjectRow.id == project_id))
    frame: dict[str, Any] = json.loads(text or "{}")
    members = frame.get("members") or [(key, None) for key in _LISTS]
    return [(key, value) for key, value in members], [(row, value) for row, value in frame.get("orphans", [])]


def _images(session: Session, project_id: int, ids: Numbers, counts: _Counts) -> Iterator[bytes]:
    statement = (
        select(
            ImageRow.id,
            ImageRow.raw,
            ImageRow.source_key,
            ImageRow.file_name,
            ImageRow.frame_width,
            ImageRow.frame_height,
        )
        .where(ImageRow.project_id == project_id)
        .order_by(ImageRow.position, ImageRow.id)
    )
    for row in _stream(session, statement):
        counts.images += 1
        if row.raw is None:
            values = {"file_name": row.file_name, "width": row.frame_width, "height": row.frame_height}
            yield json.dumps({"id": ids.images[row.id], **values}).encode()
        else:
            yield _with_id(row.raw, row.source_key, ids.images.get(row.id))


def _categories(session: Session, project_id: int, ids: Numbers) -> Iterator[bytes]:
    statement = (
        select(CategoryRow.id, CategoryRow.raw, CategoryRow.source_id, CategoryRow.name)
        .where(CategoryRow.project_id == project_id)
        .order_by(CategoryRow.position, CategoryRow.id)
    )
    for row in _stream(session, statement):
        if row.raw is None:
            yield json.dumps({"id": ids.categories[row.id], "name": row.name}).encode()
        else:
            yield _with_id(row.raw, row.source_id, ids.categories.get(row.id))


def _with_id(raw: str, key: str | None, new_id: Any) -> bytes:
    """The imported element; with another id where it has none that can be used and an annotation needs one."""
    if new_id is None or parsed(key)[0] or not raw.startswith("{"):
        return raw.encode()
    return edited(raw.encode(), Edit(values={"id": new_id}))


def _annotations(
    session: Session,
    project_id: int,
    ids: Numbers,
    orphans: list[tuple[int, str]],
    states: frozenset[State],
    provenance: bool,
    counts: _Counts,
    on_annotation: Callable[[], object],
) -> Iterator[bytes]:
    photos = _photos(session, project_id, ids)
    statement = (
        select(*_COLUMNS)
        .where(AnnotationRow.project_id == project_id, AnnotationRow.deleted.is_(False))
        .order_by(AnnotationRow.position, AnnotationRow.id)
    )
    waiting = iter([*orphans, (None, "")])
    place, text = next(waiting)
    for row in _stream(session, statement):
        while place is not None and place <= row.position:
            counts.annotations += 1
            yield text.encode()
            place, text = next(waiting)
        on_annotation()
        if row.state not in states:
            counts.left_out += 1
            continue
        counts.annotations += 1
        yield element_text(_element(row, photos[row.image_id], ids), provenance=provenance)
    while place is not None:
        counts.annotations += 1
        yield text.encode()
        place, text = next(waiting)


_COLUMNS = (
    AnnotationRow.id,
    AnnotationRow.position,
    AnnotationRow.image_id,
    AnnotationRow.category_id,
    AnnotationRow.x0,
    AnnotationRow.y0,
    AnnotationRow.x1,
    AnnotationRow.y1,
    AnnotationRow.counts,
    AnnotationRow.form,
    AnnotationRow.simplify,
    AnnotationRow.quality,
    AnnotationRow.source,
    AnnotationRow.state,
    AnnotationRow.author,
    AnnotationRow.iscrowd,
    AnnotationRow.box_changed,
    AnnotationRow.mask_changed,
    AnnotationRow.category_changed,
    AnnotationRow.raw,
)


def _element(row: Row[Any], photo: Photo, ids: Numbers) -> Element:
    return Element(
        id=ids.annotations.get(row.id),
        photo=photo,
        category_id=ids.categories.get(row.category_id),
        box=None if row.x0 is None else (row.x0, row.y0, row.x1, row.y1),
        counts=row.counts,
        form=row.form,
        simplify=row.simplify,
        quality=row.quality,
        source=row.source,
        state=row.state,
        author=row.author,
        iscrowd=row.iscrowd,
        changed=(row.box_changed, row.mask_changed, row.category_changed),
        raw=row.raw,
    )


def _photos(session: Session, project_id: int, ids: Numbers) -> dict[int, Photo]:
    rows = session.execute(
        select(
            ImageRow.id,
            ImageRow.frame_orientation,
            ImageRow.frame_height,
            ImageRow.frame_width,
            ImageRow.height,
            ImageRow.width,
        ).where(ImageRow.project_id == project_id)
    )
    return {
        row.id: Photo(
            ids.images.get(row.id),
            Frame(row.frame_orientation, row.frame_height, row.frame_width),
            row.height,
            row.width,
        )
        for row in rows
    }


def _stream(session: Session, statement: Executable) -> Iterator[Row[Any]]:
    return iter(session.execute(statement, execution_options={"yield_per": _BATCH}))
