"""The columns of a parquet shard for Hugging Face ``datasets``: their Arrow schema, and one row <-> one picture.

A row is a picture; ``objects`` is a list of structs. Ids are whole numbers or texts, and a column has one type, so
each id has two columns: ``id`` (int64) and ``id_text``, of which one is null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from exporters.dataset import Dataset, FormatError, Item, Label, Picture
from exporters.masks import MaskError, area, box_xyxy, from_coco

METADATA_KEY = b"openseed_label"
"""In the schema's metadata: classes with their ids, the split's own name and the data set's info, as JSON."""

_INT64 = range(-(2**63), 2**63)
_OBJECT: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "id_text": pa.string(),
    "bbox": pa.list_(pa.float64()),
    "category": pa.int64(),
    "area": pa.float64(),
    "iscrowd": pa.bool_(),
    "score": pa.float64(),
    "segmentation": pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()}),
    "group": pa.string(),
    "attributes": pa.string(),
}
_PICTURE: dict[str, pa.DataType] = {
    "file_name": pa.string(),
    "image_id": pa.int64(),
    "image_id_text": pa.string(),
    "width": pa.int64(),
    "height": pa.int64(),
    "objects": pa.list_(pa.struct(_OBJECT)),
    "attributes": pa.string(),
}


def schema_of(dataset: Dataset, *, split: str, embedded: bool) -> pa.Schema:
    """Arrow schema of a shard, with the features of ``datasets`` (ClassLabel, Image) and our own metadata."""
    columns = dict(_PICTURE)
    features: dict[str, Any] = {name: _feature(kind) for name, kind in columns.items()}
    if dataset.labels:
        names = [label.name for label in dataset.labels]
        features["objects"][0]["category"] = {"names": names, "_type": "ClassLabel"}
    if embedded:
        columns = {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), **columns}
        features = {"image": {"_type": "Image"}, **features}
    ours = {
        "version": 1,
        "split": split,
        "labels": [
            {"name": x.name, "id": x.id, "is_thing": x.is_thing, "supercategory": x.supercategory, "extra": x.extra}
            for x in dataset.labels
        ],
        "info": dataset.info,
    }
    return pa.schema(columns).with_metadata(
        {"huggingface": json.dumps({"info": {"features": features}}), METADATA_KEY: _text(ours)}
    )


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {kind.field(k).name: _feature(kind.field(k).type) for k in range(kind.num_fields)}
    names = {pa.float64(): "float64", pa.int64(): "int64", pa.int32(): "int32", pa.bool_(): "bool"}
    return {"dtype": names.get(kind, "string"), "_type": "Value"}


def labels_in(metadata: Mapping[bytes, bytes] | None) -> tuple[tuple[Label, ...] | None, str | None, dict[str, Any]]:
    """Classes, the split's own name and the info that a shard's metadata tell of; None, None, {} where they don't."""
    metadata = metadata or {}
    try:
        if METADATA_KEY in metadata:
            ours = json.loads(metadata[METADATA_KEY])
            labels = tuple(
                Label(str(x["name"]), x["id"], bool(x["is_thing"]), str(x["supercategory"]), dict(x["extra"]))
                for x in ours["labels"]
            )
            return labels, str(ours["split"]), dict(ours["info"])
        if b"huggingface" in metadata:
            names = _class_names(json.loads(metadata[b"huggingface"])["info"]["features"].get("objects"))
            return (tuple(Label(name) for name in names) if names else None), None, {}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass  # broken metadata: the columns themselves are still there
    return None, None, {}


def _class_names(feature: Any) -> list[str] | None:
    """The names of the first ClassLabel below a feature."""
    if isinstance(feature, dict):
        if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
            return [str(name) for name in feature["names"]]
        feature = list(feature.values())
    if isinstance(feature, list):
        return next((names for names in map(_class_names, feature) if names), None)
    return None


def row_of(picture: Picture, numbers: Mapping[str, int], photo: bytes | None) -> dict[str, Any]:
    """A picture as a row. ``numbers``: class name -> number. Raises FormatError for a class that is none of them."""
    number, text = _id_columns(picture.id)
    return {
        "image": {"bytes": photo, "path": PurePosixPath(picture.file_name).name},
        "file_name": picture.file_name,
        "image_id": number,
        "image_id_text": text,
        "width": picture.width,
        "height": picture.height,
        "objects": [_object(item, numbers, picture.file_name) for item in picture.items],
        "attributes": _text(picture.attributes) if picture.attributes else None,
    }


