"""One pass over a COCO file: images, categories, annotation columns, and where the annotations lie in the file."""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from exporters.coco_columns import Columns, Problems, category_row, image_row, resolve
from exporters.coco_records import Category, CocoError, ImageRow
from exporters.json_stream import Item, JsonError, Kind, place, scan

_LISTS = ("images", "annotations", "categories")


class Source:
    """A file that stays open, so that its spans can be read at any time; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        try:
            self.file: BinaryIO = path.open("rb")
        except OSError as error:
            raise CocoError(
                f"{path}: can't be opened ({error.strerror}); check the path and the permissions"
            ) from error
        self.path = path
        self._lock = threading.Lock()
        self._state = self._look()

    def _look(self) -> tuple[int, int]:
        state = os.fstat(self.file.fileno())
        return state.st_size, state.st_mtime_ns

    @property
    def size(self) -> int:
        return self._state[0]

    def check_unchanged(self) -> None:
        """Raise CocoError where someone wrote into the file since it was opened: its spans would be wrong."""
        if self._look() != self._state:
            raise CocoError(f"{self.path}: the file was changed while it was in use; run the command again")

    def read(self, start: int, end: int) -> bytes:
        with self._lock:
            self.file.seek(start)
            return self.file.read(end - start)

    def copy(self, start: int, end: int, out: BinaryIO, *, chunk: int = 1 << 20) -> None:
        while start < end:
            data = self.read(start, min(end, start + chunk))
            if not data:
                raise CocoError(f"{self.path}: the file became shorter while it was in use; run the command again")
            out.write(data)
            start += len(data)


@dataclass
class Tables:
    """What one pass found.

    Attributes:
        spans: first and last byte (exclusive) of the lists that the file has, by name.
        members: the same of every value of the object, by key, in file order.
        image_places, category_places: start and end of each element of these lists, one after the other.
        end: byte after the outermost closing brace; ``empty`` where the object has no member.
        is_list: the outermost value is a list: its elements are the annotations, its span is that of "annotations".
    """

    images: list[ImageRow] = field(default_factory=list)
    image_ids: list[Any] = field(default_factory=list)
    categories: list[Category] = field(default_factory=list)
    columns: Columns = field(default_factory=Columns)
    problems: Problems = field(default_factory=Problems)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    image_places: array[int] = field(default_factory=lambda: array("q"))
    category_places: array[int] = field(default_factory=lambda: array("q"))
    end: int = 0
    empty: bool = True
    is_list: bool = False


def read_tables(
    source: Source, *, with_annotations: bool = True, on_read: Callable[[int], object] = lambda size: None
) -> Tables:
    """Read a COCO file (or a results list) once, in little memory. ``on_read`` hears of bytes read, for progress.

    Raises:
        CocoError: malformed JSON, or ``images``, ``annotations`` or ``categories`` that are no lists.
    """
    tables = Tables()
    try:
        for item in scan(source.path, source.file, on_read=on_read):
            if item.kind is Kind.ELEMENT and item.key in (None, "annotations"):
                if with_annotations:
                    if "annotations" in tables.spans:
                        _forget(tables, "annotations")
                    tables.columns.add(item.start, item.end, item.value)
            elif item.kind is Kind.DOCUMENT:
                tables.end, tables.is_list = item.end, item.value is list
                if tables.is_list:
                    tables.spans["annotations"] = item.start, item.end
            else:
                tables.empty = False
                if item.kind is not Kind.ELEMENT:
                    tables.members[str(item.key)] = item.start, item.end
                if item.key in _LISTS:
                    _take(tables, item, source)
    except JsonError as error:
        raise CocoError(f"{error}; repair the file at this place or export it again") from error
    return tables


def _take(tables: Tables, item: Item, source: Source) -> None:
    key = str(item.key)
    if key in tables.spans:
        _forget(tables, key)
    if item.kind is Kind.MEMBER:
        line, column = place(source.file, item.start)
        raise CocoError(
            f"{source.path}: line {line}, column {column}: {key} is no list; write a list, [] if it is empty"
        )
    if item.kind is Kind.ARRAY:
        tables.spans[key] = item.start, item.end
    elif key == "images":
        image, image_id = image_row(len(tables.images), item.value, tables.problems)
        tables.images.append(image)
        tables.image_ids.append(image_id)
        tables.image_places.extend((item.start, item.end))
    elif key == "categories":
        tables.categories.append(category_row(len(tables.categories), item.value, tables.problems))
        tables.category_places.extend((item.start, item.end))


def _forget(tables: Tables, key: str) -> None:
    """A key stands twice in the file: the last one counts, as for every parser."""
    tables.problems.add("keys that stand twice in the file (the last one counts)", key)
    del tables.spans[key]
    if key == "annotations":
        tables.columns = Columns()
    elif key == "images":
        tables.images, tables.image_ids, tables.image_places = [], [], array("q")
    else:
        tables.categories, tables.category_places = [], array("q")


@dataclass(frozen=True)
class Links:
    """Annotations joined to images and categories by their ids.

    Attributes:
        images: the image rows, keys made unique.
        image_rows, category_rows: int64 [N]; -1 where no image (category) has the id.
        problems: all messages.
    """

    images: tuple[ImageRow, ...]
    image_rows: NDArray[np.int64]
    category_rows: NDArray[np.int64]
    problems: list[str]


def link(images: Tables, columns: Columns, *, ids_needed: bool = True) -> Links:
    """Join; ``images`` are the tables with the images and categories, ``columns`` may come from another file."""
    problems = images.problems
    problems.examples.update(columns.problems.examples)
    problems.counts.update(columns.problems.counts)
    rows: dict[Any, int] = {}
    unique = list(images.images)
    for row, key in enumerate(images.image_ids):
        key = key if not isinstance(key, list | dict) else images.images[row].key
        if key is None:
            continue
        if key in rows:
            problems.add("image ids used twice (annotations go to the last image)", images.images[row].key)
            old = unique[rows[key]]
            unique[old.row] = ImageRow(old.row, f"{old.key}#{old.row}", old.file_name, old.width, old.height)
        rows[key] = row
    categories: dict[Any, int] = {}
    for category in images.categories:
        if category.id is None or isinstance(category.id, list | dict):
            problems.add("categories without a usable id", f"category {category.row}")
        elif category.id in categories:
            problems.add("category ids used twice (the last one counts)", repr(category.id))
            categories[category.id] = category.row
        else:
            categories[category.id] = category.row
    image_rows = resolve(columns.image_codes, columns.image_refs, rows)
    category_rows = resolve(columns.category_codes, columns.category_refs, categories)
    _report_orphans(columns, image_rows, columns.image_codes, columns.image_refs, "image_id", problems)
    _report_orphans(columns, category_rows, columns.category_codes, columns.category_refs, "category_id", problems)
    if ids_needed:
        _report_ids(columns, problems)
    return Links(tuple(unique), image_rows, category_rows, problems.lines())


def _report_orphans(
    columns: Columns, rows: NDArray[np.int64], codes: Any, refs: dict[Any, int], name: str, problems: Problems
) -> None:
    lost = np.flatnonzero(rows < 0)
    if len(lost):
        names = [*refs, None]
        examples = [f"annotation {row} ({name} {names[codes[row]]!r})" for row in lost[:10].tolist()]
        kind = f"annotations whose {name} belongs to no {'image' if name == 'image_id' else 'category'}"
        problems.add(kind, examples[0], len(lost))
        problems.examples[kind] = examples


def _report_ids(columns: Columns, problems: Problems) -> None:
    ids = np.frombuffer(columns.ids, np.int64) if len(columns) else np.zeros(0, np.int64)
    whole = np.ones(len(ids), bool)
    whole[list(columns.other_ids)] = False
    values, counts = np.unique(ids[whole], return_counts=True)
    for value, count in zip(values[counts > 1][:10].tolist(), counts[counts > 1][:10].tolist(), strict=True):
        problems.add("annotation ids used twice", str(value), count - 1)
    rest = int((counts - 1).sum()) - sum((counts[counts > 1][:10] - 1).tolist())
    if rest:
        problems.counts["annotation ids used twice"] += rest
    seen: set[str] = set()
    for row, text in columns.other_ids.items():
        if text == "null":
            problems.add("annotations without id", f"annotation {row}")
        elif text in seen:
            problems.add("annotation ids used twice", text)
        seen.add(text)
