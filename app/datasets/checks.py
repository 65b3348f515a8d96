"""What is wrong with a data set, and what to do about it. One walk; nothing is changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from app.datasets.opening import Opened
from exporters.dataset import Item, Label, Picture
from exporters.masks import area, box_xyxy
from labelers.duplicates import box_iou as ious
from labelers.photos import PhotoError, read_header
from labelers.windows import box_iou

KEPT = 100
"""Places that are kept for each kind; the others are counted only."""

_OUT = 1.0  # pixels that a box may lie outside its photo by rounding
_APART = 0.8  # IoU of a box and its mask's own box
_DUPLICATE_BOX, _DUPLICATE_MASK = 0.98, 0.95


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Attributes:
        what: is wrong, for the heading.
        fix: what to do.
        serious: False where it may be meant so.
    """

    what: str
    fix: str
    serious: bool = True


KINDS: Mapping[str, Kind] = {
    "unreadable": Kind("elements that can't be read", "each message says what to write instead"),
    "picture-id": Kind("photos with the id of another", "give each photo its own id; annotations refer to it"),
    "item-id": Kind("annotations with the id of another", "give each its own id: `openseed-label convert IN OUT --to "
                    "coco` numbers the later ones anew"),
    "file-name": Kind("photos named twice", "keep one entry of the photo and move the annotations of the others to it"),
    "no-size": Kind("photos without a usable size", "write the width and height of the photo"),
    "photo": Kind("photos that are missing or can't be opened", "give their folder with --images, restore the files, "
                  "or remove the entries"),
    "exif": Kind("rotated photos whose labels are in the frame of the stored pixels", "nothing, where your trainer "
                 "ignores EXIF; else turn the labels: `openseed-label convert IN OUT --to FORMAT --upright`"),
    "exif-unclear": Kind("rotated photos where width and height do not tell the frame", "look at one of them in "
                         "`openseed-label ui`, and give --exif raw or --exif upright", serious=False),
    "photo-size": Kind("photos of another size than the labels say", "correct width and height, and scale the labels "
                       "if the photo was resized"),
    "label": Kind("objects of an unknown class", "add the class to the list, or correct the name"),
    "nothing": Kind("objects without a box and a mask", "draw them (`openseed-label ui`), or remove them"),
    "empty-mask": Kind("masks without a pixel", "make masks of the boxes (`openseed-label convert-boxes`), or remove "
                       "the objects"),
    "mask-size": Kind("masks of another size than their photo", "make the mask again at the size of the photo"),
    "box-number": Kind("boxes with no area or numbers that are not finite", "tighten them to the mask, or remove them"),
    "box-outside": Kind("boxes outside their photo", "cut them to the photo; check whether x and y, or width and "
                        "x1, were mixed up"),
    "box-apart": Kind("boxes that do not fit their masks", "tighten the boxes to the masks: `openseed-label "
                      "convert-boxes --tighten`", serious=False),
    "score": Kind("scores outside 0 to 1", "divide percentages by 100"),
    "duplicate": Kind("objects that are there twice", "remove one of the two"),
    "class-name": Kind("classes of the same name", "merge them: annotations name a class by its text or id"),
    "class-unused": Kind("classes without an object", "remove them, unless they are to come", serious=False),
    "class-case": Kind("classes that differ in case or spaces only", "choose one spelling", serious=False),
}  # fmt: skip


@dataclass
class Finding:
    """How often one kind of fault was found, and where: the first places, in order."""

    kind: str
    count: int = 0
    places: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        kind = KINDS[self.kind]
        return {
            "kind": self.kind,
            "what": kind.what,
            "fix": kind.fix,
            "serious": kind.serious,
            "count": self.count,
            "places": self.places,
        }


class _Findings:
    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, place: str) -> None:
        finding = self._found.setdefault(kind, Finding(kind))
        finding.count += 1
        if len(finding.places) < KEPT:
            finding.places.append(place)

    def add_problems(self, messages: list[str], count: int) -> None:
        if count:
            self._found["unreadable"] = Finding("unreadable", count, messages[:KEPT])

    def all(self) -> list[Finding]:
        return [self._found[kind] for kind in KINDS if kind in self._found]


