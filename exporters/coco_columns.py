"""Compact columns for the annotations of a COCO file: about 100 bytes for each instead of Python objects."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.coco_records import Category, ImageRow
from exporters.masks import is_box, is_empty

_NAN = math.nan
_NO_BOX = (_NAN, _NAN, _NAN, _NAN)
# A file where everything is wrong should not make a million messages.
_MESSAGES = 10


class Columns:
    """Grows by one row for each annotation; ``finish`` when all images and categories are known."""

    def __init__(self) -> None:
        self.starts, self.ends = array("q"), array("q")
        self.boxes, self.scores = array("d"), array("d")
        self.crowd, self.masked = array("b"), array("b")
        self.ids = array("q")
        self.other_ids: dict[int, str] = {}  # row -> JSON text, of the ids that are no 64-bit whole numbers
        self.image_codes, self.category_codes = array("q"), array("q")
        # An id is kept once and each annotation holds its number: images may come after the annotations in the file.
        self.image_refs: dict[Any, int] = {}
        self.category_refs: dict[Any, int] = {}
        self.problems = Problems()

    def __len__(self) -> int:
        return len(self.starts)

    def add(self, start: int, end: int, value: Any) -> None:
        row = len(self.starts)
        self.starts.append(start)
        self.ends.append(end)
        if not isinstance(value, dict):
            self.problems.add("annotations that are no objects", f"annotation {row}")
            value = {}
        get = value.get
        key = get("id")
        if type(key) is int and -(2**63) <= key < 2**63:
            self.ids.append(key)
        else:
            self.ids.append(0)
            self.other_ids[row] = json.dumps(key)
        box = get("bbox")
        self.boxes.extend(_numbers(box))
        self.image_codes.append(_code(self.image_refs, get("image_id")))
        self.category_codes.append(_code(self.category_refs, get("category_id")))
        crowd = get("iscrowd")
        self.crowd.append(crowd is not None and crowd in (1, "1"))
        segmentation = get("segmentation")
        self.masked.append(not is_empty(segmentation) and not is_box(segmentation, box))
        self.scores.append(_number(get("score")))


class Problems:
    """Messages by kind, the first few of each and a count of the rest."""

    def __init__(self) -> None:
        self.examples: dict[str, list[str]] = {}
        self.counts: dict[str, int] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        known = self.examples.setdefault(kind, [])
        if len(known) < _MESSAGES:
            known.append(example)

    def lines(self) -> list[str]:
        return [
            f"{count} {kind}: {', '.join(self.examples[kind])}" + (", ..." if count > len(self.examples[kind]) else "")
            for kind, count in self.counts.items()
        ]


def _numbers(box: Any) -> tuple[float, float, float, float]:
    if type(box) is not list or len(box) != 4:
        return _NO_BOX
    x, y, w, h = (_number(value) for value in box)
    return x, y, w, h


def _number(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return _NAN


def _code(known: dict[Any, int], key: Any) -> int:
    """The number of an id; -1 for none."""
    if key is None:
        return -1
    if isinstance(key, list | dict):
        key = json.dumps(key)
    return known.setdefault(key, len(known))


def resolve(codes: array[int], refs: dict[Any, int], rows: dict[Any, int]) -> NDArray[np.int64]:
    """Numbers of ids -> rows of the images or categories; -1 where there is none of that id."""
    table = np.array([rows.get(key, -1) for key in refs] + [-1], np.int64)  # the last is for number -1
    return table[np.frombuffer(codes, np.int64)] if len(codes) else np.zeros(0, np.int64)


def image_row(row: int, value: Any, problems: Problems) -> tuple[ImageRow, Any]:
    """One element of ``images`` and its id as parsed (None without)."""
    if not isinstance(value, dict):
        problems.add("images that are no objects", f"image {row}")
        value = {}
    key, name = value.get("id"), value.get("file_name")
    if key is None:
        problems.add("images without id", f"image {row}")
    if not _is_text(name):
        problems.add("images without a usable file_name", f"image {row}")
        name = ""
    text = f"#{row}" if key is None else json.dumps(key)
    return ImageRow(row, text, name, _side(value.get("width")), _side(value.get("height"))), key


def _is_text(name: Any) -> bool:
    """Text that can be printed and opened: no NUL, no half of a surrogate pair (JSON can spell both)."""
    return isinstance(name, str) and name != "" and "\0" not in name and _encodes(name)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _side(value: Any) -> int | None:
    number = _number(value)
    return int(number) if math.isfinite(number) and number > 0 and number == int(number) else None


def category_row(row: int, value: Any, problems: Problems) -> Category:
    """One element of ``categories``."""
    if not isinstance(value, dict):
        problems.add("categories that are no objects", f"category {row}")
        value = {}
    name = value.get("name")
    if not _is_text(name):
        problems.add("categories without a usable name", f"category {row}")
        name = ""
    return Category(row, value.get("id"), name)
