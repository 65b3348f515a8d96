"""Writing Pascal VOC: see ``exporters.voc`` for the folders.

Where objects overlap, a pixel goes to the smaller one, so that small things in front of large ones keep theirs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions, Written
from exporters.masks import MaskError, area, box_xyxy, decode, from_coco, window
from exporters.photo_files import UniqueNames, place_photo
from exporters.voc_masks import MOST, VOID, palette, write_png
from exporters.voc_xml import Box, write_annotation

LABELMAP = "labelmap.txt"
DEFAULT_SPLIT = "default"
# fmt: off
OFFICIAL = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)
# fmt: on
"""The classes of Pascal VOC, whose numbers 1 to 20 are the same everywhere."""

_DEFAULT = WriteOptions()


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULT) -> Written:
    """Write the folder ``out``. Raises FormatError and OSError."""
    written = Written()
    numbers = _numbers(dataset.labels)
    unique = UniqueNames()
    with building(out) as folder, ExitStack() as stack:
        lists: dict[tuple[str, str], IO[str]] = {}
        for picture in dataset:
            name = unique(picture.file_name, suffix=".xml")[: -len(".xml")]
            photo = name + PurePosixPath(picture.file_name).suffix
            items = _usable(picture, numbers, written)
            segmented = _write_masks(folder, name, picture, items, numbers, written)
            write_annotation(folder / "Annotations" / f"{name}.xml", picture, items, photo, segmented)
            for kind in ("Main", "Segmentation")[: 2 if segmented else 1]:
                key = (kind, _split(picture.split))
                if key not in lists:
                    file = folder / "ImageSets" / kind / f"{key[1]}.txt"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    lists[key] = stack.enter_context(file.open("w", encoding="utf-8", newline="\n"))
                lists[key].write(f"{name}\n")
            reason = place_photo(dataset.images, picture.file_name, folder / "JPEGImages" / photo, options.copy_images)
            if reason is not None:
                written.drop(reason)
            written.pictures += 1
            written.items += len(items)
            options.on_picture()
        for name in ("Annotations", "ImageSets/Main"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / LABELMAP).write_text(_labelmap(dataset.labels, numbers), encoding="utf-8", newline="\n")
        stack.close()  # the lists, before the folder is renamed
    written.notes += unique.notes()
    return written


def _numbers(labels: Sequence[Label]) -> dict[str, int]:
    """Label -> class number: those of VOC where there are no others, else 1, 2, 3 in order."""
    names = [label.name for label in labels]
    for name in names:
        if "\n" in name or "\r" in name:
            raise FormatError(f"class {name!r} has a line break in its name, which {LABELMAP} can't hold; rename it")
    if set(names) <= set(OFFICIAL):
        return {name: OFFICIAL.index(name) + 1 for name in names}
    return {name: number for number, name in enumerate(names, 1)}


def _labelmap(labels: Sequence[Label], numbers: dict[str, int]) -> str:
    table = palette().tolist()
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    for label in labels:
        number = numbers[label.name]
        colour = ",".join(map(str, table[number])) if number <= MOST else ""
        lines.append(f"{label.name}:{colour}::")
    return "\n".join([*lines, ""])


def _usable(picture: Picture, numbers: dict[str, int], written: Written) -> list[tuple[Item, Box]]:
    """The items that can be written, each with its box, cut to the picture."""
    found = []
    for item in picture.items:
        if item.label not in numbers:
            written.drop("objects of an unknown class")
            continue
        box = _cut(item.box, picture)
        if box is None and item.mask is not None and area(item.mask):
            x0, y0, x1, y1 = box_xyxy(item.mask).tolist()
            box = _cut((x0, y0, x1, y1), picture)
        if box is None:
            written.drop("objects without a box or a mask inside the picture")
            continue
        found.append((item, box))
    return found


def _cut(box: Box | None, picture: Picture) -> Box | None:
    if box is None or not np.isfinite(box).all():
        return None
    x0, x1 = (min(max(x, 0.0), picture.width) for x in (box[0], box[2]))
    y0, y1 = (min(max(y, 0.0), picture.height) for y in (box[1], box[3]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def _write_masks(
    folder: Path, name: str, picture: Picture, items: list[tuple[Item, Box]], numbers: dict[str, int], written: Written
) -> bool:
    """Both PNGs of a picture; False where it has no mask and none is written."""
    drawn = []
    for number, (item, _) in enumerate(items, 1):
        if item.mask is None or area(item.mask) == 0:
            continue
        if item.mask["size"] != [picture.height, picture.width]:
            written.drop("masks of another size than their picture (their boxes are kept)")
        elif number > MOST or numbers[item.label] > MOST:
            written.drop(f"masks beyond {MOST} classes or {MOST} objects in a picture (their boxes are kept)")
        else:
            drawn.append((number, item.mask, numbers[item.label], area(item.mask)))
    if not drawn:
        return False
    objects = np.zeros((picture.height, picture.width), np.uint8)
    classes = np.zeros_like(objects)
    for number, mask, label, _ in sorted(drawn, key=lambda one: -one[3]):
        inside, x0, y0 = window(mask)
        at = np.s_[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]]
        objects[at][inside], classes[at][inside] = number, label
    pixels = np.bincount(objects.ravel(), minlength=VOID + 1)
    for number, _, _, whole in drawn:
        written.iou(float(pixels[number]) / whole)
        if pixels[number] == 0:
            written.drop("masks that lie behind others (their boxes are kept)")
    void = _void(picture)
    if void is not None:
        free = void & (objects == 0)
        objects[free] = classes[free] = VOID
    write_png(folder / "SegmentationObject" / f"{name}.png", objects)
    write_png(folder / "SegmentationClass" / f"{name}.png", classes)
    return True


def _void(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None:
    """The void pixels that a VOC data set came with."""
    try:
        rle = from_coco(picture.attributes.get("void"), picture.height, picture.width)
    except MaskError:
        return None
    return None if rle is None else decode(rle)


def _split(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:80] or DEFAULT_SPLIT
