"""The elements of COCO's lists (images, annotations, categories) <-> pictures, items and labels.

Fields that COCO doesn't know are kept: as ``attributes`` or ``extra``, and written where they stood. What a format
other than COCO says of an object goes into ``attributes`` of the annotation, as CVAT and Datumaro do it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from exporters.dataset import Item, Label, Picture, Written
from exporters.masks import area, box_xyxy, from_coco, to_coco
from exporters.outlines import iou
from labelers.records import RLE

Box = tuple[float, float, float, float]
_ITEM_KEYS = frozenset(
    ("id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "score", "group_id", "source_id")
)
_PICTURE_KEYS = frozenset(("id", "file_name", "width", "height", "split", "source_id"))
_LABEL_KEYS = frozenset(("id", "supercategory"))


class FileId(str):
    """An id that a COCO file has as text. It is written as text again; texts of other formats get a number beside."""


@dataclass(frozen=True, eq=False)
class CocoItem(Item):
    """An item that remembers how COCO wrote its mask and box, so that what wasn't changed is written the same.

    Attributes:
        raw: ``segmentation``, ``area`` and ``bbox`` as written.
        came: the mask and box that they were read as; others have taken their place where they aren't these objects.
        nested: names of the attributes that stood in ``attributes`` of the annotation.
    """

    raw: Mapping[str, Any] = field(default_factory=dict)
    came: tuple[RLE | None, Box | None] = (None, None)
    nested: frozenset[str] = frozenset()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Item):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Item.__dataclass_fields__)

    __hash__ = None  # type: ignore[assignment]


def item_of(raw: Mapping[str, Any], label: str, *, height: int, width: int) -> CocoItem:
    """One annotation.

    Raises:
        ValueError: its mask or box can't be read, or it has neither.
    """
    mask = from_coco(raw.get("segmentation"), height, width)
    box = _box(raw.get("bbox"))
    if mask is None and box is None:
        raise ValueError("it has neither a mask nor a box; give it one, or remove it")
    inner = raw.get("attributes")
    nested = dict(inner) if isinstance(inner, Mapping) else {}
    attributes = {key: value for key, value in raw.items() if key not in _ITEM_KEYS}
    if isinstance(inner, Mapping):
        del attributes["attributes"]
        nested = {key: value for key, value in nested.items() if key not in attributes}
    score = raw.get("score")
    if score is not None and not is_score(score):
        attributes["score"] = score
    return CocoItem(
        label=label,
        box=box,
        mask=mask,
        id=source_id(raw),
        crowd=raw.get("iscrowd") in (1, True, "1"),
        score=float(score) if is_score(score) else None,
        group=group if isinstance(group := raw.get("group_id"), int | str) else None,
        attributes=attributes | nested,
        raw={key: raw[key] for key in ("segmentation", "area", "bbox") if key in raw},
        came=(mask, box),
        nested=frozenset(nested),
    )


def item_json(item: Item, *, tolerance: float = 0.0, written: Written | None = None) -> dict[str, Any]:
    """One annotation without ``id``, ``image_id`` and ``category_id``.

    Args:
        tolerance: outlines of masks may stray by so many pixels; their IoU is told to ``written``.
    """
    raw = item.raw if isinstance(item, CocoItem) else {}
    came = item.came if isinstance(item, CocoItem) else (None, None)
    kept_mask = bool(raw) and item.mask is came[0] and not (tolerance > 0 and item.mask is not None)
    kept_box = item.box is came[1] and item.box is not None
    value: dict[str, Any] = {}
    if kept_mask and "segmentation" in raw:
        value["segmentation"] = raw["segmentation"]
    else:
        value["segmentation"] = _segmentation(item, tolerance, written) if item.mask is not None else []
    box = item.box if item.box is not None else _tight(item.mask)
    xywh = raw["bbox"] if kept_box else [box[0], box[1], _difference(box[2], box[0]), _difference(box[3], box[1])]
    if kept_mask and (kept_box or item.mask is not None) and "area" in raw:
        value["area"] = raw["area"]
    else:
        value["area"] = area(item.mask) if item.mask is not None else xywh[2] * xywh[3]
    value |= {"bbox": xywh, "iscrowd": int(item.crowd)}
    if item.score is not None:
        value["score"] = item.score
    if item.group is not None:
        value["group_id"] = item.group
    nested = item.nested if isinstance(item, CocoItem) else frozenset(item.attributes)
    inner = {}
    for key, found in item.attributes.items():
        if key in nested or (key in _ITEM_KEYS and key in value):
            inner[key] = found
        else:
            value[key] = found
    if inner:
        value["attributes"] = inner
    return value


def _segmentation(item: Item, tolerance: float, written: Written | None) -> Any:
    mask = item.mask
    assert mask is not None
    if area(mask) == 0:
        return []
    found = to_coco(mask, form="rle" if item.crowd else "auto", simplify=tolerance)
    if tolerance > 0 and isinstance(found, list) and written is not None:
        shown = from_coco(found, *mask["size"])
        written.iou(iou(mask, shown) if shown is not None else 0.0)
    return found


def _tight(mask: RLE | None) -> Box:
    if mask is None:
        raise ValueError("an object has neither a mask nor a box; give it one, or remove it")
    x0, y0, x1, y1 = (float(v) for v in box_xyxy(mask))
    return x0, y0, x1, y1


def _difference(end: float, start: float) -> float:
    """``end - start`` without the noise of floats: 0.3 - 0.1 is 0.2, wherever that gives the end again."""
    plain = end - start
    short = round(plain, 6)
    return short if start + short == end else plain


def _box(value: Any) -> Box | None:
    if value is None or value == []:
        return None
    good = isinstance(value, list) and len(value) == 4 and all(is_number(number) for number in value)
    if not good or value[2] < 0 or value[3] < 0:
        raise ValueError(f"its bbox is {str(value)[:60]}; four numbers are needed (x, y, width, height)")
    x, y, w, h = (float(number) for number in value)
    return x, y, x + w, y + h


def is_number(value: Any) -> bool:
    """A finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def is_score(value: Any) -> TypeGuard[float]:
    return is_number(value) and 0 <= value <= 1


