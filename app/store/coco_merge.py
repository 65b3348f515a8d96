"""Add what is new in a COCO file to a project that has been worked on. Nothing that is there is touched.

Files that were made apart number their photos and classes apart. So a photo is the same if its file name is, a class
if its name is, and an annotation if its id and photo are. Where an id is taken by something else, the new element gets
one of its own when it is exported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.store.bulk import insert_act, insert_rows
from app.store.coco_export import read_frame
from app.store.coco_numbers import largest, parsed
from app.store.coco_rows import Look, Row, annotation_rows, category_key, category_values, image_values
from app.store.schema import AnnotationRow, CategoryRow, ImageRow, ProjectRow
from exporters.coco import CocoDocument, Edit
from exporters.coco_columns import Problems
from exporters.coco_edit import edited
from labelers.frames import Frame


@dataclass(frozen=True)
class Merged:
    """What was added, and how many annotations of the file were there already."""

    images: int
    categories: int
    annotations: int
    known: int


@dataclass(frozen=True)
class _Place:
    """A photo of the project: database id, the frame of its file, and the frame that the new boxes are in."""

    id: int
    frame: Frame
    given: Frame


@dataclass
class Merge:
    """One merge. ``looks`` are those of the document's photos; ``problems`` hears what can't be read."""

    document: CocoDocument
    looks: Sequence[Look]
    problems: Problems = field(default_factory=Problems)
    known: int = 0

    def into(self, session: Session, project_id: int, on_annotation: Callable[[], object]) -> Merged:
        """Insert what is new, within the caller's transaction."""
        # Two merges at once would both find the same annotations missing.
        session.execute(select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update())
        insert_act(session, project_id)
        seen, taken = _annotations_there(session, project_id)
        places, images = self._images(session, project_id)
        classes, categories = self._categories(session, project_id)
        base = _next(session, project_id, AnnotationRow)
        rows = self._annotations(project_id, places, classes, seen, taken, base, on_annotation)
        annotations = insert_rows(session, AnnotationRow, rows)
        self._orphans(session, project_id, base)
        return Merged(images, categories, annotations, self.known)

    def _images(self, session: Session, project_id: int) -> tuple[list[_Place], int]:
        """A place for each photo of the document; those that are new are inserted."""
        rows = session.execute(
            select(
                ImageRow.id,
                ImageRow.file_name,
                ImageRow.source_key,
                ImageRow.width,
                ImageRow.height,
                ImageRow.frame_orientation,
                ImageRow.frame_height,
                ImageRow.frame_width,
            )
            .where(ImageRow.project_id == project_id)
            .order_by(ImageRow.position)
        ).all()
        by_key = {(_spelling(row.file_name), row.source_key): row for row in rows}
        by_name = {_spelling(row.file_name): row for row in reversed(rows) if row.file_name}
        taken = {row.source_key for row in rows}
        fresh = largest(parsed(key)[1] for key in taken | {image.key for image in self.document.images})
        base = _next(session, project_id, ImageRow)
        found: dict[int, Any] = {}
        new: list[Row] = []
        for image in self.document.images:
            name = _spelling(image.file_name)
            row = by_key.get((name, image.key)) or by_name.get(name)
            if row is not None:
                found[image.row] = row
                continue
            raw, key = self.document.image_text(image.row), image.key
            if key in taken and parsed(key)[0]:
                fresh += 1
                raw, key = _renumbered(raw, fresh), json.dumps(fresh)
            values = image_values(image, self.looks[image.row], raw=raw, source_key=key, position=base + len(new))
            new.append({"project_id": project_id, **values})
        insert_rows(session, ImageRow, new)
        added = iter(_ids(session, project_id, ImageRow, base))
        places = []
        for image, seen in zip(self.document.images, self.looks, strict=True):
            row = found.get(image.row)
            if row is None:
                places.append(_Place(next(added), seen.frame, seen.frame))
                continue
            frame = Frame(row.frame_orientation, row.frame_height, row.frame_width)
            readable = seen.file_size is not None and (seen.width, seen.height) == (row.width, row.height)
            places.append(_Place(row.id, frame, seen.frame if readable else frame))
        return places, len(new)

    def _categories(self, session: Session, project_id: int) -> tuple[list[int], int]:
        """The database id of each class of the document; those that are new are inserted."""
        rows = session.execute(
            select(CategoryRow.id, CategoryRow.name, CategoryRow.source_id)
            .where(CategoryRow.project_id == project_id)
            .order_by(CategoryRow.position)
        ).all()
        by_key = {(row.name, row.source_id): row.id for row in rows}
        by_name = {row.name: row.id for row in reversed(rows) if row.name}
        keys = [category_key(category) for category in self.document.categories]
        last = {key: row for row, key in enumerate(keys)}
        taken = {row.source_id for row in rows}
        fresh = largest(parsed(key)[1] for key in taken | set(keys))
        base = _next(session, project_id, CategoryRow)
        found: dict[int, int] = {}
        new: list[Row] = []
        for category, key in zip(self.document.categories, keys, strict=True):
            own = key if last[key] == category.row else None
            known = by_key.get((category.name, own)) or by_name.get(category.name)
            if known is not None:
                found[category.row] = known
                continue
            raw = self.document.category_text(category.row)
            if own is not None and own in taken:
                fresh += 1
                raw, own = _renumbered(raw, fresh), json.dumps(fresh)
            values = category_values(category, raw=raw, source_id=own, position=base + len(new))
            new.append({"project_id": project_id, **values})
        insert_rows(session, CategoryRow, new)
        added = iter(_ids(session, project_id, CategoryRow, base))
        classes = [found[row] if row in found else next(added) for row in range(len(keys))]
        return classes, len(new)

    def _annotations(
        self,
        project_id: int,
        places: Sequence[_Place],
        classes: Sequence[int],
        seen: frozenset[tuple[int, str]],
        taken: frozenset[str],
        base: int,
        on_annotation: Callable[[], object],
    ) -> Iterator[Row]:
        now = time.time()
        for image, place in zip(self.document.images, places, strict=True):
            annotations = self.document.annotations(image.row)
            if not len(annotations):
                continue
            turned = place.given != place.frame
            rows = annotation_rows(self.document, annotations, place.given, self.problems)
            for (row, values), category_row in zip(rows, annotations.category_rows.tolist(), strict=True):
                on_annotation()
                if (place.id, _identity(values["source_key"], values["raw"])) in seen:
                    self.known += 1
                    continue
                yield {
                    **values,
                    "project_id": project_id,
                    "image_id": place.id,
                    "category_id": classes[category_row] if category_row >= 0 else None,
                    "position": base + row,
                    "source_key": None if values["source_key"] in taken else values["source_key"],
                    # what is written in another frame has to be written anew
                    "box_changed": turned and values["x0"] is not None,
                    "mask_changed": turned and values["counts"] is not None,
                    "created_at": now,
                    "updated_at": now,
                }

    def _orphans(self, session: Session, project_id: int, base: int) -> None:
        members, orphans = read_frame(session, project_id)
        there = {text for _, text in orphans}
        texts = ((row, self.document.annotation_text(row)) for row in self.document.orphans().tolist())
        new = [(base + row, text) for row, text in texts if text not in there]
        if new:
            frame = json.dumps({"members": members, "orphans": [*orphans, *new]})
            session.execute(update(ProjectRow).where(ProjectRow.id == project_id).values(frame=frame))


