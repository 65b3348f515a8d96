"""One annotation of the store as the text of a COCO element: what was imported, with what changed put in its place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.store.coco_rows import provenance_of
from app.store.records import Box
from exporters import masks
from exporters.coco import PROVENANCE_KEY, Edit
from exporters.coco_edit import edited
from labelers.frames import Frame
from labelers.records import RLE

_DECIMALS = 4
"""Of box coordinates: subtracting them leaves dust in the last places."""


@dataclass(frozen=True, slots=True)
class Photo:
    """What an annotation needs to know of its photo: COCO id, frame of the file's boxes, upright size."""

    id: Any
    frame: Frame
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Element:
    """An annotation with its COCO ids. ``id`` and ``category_id`` are None where the imported text keeps its own.

    ``changed`` is (box, mask, class) against ``raw``. The other fields are the columns of the same name.
    """

    id: int | None
    photo: Photo
    category_id: Any
    box: Box | None
    counts: str | None
    form: str
    simplify: float
    quality: float | None
    source: str
    state: str
    author: str
    iscrowd: bool
    changed: tuple[bool, bool, bool]
    raw: str | None


def element_text(element: Element, *, provenance: bool) -> bytes:
    """The element as JSON; the imported text itself where nothing changed."""
    if element.raw is None:
        return json.dumps(_made(element, provenance=provenance), allow_nan=False).encode()
    edit = _edit(element, json.loads(element.raw), provenance=provenance)
    raw = element.raw.encode()
    if edit is None and element.id is None:
        return raw
    return edited(raw, edit, new_id=element.id)


def _made(element: Element, *, provenance: bool) -> dict[str, Any]:
    """An annotation that was made in the project."""
    mask = _mask(element)
    bbox = _bbox(element, mask)
    segmentation, area = _segmentation(element, mask)
    return {
        "id": element.id,
        "image_id": element.photo.id,
        **({} if element.category_id is None else {"category_id": element.category_id}),
        "bbox": bbox,
        "area": bbox[2] * bbox[3] if area is None else area,
        "iscrowd": int(element.iscrowd),
        "segmentation": segmentation,
        **({PROVENANCE_KEY: _said(element, {})} if provenance else {}),
    }


def _edit(element: Element, old: dict[str, Any], *, provenance: bool) -> Edit | None:
    """What differs from the imported element; None for nothing."""
    box_changed, mask_changed, class_changed = element.changed
    values: dict[str, Any] = {}
    if element.photo.id != old.get("image_id"):
        values["image_id"] = element.photo.id
    if element.category_id is not None and (class_changed or element.category_id != old.get("category_id")):
        values["category_id"] = element.category_id
    if element.iscrowd != (old.get("iscrowd") in (1, "1")):
        values["iscrowd"] = int(element.iscrowd)
    mask = _mask(element) if box_changed or mask_changed else None
    bbox = _bbox(element, mask) if box_changed else None
    segmentation: list[Any] | dict[str, Any] | None = None
    area: float | None = None
    if mask_changed:
        segmentation, area = _segmentation(element, mask)
    if area is None and element.counts is None and (bbox or mask_changed):
        box = bbox or _bbox(element, None)
        area = box[2] * box[3]
    said = _provenance(element, old) if provenance else ({} if PROVENANCE_KEY in old else None)
    if not values and bbox is None and segmentation is None and said is None:
        return None
    return Edit(
        segmentation=segmentation,
        area=area,
        # the area of a mask that is gone or replaced describes nothing any more
        force_area=mask_changed and not masks.is_empty(old.get("segmentation")),
        bbox=bbox,
        provenance=said,
        values=values,
    )


def _provenance(element: Element, old: dict[str, Any]) -> dict[str, Any] | None:
    """The new value of our key; None where what the import read from the old one still holds."""
    said = provenance_of(old, has_mask=element.counts is not None)
    known = (said.state.value, said.quality, said.source)
    if not any(element.changed) and known == (element.state, element.quality, element.source):
        return None
    before = old.get(PROVENANCE_KEY)
    return _said(element, before if isinstance(before, dict) and not element.changed[1] else {})


def _said(element: Element, before: dict[str, Any]) -> dict[str, Any]:
    said = dict(before)
    said.pop("score", None)
    if not before and element.source.startswith("model:"):
        said["labeler"] = element.source.removeprefix("model:")
    if element.quality is not None:
        said["score"] = element.quality
    return said | {"source": element.source, "state": element.state, "author": element.author}


def _mask(element: Element) -> RLE | None:
    """In the frame of the file."""
    if element.counts is None:
        return None
    upright = RLE(size=[element.photo.height, element.photo.width], counts=element.counts.encode("ascii"))
    return element.photo.frame.mask_from_upright(upright)


def _segmentation(element: Element, mask: RLE | None) -> tuple[list[Any] | dict[str, Any], float | None]:
    """The value and its area; no polygon and no area where there is no mask."""
    if mask is None or not masks.area(mask):
        return [], None
    form: masks.Form = "rle" if element.form == "rle" else "polygon" if element.form == "polygon" else "auto"
    segmentation = masks.to_coco(mask, form=form, simplify=element.simplify)
    shown: RLE | None = mask
    if isinstance(segmentation, list) and (element.simplify or form == "polygon"):
        shown = masks.from_coco(segmentation, *mask["size"])  # other pixels than the mask's: corners or holes are gone
    return segmentation, masks.area(shown or mask)


def _bbox(element: Element, mask: RLE | None) -> tuple[float, float, float, float]:
    """x, y, width, height in the frame of the file; the mask's own box where there is no other."""
    if element.box is not None:
        corners = element.photo.frame.boxes_from_upright(np.array([element.box]))[0]
    else:
        corners = masks.box_xyxy(mask).astype(np.float64) if mask is not None else np.zeros(4)
    x0, y0, x1, y1 = corners.tolist()
    return _plain(x0), _plain(y0), _plain(x1 - x0), _plain(y1 - y0)


def _plain(value: float) -> float:
    rounded = round(value, _DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded
