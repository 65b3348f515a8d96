"""Photos through the labeler, results into the journal. Whatever is in the journal is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import Plan
from app.convert.result import PhotoResult
from app.convert.settings import Settings
from labelers import refine
from labelers.driver import Job, Outcome, run
from labelers.frames import Frame, decide
from labelers.journal import Journal
from labelers.photos import PhotoError, PhotoHeader, read_header
from labelers.protocol import Labeler
from labelers.records import Boxes, Instances, Photo


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


def ask(plan: Plan, image_row: int) -> Asked:
    """Read the photo's header and bring its boxes into the upright frame. Raises PhotoError."""
    image = plan.document.images[image_row]
    annotations, chosen = plan.rows(image_row)
    header = read_header(plan.images, image.file_name)
    frame = decide(header, image.width, image.height, plan.settings.exif)
    stated = (image.width, image.height)
    sizes = {(header.width, header.height), (header.raw_width, header.raw_height)}
    xywh = annotations.xywh[chosen]
    # 1e308 in somebody's file becomes infinity, which is reported as such
    with np.errstate(over="ignore", invalid="ignore"):
        xyxy = frame.boxes_to_upright(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))
    names = tuple(plan.name(int(row)) for row in annotations.category_rows[chosen])
    return Asked(
        annotations.rows[chosen], header, frame, None not in stated and stated not in sizes, Boxes(xyxy, names)
    )


def unfinished(plan: Plan, journal: Journal) -> list[int]:
    """The image rows still to be done. A photo that failed is among them: it may have been put back since."""

    def final(key: str) -> bool:
        return journal.done(key) and PhotoResult.from_payload(journal.read(key)).final

    return [row for row in plan.todo.tolist() if not final(str(row))]


def label(
    plan: Plan, image_rows: Iterable[int], labeler: Labeler, journal: Journal, *, on_photo: Callable[[], None]
) -> None:
    """Label these photos; each result is in the journal before ``on_photo`` is called."""
    asked: dict[str, Asked | NDArray[np.int64]] = {}

    def jobs() -> Iterator[Job]:
        for row in image_rows:
            key = str(row)
            try:
                found = ask(plan, row)
            except PhotoError as error:
                annotations, chosen = plan.rows(row)
                asked[key] = annotations.rows[chosen]
                yield Job(key, raising(error), Boxes(np.zeros((0, 4), np.float32), ()))
                continue
            asked[key] = found
            yield Job(key, opening(found.header, key), found.boxes)

    def keep(outcome: Outcome) -> None:
        found = asked.pop(outcome.key)
        if isinstance(found, Asked) and outcome.instances is not None:
            instances = refined(outcome.instances, plan.settings)
            result = PhotoResult.of(found.rows, instances, found.frame, mismatch=found.mismatch)
            result = result.without_poor(plan.settings.min_quality)
        else:
            rows = found.rows if isinstance(found, Asked) else found
            result = PhotoResult.unread(rows, outcome.error or "the photo could not be read")
        journal.append(outcome.key, result.payload())
        on_photo()

    run(labeler, jobs(), plan.vocabulary, on_outcome=keep)


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
