"""Photos with true masks, one at a time: what every labeler is asked and measured against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import class_name
from app.errors import UsageError
from exporters import masks
from exporters.coco import CocoDocument
from labelers.duplicates import box_iou
from labelers.frames import ExifMode, decide
from labelers.photos import PhotoError, PhotoHeader, read_header
from labelers.records import RLE, Boxes

SAME_PLACE = 0.5
"""Box IoU from which two instances of different classes are in the same place: only the name tells them apart."""


@dataclass(frozen=True)
class Truth:
    """One photo's instances that are not crowd and have a box and a mask. Everything is in the upright frame.

    Attributes:
        image_row: in the document.
        header: the photo.
        rows: int64 [N], annotation rows.
        boxes: N given boxes with their class names.
        masks: N true masks.
        areas: int64 [N], their pixels.
        category_rows: int64 [N].
        part: bool [N], marked as part of another object.
        neighbours: N names of the instance of another class in the same place, None where there is none.
    """

    image_row: int
    header: PhotoHeader
    rows: NDArray[np.int64]
    boxes: Boxes
    masks: tuple[RLE, ...]
    areas: NDArray[np.int64]
    category_rows: NDArray[np.int64]
    part: NDArray[np.bool_]
    neighbours: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.masks)


def image_rows(document: CocoDocument, limit: int | None) -> list[int]:
    """The photos to measure on: the first ``limit`` with annotations. Raises UsageError if there is none."""
    rows = [image.row for image in document.images if len(document.annotations(image.row).rows)]
    if not rows:
        raise UsageError(
            f"{document.path} has no annotation that belongs to one of its images; nothing can be measured"
        )
    return rows[:limit]


def read_truth(document: CocoDocument, images: Path, image_row: int, *, exif: ExifMode = "auto") -> Truth:
    """The instances of one photo; those without a usable mask are left out. Raises PhotoError."""
    image = document.images[image_row]
    header = read_header(images, image.file_name)
    frame = decide(header, image.width, image.height, exif)
    annotations = document.annotations(image_row)
    found: list[tuple[int, RLE]] = []
    for k, row in enumerate(annotations.rows.tolist()):
        if annotations.iscrowd[k] or not np.isfinite(annotations.xywh[k]).all():
            continue
        try:
            mask = masks.from_coco(document.segmentation(row), frame.height, frame.width)
        except masks.MaskError as error:
            raise PhotoError(
                str(header.source), f"annotation {annotations.keys[k]}: {error}", "mend the mask"
            ) from error
        if mask is not None and masks.area(mask):
            found.append((k, frame.mask_to_upright(mask)))
    kept = np.array([k for k, _ in found], np.intp)
    xywh = annotations.xywh[kept]
    category_rows = annotations.category_rows[kept]
    names = tuple(class_name(document.categories, int(row)) for row in category_rows)
    boxes = Boxes(frame.boxes_to_upright(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)), names)
    return Truth(
        image_row=image_row,
        header=header,
        rows=annotations.rows[kept],
        boxes=boxes,
        masks=tuple(mask for _, mask in found),
        areas=np.array([masks.area(mask) for _, mask in found], np.int64),
        category_rows=category_rows,
        part=np.array([bool(document.raw_annotation(int(row)).get("part")) for row in annotations.rows[kept]], bool),
        neighbours=neighbours(boxes),
    )


def neighbours(boxes: Boxes) -> tuple[str | None, ...]:
    """For each box, the name of the best overlapping box of another class with IoU >= SAME_PLACE."""
    iou = box_iou(boxes.xyxy, boxes.xyxy)
    other = np.array([[a != b for b in boxes.names] for a in boxes.names], bool).reshape(len(boxes), len(boxes))
    iou = np.where(other, iou, 0)
    return tuple(boxes.names[int(row.argmax())] if len(row) and row.max() >= SAME_PLACE else None for row in iou)


def photos(
    document: CocoDocument, images: Path, rows: list[int], *, exif: ExifMode = "auto", skipped: list[str]
) -> Iterator[Truth]:
    """The photos with at least one instance to measure; messages of unreadable ones are added to ``skipped``."""
    for row in rows:
        try:
            truth = read_truth(document, images, row, exif=exif)
        except PhotoError as error:
            skipped.append(str(error))
            continue
        if len(truth):
            yield truth