def _annotations_there(session: Session, project_id: int) -> tuple[frozenset[tuple[int, str]], frozenset[str]]:
    """What the project has: (photo, identity) of each annotation that came from a file, and all ids that are taken."""
    seen: set[tuple[int, str]] = set()
    taken: set[str] = set()
    mine = select(AnnotationRow.image_id, AnnotationRow.source_key).where(AnnotationRow.project_id == project_id)
    for photo, key in session.execute(mine, execution_options={"yield_per": 5000}):
        if key is not None and key != "null":
            seen.add((photo, key))
            taken.add(key)
    told = (
        select(AnnotationRow.image_id, AnnotationRow.source_key, AnnotationRow.raw)
        .where(AnnotationRow.project_id == project_id, AnnotationRow.raw.is_not(None))
        .where(AnnotationRow.source_key.is_(None) | (AnnotationRow.source_key == "null"))
    )
    seen.update((photo, _identity(key, raw)) for photo, key, raw in session.execute(told))
    return frozenset(seen), frozenset(taken)


def _identity(key: str | None, raw: str | None) -> str:
    """The id as JSON text where the element has one, else the whole element."""
    if key is not None and key != "null":
        return key
    raw = raw or "{}"
    own = json.loads(raw).get("id")
    return raw if own is None else json.dumps(own)


def _spelling(file_name: str) -> str:
    """One spelling for the names of one file: a/b.jpg, ./a/b.jpg, a\\b.jpg."""
    return str(PurePosixPath(file_name.replace("\\", "/"))) if file_name else ""


def _renumbered(raw: str, number: int) -> str:
    return edited(raw.encode(), Edit(values={"id": number})).decode()


def _next(session: Session, project_id: int, table: type[ImageRow | CategoryRow | AnnotationRow]) -> int:
    last = session.scalar(select(func.max(table.position)).where(table.project_id == project_id))
    return 0 if last is None else last + 1


def _ids(session: Session, project_id: int, table: type[ImageRow | CategoryRow], base: int) -> list[int]:
    """Database ids of the rows from this position on."""
    mine = select(table.id).where(table.project_id == project_id, table.position >= base)
    return list(session.scalars(mine.order_by(table.position)))
