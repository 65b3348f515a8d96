"""An annotation in its three shapes: database row, record for callers, and the JSON that the event log keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from app.store import checks
from app.store.errors import StoreError
from app.store.records import AnnotationRecord, AnnotationValues, Box, State
from app.store.schema import AnnotationRow, ImageRow, review_rank
from labelers.records import RLE

_CHECKS: dict[str, Callable[[Any], Any]] = {
    "form": checks.checked_form,
    "simplify": checks.checked_simplify,
    "quality": checks.checked_quality,
    "source": checks.checked_source,
    "state": checks.checked_state,
    "iscrowd": checks.checked_flag,
}

KEYS = ("category_id", "box", "mask", "form", "simplify", "quality", "source", "state", "iscrowd")
"""What a change may set."""


def record_of(row: AnnotationRow, *, width: int, height: int) -> AnnotationRecord:
    """For callers. The size is that of the upright photo."""
    return AnnotationRecord(
        id=row.id,
        image_id=row.image_id,
        category_id=row.category_id,
        box=_box_of(row),
        mask=_mask_of(row, width=width, height=height),
        form=row.form,
        simplify=row.simplify,
        quality=row.quality,
        source=row.source,
        state=State(row.state),
        iscrowd=row.iscrowd,
        author=row.author,
        version=row.version,
        deleted=row.deleted,
        updated_at=row.updated_at,
    )


def values_of(row: AnnotationRow, *, width: int, height: int) -> AnnotationValues:
    """For the event log."""
    return AnnotationValues(
        category_id=row.category_id,
        box=_box_of(row),
        mask=_mask_of(row, width=width, height=height),
        form=row.form,
        simplify=row.simplify,
        quality=row.quality,
        source=row.source,
        state=State(row.state),
        iscrowd=row.iscrowd,
        author=row.author,
        deleted=row.deleted,
        box_changed=row.box_changed,
        mask_changed=row.mask_changed,
        category_changed=row.category_changed,
    )


def put(values: AnnotationValues, row: AnnotationRow) -> None:
    """Make the row say what ``values`` say."""
    row.category_id = values.category_id
    row.x0, row.y0, row.x1, row.y1 = values.box or (None, None, None, None)
    row.counts = None if values.mask is None else values.mask["counts"].decode("ascii")
    row.form, row.simplify, row.quality = values.form, values.simplify, values.quality
    row.review_rank = review_rank(x0=row.x0, counts=row.counts, quality=row.quality)
    row.source, row.state, row.iscrowd = values.source, values.state.value, values.iscrowd
    row.author, row.deleted = values.author, values.deleted
    row.box_changed, row.mask_changed = values.box_changed, values.mask_changed
    row.category_changed = values.category_changed


def to_json(values: AnnotationValues) -> str:
    """One text for one set of values: the keys are sorted, floats are exact."""
    fields = asdict(values)
    if values.mask is not None:
        fields["mask"] = {"size": values.mask["size"], "counts": values.mask["counts"].decode("ascii")}
    return json.dumps(fields, sort_keys=True, separators=(",", ":"))


def from_json(text: str) -> AnnotationValues:
    """Inverse of ``to_json``."""
    fields = json.loads(text)
    if fields["mask"] is not None:
        fields["mask"] = RLE(size=fields["mask"]["size"], counts=fields["mask"]["counts"].encode("ascii"))
    fields["box"] = None if fields["box"] is None else tuple(fields["box"])
    fields["state"] = State(fields["state"])
    return AnnotationValues(**fields)


def checked(values: Mapping[str, Any], image: ImageRow) -> dict[str, Any]:
    """The values that somebody wants to set, checked one by one; ``category_id`` is left to the caller.

    Raises:
        StoreError: an unknown key, or a value out of range.
    """
    if unknown := [key for key in values if key not in KEYS]:
        raise StoreError(f"an annotation has no {unknown[0]!r} to set; its values are {', '.join(KEYS)}")
    found: dict[str, Any] = dict(values)
    for key, check in _CHECKS.items():
        if key in found:
            found[key] = check(found[key])
    if found.get("box") is not None:
        found["box"] = checks.checked_box(found["box"], width=image.width, height=image.height)
    if found.get("mask") is not None:
        found["mask"] = checks.checked_mask(found["mask"], width=image.width, height=image.height)
    return found


def _box_of(row: AnnotationRow) -> Box | None:
    if row.x0 is None or row.y0 is None or row.x1 is None or row.y1 is None:
        return None
    return row.x0, row.y0, row.x1, row.y1


def _mask_of(row: AnnotationRow, *, width: int, height: int) -> RLE | None:
    return None if row.counts is None else RLE(size=[height, width], counts=row.counts.encode("ascii"))
