"""Datumaro's own layout: ``annotations/<subset>.json`` and photos in ``images/<subset>``.

Datumaro 1.x. A region is written as an RLE ``mask``, pixel for pixel. Shapes with the same id, group and label (both
numbers not 0) are one object: that is how Datumaro itself keeps the polygons and the box of a COCO annotation. Crowd
and score are the attributes ``is_crowd`` and ``score``; stuff, class ids and the like stand in ``infos``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture
from exporters.datumaro_writer import DEFAULT, INFO, write
from exporters.json_stream import JsonError, Kind, scan
from exporters.masks import MaskError, box_xyxy, from_coco
from exporters.outlines import union
from exporters.photo_files import checked_name, first_found, photo_size
from exporters.problems import OnProblem, complain, number, size
from labelers.records import RLE

__all__ = ["HOLDS", "matches", "read", "write"]

HOLDS = Holds()

_REGIONS = ("mask", "polygon", "bbox")
_HEAD = 1 << 16


def matches(path: Path) -> bool:
    """Whether it is a folder with ``annotations/*.json`` of Datumaro, or one such file."""
    try:
        files = _files(path)
        with files[0].open("rb") as stream:
            head = stream.read(_HEAD)
    except (OSError, ValueError, IndexError):
        return False
    return b'"dm_format_version"' in head or (b'"categories"' in head and b'"items"' in head and b'"infos"' in head)


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Read a folder, or the JSON of one subset.

    Where the photos lie in a folder for each subset and there are several subsets, file names begin with it
    (``train/a.jpg``), so that they name the photos below ``images``. Labels, polylines, points and the like are
    problems: no regions.

    Raises:
        FormatError: no such file, no JSON, no Datumaro file, subsets with different labels; and without
            ``on_problem`` any element that is wrong.
    """
    files = _files(path)
    heads = [_head(file) for file in files]
    labels, info = heads[0].labels, heads[0].info
    for file, head in zip(files, heads, strict=True):
        if [label.name for label in head.labels] != [label.name for label in labels]:
            raise FormatError(f"{file}: its labels differ from those of {files[0].name}; give one subset's JSON")
    root = files[0].parent.parent
    if images is None and (root / "images").is_dir():
        images = root / "images"
        if len(files) == 1 and (images / files[0].stem).is_dir():
            images = images / files[0].stem

    def pictures() -> Iterator[Picture]:
        for file in files:
            reader = _Reader(file, labels, images, on_problem)
            for place, element in enumerate(_items(file)):
                try:
                    yield reader.picture(place, element)
                except FormatError as error:
                    complain(on_problem, error)

    return Dataset(str(path), labels, sum(head.count for head in heads), pictures, images=images, info=info)


class _Head:
    """Of one subset: labels, info and number of items."""

    def __init__(self, labels: tuple[Label, ...], info: dict[str, Any], count: int) -> None:
        self.labels, self.info, self.count = labels, info, count


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted((path / "annotations").glob("*.json"))
        if not found:
            raise FormatError(f"{path}: no annotations/*.json in it; give the folder that Datumaro exported")
        return found
    if not path.is_file():
        raise FormatError(f"{path}: no such file or folder; check the path")
    if path.suffix.lower() != ".json":
        raise FormatError(f"{path}: a JSON file or a folder is expected")
    return [path]


def _head(path: Path) -> _Head:
    found: dict[str, Any] = {}
    count = 0
    try:
        with path.open("rb") as stream:
            for item in scan(path, stream):
                if item.kind is Kind.MEMBER and item.key is not None:
                    found[item.key] = item.value
                elif item.kind is Kind.ELEMENT and item.key == "items":
                    count += 1
    except JsonError as error:
        raise FormatError(f"{error}; export it again") from error
    categories = found.get("categories")
    kinds = categories.get("label", {}) if isinstance(categories, dict) else None
    listed = kinds.get("labels", []) if isinstance(kinds, dict) else None
    if not isinstance(listed, list) or not all(isinstance(e, dict) and isinstance(e.get("name"), str) for e in listed):
        raise FormatError(f'{path}: "categories.label.labels" is no list of named labels; is it a Datumaro file?')
    infos = found.get("infos")
    info = dict(infos) if isinstance(infos, dict) else {}
    ours = info.pop(INFO, None)
    ours = ours if isinstance(ours, dict) else {}
    return _Head(tuple(_label(e, _mapping(ours.get("labels"))) for e in listed), info, count)


def _label(element: Mapping[str, Any], ours: Mapping[str, Any]) -> Label:
    name = element["name"]
    known = _mapping(ours.get(name))
    extra = dict(_mapping(known.get("extra")))
    if element.get("attributes"):
        extra["attributes"] = element["attributes"]
    key = known.get("id")
    return Label(
        name=name,
        id=key if isinstance(key, int | str) and not isinstance(key, bool) else None,
        is_thing=known.get("is_thing") is not False,
        supercategory=str(element.get("parent") or ""),
        extra=extra,
    )


def _items(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as stream:
            for item in scan(path, stream):
                if item.kind is Kind.ELEMENT and item.key == "items":
                    yield item.value
    except JsonError as error:
        raise FormatError(f"{error}; export it again") from error


class _Reader:
    """Pictures of one subset's file."""

    def __init__(self, path: Path, labels: tuple[Label, ...], images: Path | None, on_problem: OnProblem) -> None:
        self.path, self.labels, self.images, self.on_problem = path, labels, images, on_problem
        self.subset = path.stem

    def picture(self, place: int, element: Any) -> Picture:
        where = f"{self.path}: items[{place}]"
        if not isinstance(element, dict):
            raise FormatError(f"{where} is no object; is it a Datumaro file?")
        image = _mapping(element.get("image"))
        key = element.get("id")
        name = checked_name(image.get("path") or (f"{key}.jpg" if isinstance(key, str) and key else None), where=where)
        attributes = dict(_mapping(element.get("attr")))
        ours = _mapping(attributes.pop(INFO, None))
        original = checked_name(ours.get("file_name", name), where=where)
        height, width = self._size(image, name, where)
        return Picture(
            file_name=first_found(self.images, (original, f"{self.subset}/{name}", name), otherwise=original),
            width=width,
            height=height,
            items=tuple(self._items(element.get("annotations"), height, width, where)),
            id=ours["id"] if isinstance(ours.get("id"), int | str) else None if ours else key,
            split="" if self.subset == DEFAULT else self.subset,
            attributes=attributes,
        )

    def _size(self, image: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
        given = image.get("size")
        if isinstance(given, list) and len(given) == 2:
            return size(given[0], given[1], where)
        if self.images is None:
            raise FormatError(f"{where}: it has no image size; give the folder of the photos with --images")
        below = self.images / self.subset
        return photo_size(below if (below / name).is_file() else self.images, name, where=where)

    def _items(self, annotations: Any, height: int, width: int, where: str) -> Iterator[Item]:
        if annotations is not None and not isinstance(annotations, list):
            raise FormatError(f"{where}: annotations is no list; is it a Datumaro file?")
        objects: dict[object, list[dict[str, Any]]] = {}
        for place, shape in enumerate(annotations or []):
            at = f"{where}: annotations[{place}]"
            if not isinstance(shape, dict) or shape.get("type") not in _REGIONS:
                kind = shape.get("type") if isinstance(shape, dict) else type(shape).__name__
                complain(self.on_problem, f"{at} is a {kind!r}, no region; only {', '.join(_REGIONS)} can be read")
                continue
            key = (shape.get("id"), shape.get("group"), shape.get("label_id"))
            single = not all(isinstance(k, int) and k for k in key[:2])
            objects.setdefault((place,) if single else key, []).append({**shape, "_at": at})
        groups = [shapes[0].get("group") for shapes in objects.values()]
        for shapes in objects.values():
            group = shapes[0].get("group")
            alone = not isinstance(group, int) or group == 0 or groups.count(group) == 1
            try:
                yield self._object(shapes, height, width, None if alone else group)
            except (FormatError, MaskError) as error:
                message = str(error) if isinstance(error, FormatError) else f"{shapes[0]['_at']}: {error}; redraw it"
                complain(self.on_problem, message)

    def _object(self, shapes: list[dict[str, Any]], height: int, width: int, group: int | None) -> Item:
        masks: list[RLE] = []
        box: tuple[float, float, float, float] | None = None
        for shape in shapes:
            if shape["type"] == "bbox":
                box = _box(shape)
                continue
            found = from_coco(_segmentation(shape), height, width)
            if found is None:
                raise FormatError(f"{shape['_at']}: it covers no pixel; redraw or delete it")
            masks.append(found)
        first = shapes[0]
        mask = union(masks) if len(masks) > 1 else masks[0] if masks else None
        if box is None and mask is not None:
            x0, y0, x1, y1 = box_xyxy(mask).tolist()
            box = x0, y0, x1, y1
        attributes = dict(_mapping(first.get("attributes")))
        ours = _mapping(attributes.pop(INFO, None))
        crowd = attributes.pop("is_crowd", False)
        score = attributes.pop("score", None)
        if score is not None and not 0 <= number(score, f"{first['_at']}: score") <= 1:
            raise FormatError(f"{first['_at']}: score is {score!r}; 0 to 1 is expected")
        if first.get("z_order"):
            attributes["z_order"] = first["z_order"]
        label = first.get("label_id")
        if not isinstance(label, int) or not 0 <= label < len(self.labels):
            raise FormatError(f"{first['_at']}: label_id {label!r} is no index of the labels; give it a label")
        key = ours.get("id", first.get("id"))
        return Item(
            label=self.labels[label].name,
            box=box,
            mask=mask,
            id=key if "id" in ours else key or None,
            crowd=bool(crowd),
            score=None if score is None else float(score),
            group=ours.get("group", group),
            attributes=attributes,
        )


def _segmentation(shape: Mapping[str, Any]) -> Any:
    return shape.get("rle") if shape["type"] == "mask" else [shape.get("points") or []]


def _box(shape: Mapping[str, Any]) -> tuple[float, float, float, float]:
    values = shape.get("bbox")
    if not isinstance(values, list) or len(values) != 4:
        raise FormatError(f"{shape['_at']}: bbox is {json.dumps(values)[:60]}; [x, y, width, height] is expected")
    x, y, w, h = (number(value, f"{shape['_at']}: bbox") for value in values)
    return x, y, x + w, y + h


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
