"""COCO panoptic as a data set: one id for each pixel, so objects can't overlap, and a box is that of its mask.

Where masks overlap when written, things lie above stuff, and of two things (or two of stuff) the smaller lies above.
What is covered altogether is left out. Written are a folder ``panoptic`` with the PNGs and ``panoptic.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.atomic import building
from exporters.coco_dataset import CocoReader, OpenCoco, place
from exporters.coco_elements import is_score, label_ids, label_json, picture_json, source_id
from exporters.coco_panoptic import MAX_ID, PanopticError, read_ids, write_ids
from exporters.coco_sniff import is_panoptic, only_json
from exporters.coco_stream import CocoStream
from exporters.dataset import Dataset, FormatError, Holds, Item, Picture, WriteOptions, Written
from exporters.files import replacing
from exporters.masks import area, paste, window
from exporters.photo_files import UniqueNames, checked_name
from exporters.problems import OnProblem

HOLDS = Holds(boxes=False, overlap=False)
_DEFAULTS = WriteOptions()

FILE = "panoptic.json"
_KEYS = frozenset(("id", "category_id", "iscrowd", "area", "bbox", "score", "group_id", "source_id"))


def matches(path: Path) -> bool:
    return is_panoptic(only_json(path, FILE))


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open a panoptic JSON, or a folder with one. The PNGs lie in the folder beside it that is named after it.

    Args:
        images: folder of the photos; None: looked for beside the file.

    Raises:
        FormatError: no such file; without ``on_problem`` also for every bad element, now or while walking.
    """
    found = only_json(path, FILE)
    pngs = next((place for place in _png_folders(found) if place.is_dir()), found.parent)
    reader = CocoReader(path=found, images=images, on_problem=on_problem, items_of=_Segments(pngs))
    return reader.dataset()


def _png_folders(path: Path) -> list[Path]:
    """Beside the JSON with its name, as COCO's own archives have it; older ones add ``_pngs``."""
    return [path.with_suffix(""), path.with_name(f"{path.stem}_pngs"), path.parent / "pngs"]


@dataclass(frozen=True)
class _Segments:
    """The objects of a picture: its PNG cut into segments."""

    pngs: Path

    def __call__(self, opened: OpenCoco, row: int, height: int, width: int) -> tuple[Item, ...]:
        items: list[Item] = []
        for at in opened.document.annotations(row).rows.tolist():
            raw, where = opened.document.raw_annotation(at), f"annotations[{at}]"
            segments = raw.get("segments_info")
            if not isinstance(segments, list):
                opened.report(where, 'there is no list "segments_info"; give a COCO panoptic file')
                continue
            try:
                name = checked_name(raw.get("file_name"), where=where)
                ids = read_ids(self.pngs / name, height=height, width=width)
            except (PanopticError, FormatError) as error:
                opened.report(where, str(error))
                continue
            items += _items(opened, ids, segments, where)
        return tuple(items)


def _items(opened: OpenCoco, ids: NDArray[np.int32], segments: list[Any], where: str) -> list[Item]:
    labels = {label.id: label.name for label in opened.labels}
    windows = _windows(ids)
    items: list[Item] = []
    seen: set[int] = set()
    for j, raw in enumerate(segments):
        place = f"{where}.segments_info[{j}]"
        key = raw.get("id") if isinstance(raw, dict) else None
        if not isinstance(key, int) or isinstance(key, bool) or not 0 < key <= MAX_ID or key in seen:
            opened.report(place, f"id is {str(key)[:40]}; each segment needs its own, 1 to {MAX_ID}")
            continue
        seen.add(key)
        category = raw.get("category_id")
        if not isinstance(category, int | str) or category not in labels:
            opened.report(place, f"category_id {str(category)[:40]} is not among the categories; add it")
        elif key not in windows:
            opened.report(place, f"no pixel of the PNG has its id {key}; remove the segment")
        else:
            items.append(_item(raw, labels[category], ids, windows[key]))
    left = sorted(windows.keys() - seen)
    if left:
        opened.report(where, f"{len(left)} ids of the PNG ({left[0]}, ...) are in no segments_info; describe them")
    return items


def _windows(ids: NDArray[np.int32]) -> dict[int, tuple[int, int, int, int]]:
    """id -> y0, y1, x0, x1 of its pixels, 0 left out; one pass over the map."""
    values, where = np.unique(ids, return_inverse=True)
    where = where.reshape(ids.shape)
    height, width = ids.shape
    first, last = np.full((len(values), 2), max(height, width)), np.zeros((len(values), 2), int)
    for axis, places in enumerate((np.arange(height)[:, None], np.arange(width)[None])):
        np.minimum.at(first[:, axis], where, places)
        np.maximum.at(last[:, axis], where, places)
    return {
        int(value): (int(low[0]), int(high[0]) + 1, int(low[1]), int(high[1]) + 1)
        for value, low, high in zip(values, first, last, strict=True)
        if value > 0
    }