def check(opened: Opened, *, on_picture: Callable[[], object] = lambda: None) -> list[Finding]:
    """Look at all of a data set. Raises FormatError if it can't be read at all."""
    dataset = opened.dataset
    findings = _Findings()
    names = {label.name for label in dataset.labels}
    picture_ids: set[Any] = set()
    item_ids: set[Any] = set()
    files: set[tuple[str, str]] = set()
    used: Counter[str] = Counter()
    for picture in dataset:
        where = picture.file_name
        if picture.id is not None and picture.id in picture_ids:
            findings.add("picture-id", f"{where}: id {picture.id}")
        picture_ids.add(picture.id)
        if (picture.split, where) in files:
            findings.add("file-name", where)
        files.add((picture.split, where))
        for kind, said in _of_photo(picture, dataset.images):
            findings.add(kind, f"{where}: {said}")
        for number, item in enumerate(picture.items):
            place = f"{where}: object {number + 1}" + ("" if item.id is None else f" (id {item.id})")
            if item.id is not None and item.id in item_ids:
                findings.add("item-id", place)
            item_ids.add(item.id)
            used[item.label] += 1
            if item.label not in names:
                findings.add("label", f"{place}: {item.label!r}")
            for kind, said in _of_item(item, picture):
                findings.add(kind, f"{place}: {said}")
        for first, second in _twins(picture.items):
            findings.add("duplicate", f"{where}: objects {first + 1} and {second + 1} ({picture.items[first].label})")
        on_picture()
    for kind, said in _of_labels(dataset.labels, used):
        findings.add(kind, said)
    findings.add_problems(opened.problems.messages, opened.problems.count)
    return findings.all()


def _of_photo(picture: Picture, images: Path | None) -> Iterator[tuple[str, str]]:
    width, height = picture.width, picture.height
    if width <= 0 or height <= 0:
        yield "no-size", f"{width} x {height}"
        return
    if images is None:
        return
    try:
        header = read_header(images, picture.file_name)
    except PhotoError as error:
        yield "photo", error.reason
        return
    upright, raw = (header.width, header.height), (header.raw_width, header.raw_height)
    if (width, height) not in (upright, raw):
        yield "photo-size", f"labels say {width} x {height}, the file has {upright[0]} x {upright[1]}"
    elif header.orientation != 1 and upright == raw:
        yield "exif-unclear", f"EXIF orientation {header.orientation}"
    elif upright != raw and (width, height) == raw:
        yield "exif", f"EXIF orientation {header.orientation}, labels at {width} x {height}"


def _of_item(item: Item, picture: Picture) -> Iterator[tuple[str, str]]:
    mask, box = item.mask, item.box
    if mask is None and box is None:
        yield "nothing", "neither box nor mask"
    if item.score is not None and not 0 <= item.score <= 1:
        yield "score", f"{item.score:g}"
    sound = box is not None and all(map(math.isfinite, box)) and box[2] > box[0] and box[3] > box[1]
    if box is not None:
        shown = ", ".join(f"{value:g}" for value in box)
        if not sound:
            yield "box-number", f"x0, y0, x1, y1 = {shown}"
        elif min(box[0], box[1]) < -_OUT or box[2] > picture.width + _OUT or box[3] > picture.height + _OUT:
            yield "box-outside", f"x0, y0, x1, y1 = {shown} on {picture.width} x {picture.height}"
    if mask is None:
        return
    if list(mask["size"]) != [picture.height, picture.width]:
        yield "mask-size", f"{mask['size'][1]} x {mask['size'][0]} on {picture.width} x {picture.height}"
    elif area(mask) == 0:
        yield "empty-mask", "no pixel"
    elif sound and box is not None and not item.crowd:
        overlap = box_iou(box, box_xyxy(mask))
        if overlap < _APART:
            yield "box-apart", f"IoU {overlap:.2f}"


def _twins(items: tuple[Item, ...]) -> Iterator[tuple[int, int]]:
    """Pairs of one class with nearly the same box, and the same mask where both have one; nothing is a copy twice."""
    by_label: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        if not item.crowd:
            by_label.setdefault(item.label, []).append(at)
    for places in by_label.values():
        if len(places) < 2:
            continue
        boxes = np.array([_box_of(items[at]) for at in places], np.float64)
        known: set[int] = set()
        for k in range(len(places) - 1):
            if k in known:
                continue
            for other in (np.flatnonzero(ious(boxes[k], boxes[k + 1 :])[0] >= _DUPLICATE_BOX) + k + 1).tolist():
                if other not in known and _same_mask(items[places[k]], items[places[other]]):
                    known.add(other)
                    yield places[k], places[other]


def _box_of(item: Item) -> tuple[float, ...]:
    if item.mask is not None and area(item.mask):
        return tuple(box_xyxy(item.mask).tolist())
    return item.box or (math.nan,) * 4


def _same_mask(a: Item, b: Item) -> bool:
    if a.mask is None or b.mask is None:
        return a.mask is None and b.mask is None
    if a.mask["size"] != b.mask["size"]:
        return False
    return float(coco_mask.iou([dict(a.mask)], [dict(b.mask)], [0])[0][0]) >= _DUPLICATE_MASK


def _of_labels(labels: tuple[Label, ...], used: Counter[str]) -> Iterator[tuple[str, str]]:
    seen: Counter[str] = Counter()
    folded: dict[str, str] = {}
    for label in labels:
        seen[label.name] += 1
        if seen[label.name] == 2:
            yield "class-name", repr(label.name)
        key = " ".join(label.name.casefold().replace("_", " ").split())
        other = folded.setdefault(key, label.name)
        if other != label.name:
            yield "class-case", f"{other!r} and {label.name!r}"
        if not used[label.name]:
            yield "class-unused", repr(label.name)
