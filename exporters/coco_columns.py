"""Compact columns for the annotations of a COCO file: some 80 bytes for each, in files where there are many."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.coco_records import Category, ImageRow
from exporters.long_columns import BLOCK, LongColumn, blocks, long_zeros
from exporters.masks import is_box, is_empty

CROWD, MASKED, NO_ID, OTHER_ID = 1, 2, 4, 8
"""Flags of an annotation: ``iscrowd``, a mask that says more than the box, no id, an id that is no 64-bit number."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1

_NAN = math.nan
_NO_BOX = (_NAN, _NAN, _NAN, _NAN)
# A file where everything is wrong should not make a million messages.
MESSAGES = 10


class Columns:
    """Grows by one row for each annotation; ``finish`` when there are no more, which gives the columns.

    Long columns are in files without a name in ``folder`` (None: the system's temporary folder).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._starts, self._ends, self._ids, self._image_codes, self._category_codes = (
            LongColumn("q", folder) for _ in range(5)
        )
        self._boxes, self._scores = LongColumn("d", folder), LongColumn("d", folder)
        self._flags = LongColumn("B", folder)
        self._all = (
            *(self._starts, self._ends, self._ids, self._image_codes, self._category_codes),
            *(self._boxes, self._scores, self._flags),
        )
        self._spilled = 0
        # An id is kept once and each annotation holds its number: images may come after the annotations in the file.
        self.image_refs: dict[Any, int] = {}
        self.category_refs: dict[Any, int] = {}
        self.problems = Problems()

    def add(self, start: int, end: int, value: Any) -> None:
        if len(self._starts.tail) == BLOCK:
            self._spilled += BLOCK
            for column in self._all:
                column.spill()
        if not isinstance(value, dict):
            row = self._spilled + len(self._starts.tail)
            self.problems.add("annotations that are no objects", f"annotation {row}")
            value = {}
        self._starts.tail.append(start)
        self._ends.tail.append(end)
        get = value.get
        key, box, segmentation, crowd = get("id"), get("bbox"), get("segmentation"), get("iscrowd")
        flags = 0
        if type(key) is int and _SMALLEST <= key <= _LARGEST:
            self._ids.tail.append(key)
        elif key is None:
            self._ids.tail.append(0)
            flags = NO_ID
        else:  # 64 bits of it tell it from others; the text itself is read from the file where it is needed
            self._ids.tail.append(_hash(json.dumps(key)))
            flags = OTHER_ID
        self._boxes.tail.extend(_numbers(box))
        self._image_codes.tail.append(_code(self.image_refs, get("image_id")))
        self._category_codes.tail.append(_code(self.category_refs, get("category_id")))
        if crowd is not None and crowd in (1, "1"):
            flags |= CROWD
        if segmentation is not None and not is_empty(segmentation) and not is_box(segmentation, box):
            flags |= MASKED
        self._flags.tail.append(flags)
        self._scores.tail.append(_number(get("score")))

    def finish(self) -> AnnotationColumns:
        return AnnotationColumns(
            starts=self._starts.finish(),
            ends=self._ends.finish(),
            boxes=self._boxes.finish().reshape(-1, 4),
            scores=self._scores.finish(),
            ids=self._ids.finish(),
            flags=self._flags.finish(),
            image_codes=self._image_codes.finish(),
            category_codes=self._category_codes.finish(),
            image_refs=self.image_refs,
            category_refs=self.category_refs,
            problems=self.problems,
            folder=self._folder,
        )


@dataclass(frozen=True)
class AnnotationColumns:
    """All annotations of a file, in file order.

    Attributes:
        starts, ends: int64 [N], first byte and the byte after the last.
        boxes: float64 [N, 4], x, y, width, height as written; NaN where they are not four numbers.
        scores: float64 [N]; NaN where absent.
        ids: int64 [N]; a hash of the id's text where the flags say ``OTHER_ID``, 0 where ``NO_ID``.
        flags: uint8 [N], a sum of ``CROWD``, ``MASKED``, ``NO_ID`` and ``OTHER_ID``.
        image_codes, category_codes: int64 [N], numbers of the ids in ``image_refs`` and ``category_refs``; -1 for none.
        problems: what was odd.
        folder: where more files may be put.
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    ids: NDArray[np.int64]
    flags: NDArray[np.uint8]
    image_codes: NDArray[np.int64]
    category_codes: NDArray[np.int64]
    image_refs: dict[Any, int]
    category_refs: dict[Any, int]
    problems: Problems
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.starts)


class Problems:
    """Messages by kind, the first few of each and a count of the rest."""

    def __init__(self) -> None:
        self.examples: dict[str, list[str]] = {}
        self.counts: dict[str, int] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + count
        known = self.examples.setdefault(kind, [])
        if len(known) < MESSAGES:
            known.append(example)

    def more(self, kind: str, count: int) -> None:
        """So many more of a kind that has examples enough."""
        if count:
            self.counts[kind] += count

    def lines(self) -> list[str]:
        return [
            f"{count} {kind}: {', '.join(self.examples[kind])}" + (", ..." if count > len(self.examples[kind]) else "")
            for kind, count in self.counts.items()
        ]


def _hash(text: str) -> int:
    """64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _numbers(box: Any) -> tuple[float, float, float, float]:
    if type(box) is not list or len(box) != 4:
        return _NO_BOX
    x, y, w, h = box
    if type(x) is type(y) is type(w) is type(h) is float:
        return x, y, w, h
    return _number(x), _number(y), _number(w), _number(h)


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


def resolve(
    codes: NDArray[np.int64], refs: dict[Any, int], rows: dict[Any, int], folder: Path | None
) -> NDArray[np.int64]:
    """Numbers of ids -> rows of the images or categories; -1 where there is none of that id."""
    table = np.array([rows.get(key, -1) for key in refs] + [-1], np.int64)  # the last is for number -1
    found = long_zeros(len(codes), np.int64, folder)
    for block in blocks(len(codes)):
        found[block] = table[codes[block]]
    found.setflags(write=False)
    return found


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
