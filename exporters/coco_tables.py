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

from exporters.coco_columns import (
    MESSAGES,
    NO_ID,
    OTHER_ID,
    AnnotationColumns,
    Columns,
    Problems,
    category_row,
    image_row,
    resolve,
)
from exporters.coco_records import Category, CocoError, ImageRow
from exporters.json_stream import Item, JsonError, Kind, place, scan
from exporters.long_columns import blocks, long_zeros, repeated

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
    source: Source,
    *,
    with_annotations: bool = True,
    on_read: Callable[[int], object] = lambda size: None,
    folder: Path | None = None,
) -> Tables:
    """Read a COCO file (or a results list) once, in little memory. ``on_read`` hears of bytes read, for progress.

    ``folder``: where long columns may lie in files; None for the system's temporary folder.

    Raises:
        CocoError: malformed JSON, or ``images``, ``annotations`` or ``categories`` that are no lists.
        OSError: the columns don't fit on the disk.
    """
    tables = Tables(columns=Columns(folder))
    try:
        for item in scan(source.path, source.file, on_read=on_read):
            if item.kind is Kind.ELEMENT and item.key in (None, "annotations"):
                if with_annotations:
                    if "annotations" in tables.spans:
                        _forget(tables, "annotations", folder)
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
                    _take(tables, item, source, folder)
    except JsonError as error:
        raise CocoError(f"{error}; repair the file at this place or export it again") from error
    return tables


def _take(tables: Tables, item: Item, source: Source, folder: Path | None) -> None:
    key = str(item.key)
    if key in tables.spans:
        _forget(tables, key, folder)
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


def _forget(tables: Tables, key: str, folder: Path | None) -> None:
    """A key stands twice in the file: the last one counts, as for every parser."""
    tables.problems.add("keys that stand twice in the file (the last one counts)", key)
    del tables.spans[key]
    if key == "annotations":
        tables.columns = Columns(folder)
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


def link(
    images: Tables,
    columns: AnnotationColumns,
    *,
    ids_needed: bool = True,
    key_text: Callable[[int], str] = lambda row: f"annotation {row}",
) -> Links:
    """Join; ``images`` are the tables with the images and categories, ``columns`` may come from another file.

    ``key_text`` gives the id of an annotation as JSON text, for messages.
    """
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
    image_rows = resolve(columns.image_codes, columns.image_refs, rows, columns.folder)
    category_rows = resolve(columns.category_codes, columns.category_refs, categories, columns.folder)
    _report_orphans(image_rows, columns.image_codes, columns.image_refs, "image_id", problems)
    _report_orphans(category_rows, columns.category_codes, columns.category_refs, "category_id", problems)
    if ids_needed:
        _report_ids(columns, problems, key_text)
    return Links(tuple(unique), image_rows, category_rows, problems.lines())


def _report_orphans(
    rows: NDArray[np.int64], codes: NDArray[np.int64], refs: dict[Any, int], name: str, problems: Problems
) -> None:
    kind = f"annotations whose {name} belongs to no {'image' if name == 'image_id' else 'category'}"
    names: list[Any] = []
    for block in blocks(len(rows)):
        lost = np.flatnonzero(rows[block] < 0) + block.start
        if len(lost):
            names = names or [*refs, None]
            examples = [f"annotation {row} ({name} {names[codes[row]]!r})" for row in lost[:MESSAGES].tolist()]
            problems.add(kind, examples[0], len(lost))
            known = problems.examples[kind]
            known.extend(examples[1 : 1 + MESSAGES - len(known)])


def _report_ids(columns: AnnotationColumns, problems: Problems, key_text: Callable[[int], str]) -> None:
    kind = "annotation ids used twice"
    for number, count in repeated(_ids_with(columns, 0), columns.folder):
        problems.add(kind, str(number), count - 1)
    texts: list[int] = []
    for number, count in repeated(_ids_with(columns, OTHER_ID), columns.folder):
        if len(texts) < MESSAGES:
            texts.append(_first_row(columns, number))
        problems.counts[kind] = problems.counts.get(kind, 0) + count - 1
    if texts:
        known = problems.examples.setdefault(kind, [])
        known.extend(key_text(row) for row in sorted(texts)[: MESSAGES - len(known)])
    for block in blocks(len(columns)):
        without = np.flatnonzero(columns.flags[block] & NO_ID) + block.start
        for row in without[:MESSAGES].tolist():
            problems.add("annotations without id", f"annotation {row}")
        problems.more("annotations without id", max(len(without) - MESSAGES, 0))


def _ids_with(columns: AnnotationColumns, flag: int) -> NDArray[np.int64]:
    """The ids of one kind: whole numbers (0), or hashes of texts (``OTHER_ID``)."""
    kinds = NO_ID | OTHER_ID
    count = sum(int(np.count_nonzero((columns.flags[block] & kinds) == flag)) for block in blocks(len(columns)))
    if count == len(columns):
        return columns.ids
    found, done = long_zeros(count, np.int64, columns.folder), 0
    for block in blocks(len(columns)):
        part = columns.ids[block][(columns.flags[block] & kinds) == flag]
        found[done : done + len(part)] = part
        done += len(part)
    return found


def _first_row(columns: AnnotationColumns, number: int) -> int:
    for block in blocks(len(columns)):
        rows = np.flatnonzero((columns.ids[block] == number) & (columns.flags[block] & OTHER_ID > 0))
        if len(rows):
            return int(rows[0] + block.start)
    raise KeyError(number)
