"""Writes Cityscapes' layout: polygons, ``labelIds`` and ``instanceIds`` PNGs, and ``labels.json``."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporters.atomic import building
from exporters.cityscapes_labels import GROUP, UNLABELED, png_ids, split_name
from exporters.dataset import Dataset, FormatError, Item, Picture, WriteOptions, Written
from exporters.masks import area, window
from exporters.painting import layers, paint
from exporters.photo_files import MAX_PIXELS, UniqueNames, checked_name, place_photo, safe_name
from exporters.png_listing import label_json

MORE = "openseed_label"
"""Key of what Cityscapes has no field for, in the file and in its objects; its scripts ignore it."""

LABELS = "labels.json"
DEFAULT = "default"
"""Folder of pictures without a split or a city."""

_PHOTO = "_leftImg8bit"


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008 (frozen)
    """Write the folder ``out``. Where masks overlap, things win over crowds, those over stuff, and later over earlier.

    Raises FormatError where ``out`` exists and is not empty, and what reading raises.
    """
    written = Written()
    with building(out) as folder:
        writer = _Writer(dataset, folder, options, written)
        for picture in dataset:
            writer.add(picture)
            written.pictures += 1
            options.on_picture()
        writer.finish()
    return written


class _Writer:
    def __init__(self, dataset: Dataset, folder: Path, options: WriteOptions, written: Written) -> None:
        self.dataset, self.folder, self.options, self.written = dataset, folder, options, written
        self.labels = {label.name: label for label in dataset.labels}
        self.ids = png_ids(dataset.labels)
        self.names = UniqueNames()
        (folder / "gtFine").mkdir()

    def add(self, picture: Picture) -> None:
        file_name = checked_name(picture.file_name, where="photo")
        split = safe_name(picture.split, flat=True) if picture.split.strip() else DEFAULT
        stem = self.names(_city_and_name(file_name, split), suffix="", folder=split)
        target = self.folder / "gtFine" / split / f"{stem}_gtFine"
        target.parent.mkdir(parents=True, exist_ok=True)
        photo = f"{split}/{stem}{_PHOTO}{PurePosixPath(safe_name(file_name)).suffix}"
        if self.options.copy_images != "none":
            place = self.folder / "leftImg8bit" / photo
            reason = place_photo(self.dataset.images, file_name, place, self.options.copy_images)
            if reason is not None:
                self.written.drop(reason)
        items = self._visible(picture)
        index = _index(picture, items)
        polygons = self._polygons(index, items)
        ours: dict[str, Any] = {"id": picture.id} if picture.id is not None else {}
        if file_name != f"{split}/{stem}{_PHOTO}.png":
            ours |= {"file_name": file_name, "photo": photo}
        if picture.attributes:
            ours["attributes"] = dict(picture.attributes)
        document: dict[str, Any] = {"imgHeight": picture.height, "imgWidth": picture.width}
        document["objects"] = self._objects(polygons, items)
        _save(target.with_name(target.name + "_polygons.json"), document | ({MORE: ours} if ours else {}))
        self._pngs(index, items, target)

    def finish(self) -> None:
        labels = [label_json(label) | {"png": self.ids[name]} for name, label in self.labels.items()]
        _save(self.folder / LABELS, {"labels": labels})

    def _visible(self, picture: Picture) -> list[Item]:
        """What can be painted."""
        if picture.height * picture.width > MAX_PIXELS:
            raise FormatError(f"photo {picture.file_name!r}: more than {MAX_PIXELS:,} pixels can't be painted")
        found = []
        for item in picture.items:
            if item.label not in self.labels:
                raise FormatError(f"photo {picture.file_name!r}: label {item.label!r} is not among the labels")
            if item.mask is None or not area(item.mask):
                self.written.drop("boxes without a mask")
                continue
            if item.mask["size"] != [picture.height, picture.width]:
                raise FormatError(f"photo {picture.file_name!r}: a mask of {item.mask['size']} does not fit the photo")
            found.append(item)
        # stuff lies under crowds, crowds under things; else file order, because sorting keeps it
        order = sorted(range(len(found)), key=lambda k: self._rank(found[k]))
        return [found[k] for k in order]

    def _rank(self, item: Item) -> int:
        return 0 if not self.labels[item.label].is_thing else 1 if item.crowd else 2

    def _polygons(self, index: NDArray[np.int32], items: list[Item]) -> list[tuple[int, Any]]:
        visible = np.bincount(index.ravel(), minlength=len(items) + 1)[1:]
        for pixels in visible.tolist():
            if pixels:
                self.written.items += 1
            else:
                self.written.drop("objects wholly under others")
        polygons = layers(index, tolerance=self.options.tolerance)
        if self.options.tolerance > 0:
            painted = paint(polygons, *index.shape)
            for value in range(1, len(items) + 1):
                if visible[value - 1]:
                    both = int(((painted == value) & (index == value)).sum())
                    self.written.iou(both / int(((painted == value) | (index == value)).sum()))
        return polygons

    def _objects(self, polygons: list[tuple[int, Any]], items: list[Item]) -> list[dict[str, Any]]:
        number = {value: 0 for value, _ in polygons}
        for value, _ in polygons:
            number[value] += 1
        found: list[dict[str, Any]] = []
        told: set[int] = set()
        for value, points in polygons:
            if value == 0:
                found.append({"label": UNLABELED, "polygon": points})
                continue
            item = items[value - 1]
            name = item.label + GROUP if item.crowd else item.label
            ours: dict[str, Any] = {}
            if number[value] > 1 or item.label == UNLABELED:
                ours["object"] = value
            if split_name(name, frozenset(self.labels)) != (item.label, item.crowd):
                ours |= {"label": item.label, "crowd": item.crowd}
            if value not in told:
                told.add(value)
                ours |= {key: getattr(item, key) for key in ("id", "score", "group") if getattr(item, key) is not None}
                ours |= {"attributes": dict(item.attributes)} if item.attributes else {}
            found.append({"label": name, "polygon": points} | ({MORE: ours} if ours else {}))
        return found

    def _pngs(self, index: NDArray[np.int32], items: list[Item], target: Path) -> None:
        classes = np.array([0, *(max(self.ids[item.label], 0) for item in items)])
        instances = classes.copy()
        count: dict[str, int] = {}
        for value, item in enumerate(items, start=1):
            if self.labels[item.label].is_thing and not item.crowd and self.ids[item.label] > 0:
                number = count.get(item.label, 0)
                count[item.label] = number + 1
                instances[value] = instances[value] * 1000 + number
        if classes.max() > 255:
            self._note("more than 255 classes: no labelIds PNGs were written")
        else:
            _save_png(target.with_name(target.name + "_labelIds.png"), classes[index].astype(np.uint8))
        if instances.max() > 65535 or max(count.values(), default=0) > 1000:
            self._note("more than 65 classes of things or 1000 objects: some instanceIds PNGs could not be written")
        else:
            _save_png(target.with_name(target.name + "_instanceIds.png"), instances[index].astype(np.uint16))

    def _note(self, text: str) -> None:
        if text not in self.written.notes:
            self.written.notes.append(text)


def _city_and_name(file_name: str, split: str) -> str:
    """``city/name`` without Cityscapes' own split before it and ending behind it."""
    name = PurePosixPath(file_name).with_suffix("").as_posix().removesuffix(_PHOTO)
    parts = name.split("/")
    if len(parts) == 3 and parts[0] == split:
        parts = parts[1:]
    city, *rest = parts if len(parts) > 1 else [DEFAULT, *parts]
    # a suffix is cut off once more by whoever takes it for one
    return f"{city}/{'__'.join(rest) or '_'}.x"


def _index(picture: Picture, items: list[Item]) -> NDArray[np.int32]:
    """Place in ``items`` + 1 of the object on top of each pixel, int32 [H, W]."""
    index = np.zeros((picture.height, picture.width), np.int32)
    for value, item in enumerate(items, start=1):
        assert item.mask is not None
        crop, x0, y0 = window(item.mask)
        index[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]][crop] = value
    return index


def _save(path: Path, document: dict[str, Any]) -> None:
    path.write_bytes(json.dumps(document, ensure_ascii=False, default=str).encode())


def _save_png(path: Path, values: NDArray[Any]) -> None:
    Image.fromarray(values).save(path, format="PNG")