def source_id(raw: Mapping[str, Any]) -> int | str | None:
    """The id of an element: that of the format it came from, where COCO couldn't have it."""
    before = raw.get("source_id")
    if isinstance(before, int | str) and not isinstance(before, bool):
        return before
    found = raw.get("id")
    if isinstance(found, str):
        return FileId(found)
    if isinstance(found, float) and found.is_integer():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def picture_attributes(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What an image says beyond name, size, id and split."""
    return {key: value for key, value in raw.items() if key not in _PICTURE_KEYS}


def split_of(raw: Mapping[str, Any]) -> str:
    return found if isinstance(found := raw.get("split"), str) else ""


def picture_json(picture: Picture) -> dict[str, Any]:
    """One image without its id."""
    value: dict[str, Any] = {"file_name": picture.file_name, "width": picture.width, "height": picture.height}
    if picture.split:
        value["split"] = picture.split
    value |= {key: found for key, found in picture.attributes.items() if key not in _PICTURE_KEYS}
    return value


def labels_of(categories: Sequence[Mapping[str, Any]]) -> tuple[Label, ...]:
    """The labels of categories, in order. A name that another category has too, or none, gets the id behind it."""
    labels: list[Label] = []
    names = [name if isinstance(name := raw.get("name"), str) else "" for raw in categories]
    taken = set(names)
    for raw, name in zip(categories, names, strict=True):
        extra = {key: value for key, value in raw.items() if key not in _LABEL_KEYS | {"name"}}
        unique = name
        if not name or names.count(name) > 1:
            extra["name"] = name
            unique = f"{name} ({raw.get('id')})".strip()
            while unique in taken:
                unique += "'"
            taken.add(unique)
        parent = raw.get("supercategory")
        thing = raw.get("isthing", 1) not in (0, False)
        labels.append(Label(unique, source_id({"id": raw.get("id")}), thing, str(parent or ""), extra))
    return tuple(labels)


def label_json(label: Label) -> dict[str, Any]:
    """One category without its id."""
    value: dict[str, Any] = {"name": label.name}
    if label.supercategory:
        value["supercategory"] = label.supercategory
    value |= {key: found for key, found in label.extra.items() if key not in _LABEL_KEYS}
    before = label.extra.get("name")
    if not (isinstance(before, str) and label.name.startswith(before)):
        value["name"] = label.name
    if not label.is_thing or "isthing" in value:
        value["isthing"] = int(label.is_thing)
    return value


def label_ids(labels: Sequence[Label], *, text: bool = True) -> dict[str, int | str]:
    """The id of each label by its name: its own where it is a number that no other has, else the next free one.

    Args:
        text: ids that a COCO file has as text stay.
    """
    ids: dict[str, int | str] = {}
    used: set[int | str] = set()
    for label in labels:
        if (isinstance(label.id, int) or (text and isinstance(label.id, FileId))) and label.id not in used:
            ids[label.name] = label.id
            used.add(label.id)
    number = max((key for key in used if isinstance(key, int)), default=0)
    for label in labels:
        if label.name not in ids:
            number = max(number, 0) + 1
            ids[label.name] = number
    return {label.name: ids[label.name] for label in labels}


def side(value: Any) -> int | None:
    """A width or height in pixels; None where it is no positive whole number of a size that masks can have."""
    if not is_number(value) or value != int(value) or not 0 < value < 2**31:
        return None
    return int(value)


def dump(value: Any) -> bytes:
    """JSON in one line. NaN, which JSON hasn't got, becomes null; numpy's numbers are written as numbers."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, default=_plain)
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only spell
        return json.dumps(json.loads(text)).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return dict(value)
    item: Callable[[], Any] | None = getattr(value, "item", None)
    found = item() if item is not None and getattr(value, "size", 1) == 1 else str(value)
    return str(found) if type(found) is type(value) else _finite(found)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(found) for key, found in value.items()}
    return [_finite(found) for found in value] if isinstance(value, list | tuple) else value
