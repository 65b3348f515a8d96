"""Which classes are annotated exhaustively in a photo: only of those may an unmatched prediction be called wrong.

COCO itself has no such fields. Two optional ones of an image are understood: ``partial`` (true: not every object is
annotated) and ``annotated`` (names or ids of the classes of which every object is). Neither given: all classes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.training.data.classes import Classes
from exporters.coco import CocoDocument
from exporters.coco_columns import Problems

_COCO = "coco"


class Exhaustive:
    """Answers for the photos of one file.

    Without the two fields every class of the file counts as annotated, with two exceptions. Where some categories have
    the supercategory ``coco``, those alone do: the others come from collections with classes of their own. And in a
    file of stuff, a photo with a ``source`` counts for the classes that photos of this source have: several
    collections in one file draw different classes.
    """

    def __init__(self, document: CocoDocument, rows: Mapping[int, int], *, stuff: bool, problems: Problems) -> None:
        """``rows``: class index (or below 0) of each category row."""
        self._document, self._problems = document, problems
        categories = [_parsed(document.category_text(row)) for row in range(len(document.categories))]
        self._lookup: dict[Any, int] = {}
        for category in document.categories:
            self._lookup[category.name] = rows[category.row]
            self._lookup.setdefault(_hashable(category.id), rows[category.row])
        coco = {rows[row] for row, category in enumerate(categories) if category.get("supercategory") == _COCO}
        self._all = frozenset(index for index in (coco or set(rows.values())) if index >= 0)
        self._of_source: dict[Any, set[int]] = {}
        if stuff:
            for image in document.images:
                source = self._image(image.row).get("source")
                found = {rows.get(int(row), -1) for row in document.annotations(image.row).category_rows}
                self._of_source.setdefault(source, set()).update(found)

    def classes(self, image_row: int) -> frozenset[int]:
        """Class indices that are exhaustively annotated in this photo."""
        image = self._image(image_row)
        listed = image.get("annotated")
        if isinstance(listed, list):
            return frozenset(index for item in listed if (index := self._of(item)) >= 0)
        if listed is not None:
            key = self._document.images[image_row].key
            self._problems.add('images whose "annotated" is no list of classes; write one, or null', f"image {key}")
        if image.get("partial") or listed is not None:
            return frozenset()
        if image.get("source") is not None and self._of_source:
            return self._all & self._of_source[image["source"]]
        return self._all

    def _of(self, item: Any) -> int:
        key = _hashable(item)
        if key not in self._lookup:
            if key not in self._problems.examples.setdefault(_UNKNOWN, []):
                self._problems.add(_UNKNOWN, str(key))
            return -1
        return self._lookup[key]

    def _image(self, row: int) -> dict[str, Any]:
        return _parsed(self._document.image_text(row))


_UNKNOWN = 'classes in the images\' "annotated" that are not in the categories; correct their names'


def all_or_some(found: frozenset[int], classes: Classes) -> tuple[int, ...] | None:
    """None where all classes are there, else the sorted indices: ``PhotoRecord.annotated``."""
    return None if len(found) == len(classes) else tuple(sorted(found))


def _parsed(text: str) -> dict[str, Any]:
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def _hashable(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value
