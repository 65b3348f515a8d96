"""Photos through an engine, results into the journal. Whatever is in the journal is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import Plan
from app.convert.result import PhotoResult
from app.convert.settings import Settings
from labelers import refine
from labelers.frames import ExifMode, Frame, decide
from labelers.journal import Journal
from labelers.photos import PhotoError, PhotoHeader, read_header
from labelers.records import Boxes, Instances, Photo
from labelers.remote import RemoteFolder

if TYPE_CHECKING:
    from app.convert.engines import Engine


@dataclass(frozen=True)
class PhotoTask:
    """What one photo asks for, as the file says it: small, without pixels, and may travel to another machine.

    Attributes:
        key: the image row as text; the journal's key.
        file_name: of the photo, in the folder of photos.
        width, height: as the file states them, None where it does not.
        rows: int64 [N], annotation rows of the document.
        xywh: float64 [N, 4], boxes in pixels of the file's frame.
        names: N class names.
    """

    key: str
    file_name: str
    width: int | None
    height: int | None
    rows: NDArray[np.int64]
    xywh: NDArray[np.float64]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """One photo's part of the plan, in the labeler's terms.

    Attributes:
        rows: int64 [N], annotation rows of the document.
        header: of the photo.
        frame: between the JSON's boxes and the upright photo.
        mismatch: the JSON's width and height fit the file in no rotation.
        boxes: N boxes of the upright photo.
    """

    rows: NDArray[np.int64]
    header: PhotoHeader
    frame: Frame
    mismatch: bool
    boxes: Boxes


def task_of(plan: Plan, image_row: int) -> PhotoTask:
    """What is to be converted in one photo. Touches the document only, not the photo."""
    image = plan.document.images[image_row]
    annotations, chosen = plan.rows(image_row)
    return PhotoTask(
        key=str(image_row),
        file_name=image.file_name,
        width=image.width,
        height=image.height,
        rows=annotations.rows[chosen],
        xywh=annotations.xywh[chosen],
        names=tuple(plan.name(int(row)) for row in annotations.category_rows[chosen]),
    )


def look(task: PhotoTask, images: Path | RemoteFolder, exif: ExifMode) -> Asked:
    """Read the photo's header and bring its boxes into the upright frame. Raises PhotoError."""
    header = read_header(images, task.file_name)
    frame = decide(header, task.width, task.height, exif)
    stated = (task.width, task.height)
    sizes = {(header.width, header.height), (header.raw_width, header.raw_height)}
    # 1e308 in somebody's file becomes infinity, which is reported as such
    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.concatenate([task.xywh[:, :2], task.xywh[:, :2] + task.xywh[:, 2:]], axis=1)
        xyxy = frame.boxes_to_upright(corners)
    return Asked(task.rows, header, frame, None not in stated and stated not in sizes, Boxes(xyxy, task.names))


def ask(plan: Plan, image_row: int) -> Asked:
    """``task_of`` and ``look``. Raises PhotoError."""
    return look(task_of(plan, image_row), plan.images, plan.settings.exif)


def unfinished(plan: Plan, journal: Journal) -> list[int]:
    """The image rows still to be done. A photo that failed is among them: it may have been put back since."""

    def final(key: str) -> bool:
        return journal.done(key) and PhotoResult.from_payload(journal.read(key)).final

    return [row for row in plan.todo.tolist() if not final(str(row))]


def label(
    plan: Plan, image_rows: Iterable[int], engine: Engine, journal: Journal, *, on_photo: Callable[[], object]
) -> None:
    """Label these photos; each result is in the journal before ``on_photo`` is called."""

    def keep(key: str, result: PhotoResult) -> None:
        journal.append(key, result.payload())
        on_photo()

    engine.label((task_of(plan, row) for row in image_rows), on_result=keep)


def refined(instances: Instances, settings: Settings) -> Instances:
    """The corrections that the user asked for."""
    if settings.clip:
        instances = refine.clip_to_boxes(instances, margin=settings.margin)
    if settings.overlap == "argmax":
        instances = refine.resolve_overlaps(instances)
    return instances


def raising(error: PhotoError) -> Callable[[], Photo]:
    """For a job: the photo can't be opened."""

    def open_() -> Photo:
        raise error

    return open_


def opening(header: PhotoHeader, key: str) -> Callable[[], Photo]:
    """For a job: opens the photo."""
    return lambda: header.photo(key)