def _item(raw: Mapping[str, Any], label: str, ids: NDArray[np.int32], at: tuple[int, int, int, int]) -> Item:
    y0, y1, x0, x1 = at
    mask = paste(ids[y0:y1, x0:x1] == raw["id"], x0, y0, *ids.shape)
    score = raw.get("score")
    return Item(
        label=label,
        box=(float(x0), float(y0), float(x1), float(y1)),
        mask=mask,
        id=source_id(raw),
        crowd=raw.get("iscrowd") in (1, True, "1"),
        score=float(score) if is_score(score) else None,
        group=group if isinstance(group := raw.get("group_id"), int | str) else None,
        attributes={key: value for key, value in raw.items() if key not in _KEYS},
    )


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULTS) -> Written:
    """Write a folder with ``panoptic.json``, ``panoptic/*.png`` and, if they are copied, the photos in ``images``.

    Raises:
        FormatError: ``out`` is a file or not empty; an object's label is unknown.
        OSError: the output can't be written.
    """
    written = Written()
    ids = label_ids(dataset.labels, text=False)
    stuff = {label.name for label in dataset.labels if not label.is_thing}
    names = UniqueNames()
    overlapping = 0
    with building(out) as folder, replacing(folder / FILE) as file, CocoStream(file, folder) as stream:
        for picture in dataset:
            unknown = [item.label for item in picture.items if item.label not in ids]
            if unknown:
                raise FormatError(f"{picture.file_name}: the label {unknown[0]!r} is not among the labels")
            png = names(picture.file_name, suffix=".png")
            pixels, keys, overlaps = _map(picture, stuff, written)
            overlapping += overlaps
            target = folder / "panoptic" / png
            target.parent.mkdir(parents=True, exist_ok=True)
            write_ids(target, pixels)
            segments = _segments(picture, pixels, keys, ids, written)
            stream.image(picture.id, picture_json(picture))
            stream.annotation(None, {"file_name": png, "segments_info": segments})
            place(picture, dataset, folder, options, written)
            written.pictures += 1
            options.on_picture()
        categories = [
            {"id": ids[label.name], **label_json(label), "isthing": int(label.is_thing)} for label in dataset.labels
        ]
        stream.finish(dataset.info, categories, written)
    if overlapping:
        written.notes.append(f"{overlapping} masks lost pixels to others that lie above them (the smaller one does)")
    return written


def _map(picture: Picture, stuff: set[str], written: Written) -> tuple[NDArray[np.int32], list[int], int]:
    """Ids of the pixels, the id of each item (0: without mask), and how many masks lost pixels."""
    pixels = np.zeros((picture.height, picture.width), np.int32)
    keys = _keys(picture)
    order = [k for k, item in enumerate(picture.items) if item.mask is not None]
    sizes = {k: area(mask) for k in order if (mask := picture.items[k].mask) is not None}
    order.sort(key=lambda k: (picture.items[k].label not in stuff, -sizes[k]))
    for k in order:
        mask = picture.items[k].mask
        assert mask is not None
        if list(mask["size"]) != [picture.height, picture.width]:
            raise FormatError(f"{picture.file_name}: a mask has the size {mask['size']}, not that of the picture")
        crop, x0, y0 = window(mask)
        pixels[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]][crop] = keys[k]
    values, counts = np.unique(pixels, return_counts=True)
    seen = dict(zip(values.tolist(), counts.tolist(), strict=True))
    for k, item in enumerate(picture.items):
        if item.mask is None:
            written.drop("boxes without a mask")
        elif keys[k] not in seen:
            written.drop("masks without a pixel of their own (empty, or covered by others)")
    return pixels, keys, sum(0 < seen.get(keys[k], 0) < sizes[k] for k in order)


def _keys(picture: Picture) -> list[int]:
    """A number for each item's pixels: its id where the PNG can hold it and no other item has it."""
    keys = [0] * len(picture.items)
    used: set[int] = set()
    for k, item in enumerate(picture.items):
        if isinstance(item.id, int) and 0 < item.id <= MAX_ID and item.id not in used:
            keys[k] = item.id
            used.add(item.id)
    number = 0
    for k, key in enumerate(keys):
        if not key:
            number += 1
            while number in used:
                number += 1
            keys[k] = number
    return keys


def _segments(
    picture: Picture, pixels: NDArray[np.int32], keys: list[int], ids: Mapping[str, int | str], written: Written
) -> list[dict[str, Any]]:
    windows = _windows(pixels)
    found = []
    for key, item in zip(keys, picture.items, strict=True):
        if item.mask is None or key not in windows:
            continue
        y0, y1, x0, x1 = windows[key]
        value: dict[str, Any] = {
            "id": key,
            "category_id": ids[item.label],
            "iscrowd": int(item.crowd),
            "area": int((pixels[y0:y1, x0:x1] == key).sum()),
            "bbox": [x0, y0, x1 - x0, y1 - y0],
        }
        if item.score is not None:
            value["score"] = item.score
        if item.group is not None:
            value["group_id"] = item.group
        if item.id is not None and item.id != key:
            value["source_id"] = item.id
        value |= {name: attribute for name, attribute in item.attributes.items() if name not in _KEYS}
        found.append(value)
        written.items += 1
    return found
