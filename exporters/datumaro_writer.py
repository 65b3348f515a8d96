"""Writes Datumaro's own layout, item by item: one open file for each subset."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy
from exporters.photo_files import UniqueNames, checked_name, place_photo, safe_name
from labelers.records import RLE

INFO = "openseed_label"
"""Key of what Datumaro has no field for: in ``infos``, and in attributes only where it is needed."""

DEFAULT = "default"
"""Datumaro's name for no subset."""

_MAX_SUBSETS = 100


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008 (frozen)
    """Write the folder ``out``. Raises FormatError where it exists and is not empty, and what reading raises."""
    written = Written()
    with building(out) as folder, ExitStack() as stack:
        (folder / "annotations").mkdir()
        writer = _Writer(dataset, folder, options, written, stack)
        for picture in dataset:
            writer.add(picture)
            written.pictures += 1
            options.on_picture()
        writer.finish()
    return written


class _Writer:
    def __init__(
        self, dataset: Dataset, folder: Path, options: WriteOptions, written: Written, stack: ExitStack
    ) -> None:
        self.dataset, self.folder, self.options, self.written, self.stack = dataset, folder, options, written, stack
        self.labels = {label.name: place for place, label in enumerate(dataset.labels)}
        self.files: dict[str, IO[bytes]] = {}
        self.names = UniqueNames()

    def add(self, picture: Picture) -> None:
        subset = _subset(picture.split)
        file = self.files.get(subset)
        first = file is None
        if file is None:
            file = self.files[subset] = self._begin(subset)
        file.write((b"\n" if first else b",\n") + _json(self._item(picture, subset)))

    def finish(self) -> None:
        if not self.files:
            self.files[DEFAULT] = self._begin(DEFAULT)
        for file in self.files.values():
            file.write(b"\n]}\n")
            file.close()

    def _begin(self, subset: str) -> IO[bytes]:
        if len(self.files) >= _MAX_SUBSETS:
            raise FormatError(f"more than {_MAX_SUBSETS} splits; Datumaro's layout has a file for each: merge some")
        file = self.stack.enter_context((self.folder / "annotations" / f"{subset}.json").open("wb"))
        labels = self.dataset.labels
        head = {
            "dm_format_version": "1.0",
            "media_type": 2,  # images
            "infos": {**self.dataset.info, INFO: {"labels": {label.name: _extra(label) for label in labels}}},
            "categories": {
                "label": {
                    "labels": [
                        {
                            "name": label.name,
                            "parent": label.supercategory,
                            "attributes": _names(label.extra.get("attributes")),
                        }
                        for label in labels
                    ],
                    "label_groups": [],
                    "attributes": ["is_crowd", "occluded", "score"],
                },
                "mask": {"colormap": [{"label_id": k, **_colour(k)} for k in range(len(labels))]},
            },
        }
        file.write(_json(head)[:-1] + b', "items": [')
        return file

    def _item(self, picture: Picture, subset: str) -> dict[str, Any]:
        file_name = checked_name(picture.file_name, where="photo")
        copying = self.options.copy_images != "none"
        name = safe_name(file_name) if copying else file_name
        if copying:
            target = self.folder / "images" / subset / name
            reason = place_photo(self.dataset.images, file_name, target, self.options.copy_images)
            if reason is not None:
                self.written.drop(reason)
        # An item's id is its name without suffix; a.jpg and a.png in one folder need different ones.
        key = self.names(name, suffix="", folder=subset)
        attributes = dict(picture.attributes)
        if picture.id != key or name != file_name:
            attributes[INFO] = {"id": picture.id} | ({"file_name": file_name} if name != file_name else {})
        return {
            "id": key,
            "annotations": list(self._shapes(picture)),
            "attr": attributes,
            "image": {"path": name, "size": [picture.height, picture.width]},
        }

    def _shapes(self, picture: Picture) -> Iterator[dict[str, Any]]:
        found: list[tuple[Item, list[dict[str, Any]], int, int]] = []
        used: set[int] = set()
        free = max((item.id for item in picture.items if isinstance(item.id, int)), default=0)
        free_group = max((item.group for item in picture.items if isinstance(item.group, int)), default=0)
        for item in picture.items:
            if item.label not in self.labels:
                raise FormatError(f"photo {picture.file_name!r}: label {item.label!r} is not among the labels")
            shapes = list(_regions(item, picture))
            if not shapes:
                self.written.drop("objects without a pixel and without a box")
                continue
            # The shapes of a pair find each other by id and group, where 0 is Datumaro's "none".
            key, group = _positive(item.id), _positive(item.group)
            if key in used or (key == 0 and len(shapes) > 1):
                free = key = max(free, 0) + 1
            if group == 0 and (len(shapes) > 1 or item.group is not None):
                free_group = group = max(free_group, 0) + 1
            used.update({key} - {0})
            found.append((item, shapes, key, group))
        groups = [group for *_, group in found]
        for item, shapes, key, group in found:
            self.written.items += 1
            read_again = (key or None, group if group and groups.count(group) > 1 else None)
            common = self._common(item, key, group, changed=read_again != (item.id, item.group))
            for shape in shapes:
                yield {**common, **shape}

    def _common(self, item: Item, key: int, group: int, *, changed: bool) -> dict[str, Any]:
        attributes = dict(item.attributes)
        order = attributes.pop("z_order", 0)
        if item.crowd:
            attributes["is_crowd"] = True
        if item.score is not None:
            attributes["score"] = float(item.score)
        if changed:
            attributes[INFO] = {"id": item.id, "group": item.group}
        return {
            "id": key,
            "attributes": attributes,
            "group": group,
            "label_id": self.labels[item.label],
            "z_order": order if isinstance(order, int) else 0,
        }


def _positive(key: int | str | None) -> int:
    return key if isinstance(key, int) and key > 0 else 0


def _regions(item: Item, picture: Picture) -> Iterator[dict[str, Any]]:
    mask = item.mask if item.mask is not None and area(item.mask) else None
    if mask is not None:
        if mask["size"] != [picture.height, picture.width]:
            raise FormatError(f"photo {picture.file_name!r}: a mask of size {mask['size']} does not fit the photo")
        yield {"type": "mask", "rle": {"counts": mask["counts"].decode("ascii"), "size": mask["size"]}}
    if item.box is not None and (mask is None or not _is_box_of(mask, item.box)):
        x0, y0, x1, y1 = item.box
        yield {"type": "bbox", "bbox": [x0, y0, x1 - x0, y1 - y0]}


def _is_box_of(mask: RLE, box: tuple[float, float, float, float]) -> bool:
    return bool(list(box) == box_xyxy(mask).tolist())


def _subset(split: str) -> str:
    name = safe_name(split, flat=True) if split.strip() else DEFAULT
    if re.search(r'[<>:"|?*]', name):
        raise FormatError(f"split {split!r} can't be the name of a file; rename it")
    return name


def _extra(label: Label) -> dict[str, Any]:
    kept = {key: value for key, value in label.extra.items() if key != "attributes" or not _names(value)}
    return {"id": label.id, "is_thing": label.is_thing, "extra": kept}


def _names(value: Any) -> list[str]:
    """Names of attributes; CVAT's are declared by objects with a name, which stay among the extras."""
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def _colour(place: int) -> dict[str, int]:
    """The colour of a class in Pascal VOC's order, which Datumaro uses, too; 0 is black for background."""
    index, rgb = place + 1, [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            rgb[channel] |= (index >> channel & 1) << shift
        index >>= 3
    return dict(zip("rgb", rgb, strict=True))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()