def _object(item: Item, numbers: Mapping[str, int], place: str) -> dict[str, Any]:
    if item.label not in numbers:
        raise FormatError(f"{place}: object {item.id!r} has the class {item.label!r}, which the data set doesn't list")
    box = item.box
    if box is None and item.mask is not None:
        x0, y0, x1, y1 = (float(value) for value in box_xyxy(item.mask))
        box = (x0, y0, x1, y1)
    number, text = _id_columns(item.id)
    mask = item.mask
    box_area = 0.0 if box is None else (box[2] - box[0]) * (box[3] - box[1])
    return {
        "id": number,
        "id_text": text,
        "bbox": None if box is None else [box[0], box[1], box[2] - box[0], box[3] - box[1]],
        "category": numbers[item.label],
        "area": box_area if mask is None else float(area(mask)),
        "iscrowd": item.crowd,
        "score": item.score,
        "segmentation": None if mask is None else {"size": mask["size"], "counts": mask["counts"].decode("ascii")},
        "group": None if item.group is None else json.dumps(item.group),
        "attributes": _text(item.attributes) if item.attributes else None,
    }


def picture_of(
    row: Mapping[str, Any],
    labels: Sequence[Label],
    *,
    place: str,
    split: str,
    size: Callable[[], tuple[int, int]],
    report: Callable[[str], None],
) -> Picture:
    """A row as a picture, from our columns or those of other data sets for object detection.

    Args:
        place: file and row, for messages; names the picture where the row doesn't.
        size: asks for (width, height) where the row has none.
        report: hears of each object that can't be read; what it raises goes through.
    """
    width, height = row.get("width"), row.get("height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        width, height = size()
    items = []
    for number, found in enumerate(_objects(row.get("objects")), 1):
        try:
            items.append(_item(found, labels, height, width))
        except (MaskError, ValueError, TypeError, OverflowError, RecursionError) as error:
            report(f"{place}: object {number}: {error}; correct or remove it")
    return Picture(
        file_name=name_of(row, place),
        width=width,
        height=height,
        items=tuple(items),
        id=_id(row, "image_id"),
        split=split,
        attributes=_mapping(row.get("attributes")),
    )


def name_of(row: Mapping[str, Any], place: str) -> str:
    """The photo's file name; where the row has none, one that follows from ``place``."""
    image = row.get("image") if isinstance(row.get("image"), dict) else {}
    named = row.get("file_name") or (image or {}).get("path")
    # A suffix, because tools find photos by it; which one does not matter to them.
    return str(named or Path(place).name.replace(".parquet: row ", "-") + ".jpg")


def _objects(value: Any) -> list[Mapping[str, Any]]:
    """A list of structs, or a struct of lists (what ``datasets`` before version 4 wrote) -> a list of structs."""
    if isinstance(value, dict):
        columns = {name: found for name, found in value.items() if isinstance(found, list)}
        count = max(map(len, columns.values()), default=0)
        return [{name: found[k] if k < len(found) else None for name, found in columns.items()} for k in range(count)]
    return [found if isinstance(found, dict) else {} for found in value or []]


def _item(found: Mapping[str, Any], labels: Sequence[Label], height: int, width: int) -> Item:
    category = next((found[name] for name in CATEGORY_COLUMNS if found.get(name) is not None), None)
    if isinstance(category, bool) or not isinstance(category, int | str):
        raise ValueError("it has no category")
    if isinstance(category, int):
        if not 0 <= category < len(labels):
            raise ValueError(f"its category {category} is none of the {len(labels)} classes")
        category = labels[category].name
    box = None
    if found.get("bbox") is not None:
        x, y, w, h = (float(value) for value in found["bbox"])
        if not all(map(math.isfinite, (x, y, w, h, x + w, y + h))):
            raise ValueError("its bbox holds a number that is not finite")
        box = (x, y, x + w, y + h)
    score = found.get("score")
    group = found.get("group")
    return Item(
        label=category,
        box=box,
        mask=from_coco(found.get("segmentation"), height, width),
        id=_id(found, "id"),
        crowd=bool(found.get("iscrowd")),
        score=None if score is None else float(score),
        group=json.loads(group) if isinstance(group, str) else group,
        attributes=_mapping(found.get("attributes")),
    )


CATEGORY_COLUMNS = ("category", "category_id", "label", "labels", "class")
"""Names under which data sets keep the class of an object."""


def _id(found: Mapping[str, Any], name: str) -> int | str | None:
    value = found.get(name)
    if value is None:
        value = found.get(f"{name}_text")
    return value if isinstance(value, int | str) else None


def _id_columns(value: int | str | None) -> tuple[int | None, str | None]:
    if isinstance(value, int) and value in _INT64:
        return int(value), None
    return None, None if value is None else str(value)


def _mapping(text: Any) -> dict[str, Any]:
    value = json.loads(text) if isinstance(text, str) else text
    return dict(value) if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON doesn't know: mappings and sequences of other kinds, numpy numbers, and else the value as text."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return value.item() if hasattr(value, "item") and callable(value.item) else str(value)
