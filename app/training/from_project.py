"""What a team has accepted in a project, as training data; and a split of it by photo."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np
from sqlalchemy import select

from app.store.annotations import annotations_of
from app.store.database import open_database
from app.store.images import image
from app.store.outline import outline
from app.store.projects import Project, open_project, vocabulary
from app.store.records import PENDING, AnnotationRecord, Box, State
from app.store.schema import CategoryRow
from app.training.data.classes import Classes, is_stuff
from app.training.data.lazy import Region, RleMasks
from app.training.data.photo_set import DataError, PhotoSet, photo_set
from exporters.coco_columns import Problems
from exporters.masks import box_xyxy
from labelers.photos import PhotoError, read_header
from openseed_core.training.photos import PhotoRecord


def project_set(
    project: Path | str,
    *,
    name: str | None = None,
    images: Path | None = None,
    masks: bool = True,
    leave_out: Collection[str] = (),
    limit: int | None = None,
) -> PhotoSet:
    """The accepted annotations of a project.

    What is proposed, needs work, is a crowd or has no class is ignored in training: neither a target nor wrong to
    find. Rejected annotations are background. A photo is finished when it is marked as done, or when nothing in it
    waits for a decision. In other photos no class counts as annotated in full, so that an object which nobody has
    drawn yet is not taught to be background.

    Args:
        project: the database file, or the URL of a database.
        name: which project of it (default: the only one).
        images: folder of the photos (default: the project's own).
        masks: False: boxes and names only.
        leave_out: class names that are not read.
        limit: only the first so many usable photos.

    Raises:
        DataError: no photo with an accepted annotation that can be used.
        StoreError: the database can't be read.
    """
    database = open_database(project, create=False)
    try:
        return read_project(
            open_project(database, name), images=images, masks=masks, leave_out=leave_out, limit=limit, source=project
        )
    finally:
        database.close()


def read_project(
    project: Project,
    *,
    images: Path | None = None,
    masks: bool = True,
    leave_out: Collection[str] = (),
    limit: int | None = None,
    source: Path | str = "project",
) -> PhotoSet:
    """``project_set`` of a project that is open already; ``source`` is how messages call it."""
    folder = images or project.images_root
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds the photos of {source}")
    classes, problems = Classes(leave_out), Problems()
    index = _class_index(project, classes)
    accepted = dict.fromkeys(row.image_id for row in outline(project) if row.state == State.ACCEPTED)
    records: list[PhotoRecord] = []
    for image_id in accepted:
        record = _record(project, image_id, folder, index, masks, problems)
        if record is not None:
            records.append(record)
        if limit is not None and len(records) >= limit:
            break
    return photo_set(source, records, classes, problems)


def split(data: PhotoSet, share: float = 0.2, seed: int = 0) -> tuple[PhotoSet, PhotoSet]:
    """Photos to train on, and photos to measure on.

    A photo's side depends on its key, ``share`` and ``seed`` only. So a photo that was measured on stays there when
    the team accepts more, and numbers of before and after can be compared. Neither side is left empty.

    Raises:
        DataError: less than two photos, or a share that is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise DataError(f"the share of photos to measure on is {share:g}; give a number between 0 and 1")
    if len(data.records) < 2:
        raise DataError("one photo can't be split into some to train on and some to measure on; accept more photos")
    rank = [_fraction(seed, record.key) for record in data.records]
    limit = min(max(share, sorted(rank)[0]), sorted(rank)[-2])
    train = tuple(record for record, at in zip(data.records, rank, strict=True) if at > limit)
    held = tuple(record for record, at in zip(data.records, rank, strict=True) if at <= limit)
    return replace(data, records=train), replace(data, records=held)


def _fraction(seed: int, key: str) -> float:
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _class_index(project: Project, classes: Classes) -> dict[int, int]:
    """Category id -> class index, below 0 where it is not read."""
    words = vocabulary(project)
    statement = select(CategoryRow.id, CategoryRow.name, CategoryRow.raw).where(CategoryRow.project_id == project.id)
    with project.database.reading() as session:
        rows = session.execute(statement.order_by(CategoryRow.position)).all()
    found: dict[int, int] = {}
    for category_id, name, raw in rows:
        value = json.loads(raw) if raw else {}
        stuff = is_stuff(value if isinstance(value, dict) else {})
        found[category_id] = classes.add(name, stuff=stuff, synonyms=words.prompts)
    return found


def _record(
    project: Project, image_id: int, folder: Path, index: dict[int, int], masks: bool, problems: Problems
) -> PhotoRecord | None:
    photo = image(project, image_id)
    try:
        header = read_header(folder, photo.file_name)
    except PhotoError as error:
        problems.add("photos that can't be read", str(error))
        return None
    if (header.width, header.height) != (photo.width, photo.height):
        problems.add("photos that changed their size since the import; put the old ones back", photo.file_name)
        return None
    used: list[AnnotationRecord] = []
    ignored: list[AnnotationRecord] = []
    rows = annotations_of(project, image_id)
    finished = photo.reviewed or not any(row.state in PENDING for row in rows)
    for row in rows:
        where = f"annotation {row.id} of {photo.file_name}"
        if row.state == State.REJECTED:
            continue
        label = index.get(row.category_id, -1) if row.category_id is not None else None
        if row.state != State.ACCEPTED or row.iscrowd:
            ignored.append(row)
        elif label is None:
            ignored.append(row)
            problems.add("accepted annotations without a class; choose one", where)
        elif label < 0:
            continue
        elif row.mask is None and (masks or row.box is None):
            ignored.append(row)
            problems.add("accepted annotations without a mask; draw one, or train on boxes", where)
        else:
            used.append(row)
    if not used:
        return None
    if not finished:
        problems.add(
            "unfinished photos: what has no annotation there is not taught to be background; decide all, or mark them "
            "as done",
            photo.file_name,
        )
    return PhotoRecord(
        key=f"project {project.name!r}: {photo.file_name}",
        pixels=header.photo(str(image_id)).pixels,
        boxes=np.array([_box_of(row) for row in used], np.float32).reshape(-1, 4),
        labels=np.array([index[row.category_id] for row in used if row.category_id is not None], np.int64),
        mask=RleMasks(tuple(row.mask for row in used if row.mask is not None)) if masks else None,
        ignored=_region((header.height, header.width), ignored) if ignored else None,
        annotated=None if finished else np.zeros(0, np.int64),
    )


def _box_of(row: AnnotationRecord) -> Box:
    """Its box, or that of its mask."""
    if row.box is not None or row.mask is None:
        return row.box or (0.0, 0.0, 0.0, 0.0)
    x0, y0, x1, y1 = box_xyxy(row.mask).tolist()
    return x0, y0, x1, y1


def _region(size: tuple[int, int], rows: list[AnnotationRecord]) -> Region:
    return Region(
        size,
        rles=tuple(row.mask for row in rows if row.mask is not None),
        boxes=tuple(row.box for row in rows if row.mask is None and row.box is not None),
    )
