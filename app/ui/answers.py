"""What the routes answer: records of the store as JSON. The client's side of this is ``canvas/api.js``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.store.records import AnnotationRecord, AnnotationValues, CategoryRecord, ImageRecord
from exporters.masks import area
from labelers.records import RLE

HOTKEYS = 9
"""The first classes have the keys 1 to 9."""


def mask_json(mask: RLE | None) -> dict[str, Any] | None:
    """Compressed COCO RLE as text; size is [height, width] of the upright photo."""
    return None if mask is None else {"size": list(mask["size"]), "counts": mask["counts"].decode("ascii")}


def annotation_json(record: AnnotationRecord) -> dict[str, Any]:
    """One annotation."""
    return {
        "id": record.id,
        "image_id": record.image_id,
        "category_id": record.category_id,
        "box": None if record.box is None else list(record.box),
        "mask": mask_json(record.mask),
        "form": record.form,
        "simplify": record.simplify,
        "quality": record.quality,
        "source": record.source,
        "state": record.state.value,
        "iscrowd": record.iscrowd,
        "author": record.author,
        "version": record.version,
        "deleted": record.deleted,
        "area": 0 if record.mask is None else area(record.mask),
    }


def values_json(annotation_id: int, image_id: int, values: AnnotationValues) -> dict[str, Any]:
    """An annotation as it was once, from the log; it has no version to base a change on."""
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": values.category_id,
        "box": None if values.box is None else list(values.box),
        "mask": mask_json(values.mask),
        "form": values.form,
        "simplify": values.simplify,
        "quality": values.quality,
        "source": values.source,
        "state": values.state.value,
        "iscrowd": values.iscrowd,
        "author": values.author,
        "deleted": values.deleted,
        "area": 0 if values.mask is None else area(values.mask),
    }


def category_json(record: CategoryRecord, index: int) -> dict[str, Any]:
    """``index``: place among the project's classes, from 0; decides the key."""
    return {
        "id": record.id,
        "name": record.name,
        "colour": record.colour,
        "synonyms": list(record.synonyms),
        "key": str(index + 1) if index < HOTKEYS else None,
    }


def image_json(
    record: ImageRecord,
    annotations: Iterable[AnnotationRecord],
    *,
    now: float,
    warning: str | None = None,
    upcoming: Iterable[int] = (),
) -> dict[str, Any]:
    """A photo with its annotations. ``now`` (unix seconds) decides whether a lease still counts."""
    held = record.lease_by is not None and record.lease_until is not None and record.lease_until > now
    problems = [text for text in (record.problem, warning) if text]
    return {
        "id": record.id,
        "file_name": record.file_name,
        "width": record.width,
        "height": record.height,
        "problem": "; ".join(problems) or None,
        "position": record.position,
        "reviewed": record.reviewed,
        "lease_by": record.lease_by if held else None,
        "photo_url": f"/api/images/{record.id}/photo",
        "annotations": [annotation_json(annotation) for annotation in annotations],
        "upcoming": list(upcoming),
    }
