"""LVIS v1: COCO instances where each photo says for which classes it was looked through.

``neg_category_ids`` of a photo are classes that are surely not on it, ``not_exhaustive_category_ids`` classes of which
only some objects are marked; about all others nothing is known, and detections of them don't count. These lists, and
``synset``, ``synonyms``, ``def``, ``frequency`` and the counts of a class, are kept. There are no crowds: one that
comes along is left out and its class is put into ``not_exhaustive_category_ids``, which says the same.

The format is described at https://www.lvisdataset.org/dataset.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from exporters.coco_dataset import FILE, CocoReader, CocoWriter, write_coco
from exporters.coco_sniff import is_lvis, only_json
from exporters.dataset import Dataset, Holds, Item, Picture, WriteOptions, Written
from exporters.problems import OnProblem

HOLDS = Holds(crowds=False)
_DEFAULTS = WriteOptions()

NEGATIVE, PARTIAL = "neg_category_ids", "not_exhaustive_category_ids"
_RARE, _COMMON = 10, 100
"""A class on at most so many photos is rare ("r"), common ("c"); on more, frequent ("f")."""


def matches(path: Path) -> bool:
    return is_lvis(only_json(path, FILE))


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open an LVIS file; see ``exporters.coco_dataset.read``. Photos without file_name are named by coco_url."""
    reader = CocoReader(path=only_json(path, FILE), images=images, on_problem=on_problem, name_of=_name)
    return reader.dataset()


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULTS) -> Written:
    """Write an LVIS file; see ``exporters.coco_dataset.write``."""
    return write_coco(dataset, out, options, _Writer())


def _name(raw: Mapping[str, Any]) -> Any:
    name, url = raw.get("file_name"), raw.get("coco_url")
    if name or not isinstance(url, str):
        return name
    try:
        return "/".join(unquote(urlsplit(url).path).split("/")[-2:])  # val2017/000000397133.jpg
    except ValueError:
        return None


class _Writer(CocoWriter):
    def open(self, dataset: Dataset) -> None:
        super().open(dataset)
        self.known = set(self.ids.values())
        self.on_pictures = dict.fromkeys(self.ids, 0)
        self.objects = dict.fromkeys(self.ids, 0)
        self.unsaid = self.unknown = 0

    def picture(self, picture: Picture) -> dict[str, Any]:
        value = super().picture(picture)
        if NEGATIVE not in value:
            self.unsaid += 1
        there = {item.label for item in picture.items if not item.crowd}
        for name in there & self.on_pictures.keys():
            self.on_pictures[name] += 1
        partial = {self.ids[item.label] for item in picture.items if item.crowd and item.label in self.ids}
        value[NEGATIVE] = self._known(value.get(NEGATIVE))
        before = self._known(value.get(PARTIAL))
        value[PARTIAL] = [*before, *sorted(partial - set(before), key=str)]
        return value

    def _known(self, value: Any) -> list[Any]:
        """Those of the ids that are a class's: another format in between may have dropped or renumbered classes."""
        ids = value if isinstance(value, list) else []
        found = [key for key in ids if isinstance(key, int | str) and key in self.known]
        self.unknown += len(ids) - len(found)
        return found

    def item(self, item: Item, options: WriteOptions, written: Written) -> dict[str, Any] | None:
        if item.crowd:
            written.drop("crowds, which LVIS hasn't got (their classes are marked as not exhaustive)")
            return None
        self.objects[item.label] += 1
        value = super().item(item, options, written)
        if value is not None:
            del value["iscrowd"]
        return value

    def categories(self, dataset: Dataset, written: Written) -> list[dict[str, Any]]:
        if self.unsaid:
            written.notes.append(
                f"{self.unsaid} pictures don't say which classes are not on them: {NEGATIVE} is empty, so false alarms "
                "of other classes don't count there"
            )
        if self.unknown:
            written.notes.append(f"{self.unknown} ids in {NEGATIVE} or {PARTIAL} belong to no class and were left out")
        found = super().categories(dataset, written)
        for label, value in zip(dataset.labels, found, strict=True):
            count = self.on_pictures[label.name]
            value.setdefault("synset", "")
            value.setdefault("synonyms", [label.name])
            value.setdefault("def", "")
            value.setdefault("image_count", count)
            value.setdefault("instance_count", self.objects[label.name])
            value.setdefault("frequency", "r" if count <= _RARE else "c" if count <= _COMMON else "f")
        return found
