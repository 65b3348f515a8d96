"""Cityscapes: ``gtFine/<split>/<city>/<name>_gtFine_polygons.json`` and photos in ``leftImg8bit/<split>/<city>``.

Polygons go through pixel centres and are painted in order, later ones over earlier ones; what is visible of an object
is its mask, as in Cityscapes' own id PNGs. Crowds have ``group`` behind their class's name. Ids, scores, attributes
and which polygons are one object stand in extra keys, which Cityscapes' scripts ignore. Writing is in
``cityscapes_writer``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporters.cityscapes_labels import OFFICIAL, UNLABELED, split_name
from exporters.cityscapes_writer import DEFAULT, LABELS, MORE, write
from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture
from exporters.masks import area, box_xyxy
from exporters.painting import paint, region
from exporters.photo_files import MAX_PIXELS, checked_name, first_found
from exporters.png_listing import label_of, mapping
from exporters.problems import OnProblem, complain, number, size

__all__ = ["HOLDS", "matches", "read", "write"]

HOLDS = Holds(boxes=False, overlap=False)

_ENDS = "_polygons.json"
_KINDS = ("_gtFine", "_gtCoarse")
_MAX_BYTES = 1 << 28


def matches(path: Path) -> bool:
    """Whether it is a folder with ``*_polygons.json`` at most three folders down; looks at 1000 entries."""
    try:
        if not path.is_dir():
            return False
        if (path / LABELS).is_file() and (path / "gtFine").is_dir():
            return True  # ours, also without a photo
        looked = 0
        for root, folders, files in os.walk(_root(path)):
            if any(name.endswith(tuple(kind + _ENDS for kind in _KINDS)) for name in files):
                return True
            looked += len(folders) + len(files)
            if looked > 1000 or len(Path(root).relative_to(path).parts) >= 3:
                folders.clear()
    except (OSError, ValueError):
        pass
    return False


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Read the data set's folder, or its ``gtFine`` or ``gtCoarse``. Objects wholly under others are left out.

    Raises:
        FormatError: no such folder, none of its files; and without ``on_problem`` any element that is wrong.
    """
    root = _root(path)
    files = [Path(folder) / name for folder, name in _walk(root)]
    if not files and not (path / LABELS).is_file():
        raise FormatError(f"{path}: no *_gtFine_polygons.json in it; give the folder that holds gtFine")
    labels = _labels(root, files)
    known = frozenset(label.name for label in labels)
    if images is None and (root.parent / "leftImg8bit").is_dir():
        images = root.parent / "leftImg8bit"

    def pictures() -> Iterator[Picture]:
        for file in files:
            try:
                yield _picture(_Place.of(root, file), _load(file), known, images, on_problem)
            except FormatError as error:
                complain(on_problem, error)

    return Dataset(str(path), labels, len(files), pictures, images=images)


@dataclass(frozen=True)
class _Place:
    """Where a JSON lies: its split and the name of its photo, as Cityscapes calls it."""

    file: Path
    split: str
    photo: str

    @staticmethod
    def of(root: Path, file: Path) -> _Place:
        *folders, name = file.relative_to(root).parts
        stem = name.removesuffix(_ENDS)
        for kind in _KINDS:
            stem = stem.removesuffix(kind)
        split = folders[0] if len(folders) > 1 else ""
        return _Place(file, "" if split == DEFAULT else split, "/".join([*folders, f"{stem}_leftImg8bit.png"]))


def _root(path: Path) -> Path:
    for name in ("gtFine", "gtCoarse"):
        if (path / name).is_dir():
            return path / name
    return path


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield from ((folder, name) for name in sorted(files) if name.endswith(_ENDS))


def _labels(root: Path, files: list[Path]) -> tuple[Label, ...]:
    """From ``labels.json``, which we write; else the official ones that occur, then others as they come."""
    listed = (root.parent if root.name in ("gtFine", "gtCoarse") else root) / LABELS
    if listed.is_file():
        found = _load(listed).get("labels")
        if not isinstance(found, list):
            raise FormatError(f'{listed}: "labels" is no list; remove the file to take the labels from the objects')
        return tuple(label_of(element, f"{listed}: labels[{place}]") for place, element in enumerate(found))
    names: dict[str, None] = {}
    for file in files:
        try:
            for entry in _objects(file, _load(file)):
                if isinstance(entry, dict) and isinstance(entry.get("label"), str) and not entry.get("deleted"):
                    names.setdefault(entry["label"])
        except FormatError:
            continue  # it is told when its picture is read
    every = frozenset(names)
    bases = dict.fromkeys(split_name(name, every - {name} if name not in OFFICIAL else every)[0] for name in names)
    official = [label for name, label in OFFICIAL.items() if name in bases]
    return (*official, *(Label(name) for name in bases if name not in OFFICIAL and name != UNLABELED))


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FormatError(f"{path}: larger than {_MAX_BYTES:,} bytes; that is no file of one photo")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise FormatError(f"{path}: can't be read ({error}); check the file") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not valid JSON ({error}); export it again") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path}: the outermost value is no object; is it a Cityscapes file?")
    return found


def _objects(path: Path, document: Mapping[str, Any]) -> list[Any]:
    found = document.get("objects")
    if not isinstance(found, list):
        raise FormatError(f'{path}: "objects" is no list; is it a Cityscapes file?')
    return found


def _picture(
    place: _Place, document: dict[str, Any], known: frozenset[str], images: Path | None, on_problem: OnProblem
) -> Picture:
    where = str(place.file)
    height, width = size(document.get("imgHeight"), document.get("imgWidth"), where)
    if height * width > MAX_PIXELS:
        raise FormatError(f"{where}: {width} x {height} pixels; at most {MAX_PIXELS:,} can be painted")
    ours = mapping(document.get(MORE))
    name = checked_name(ours.get("file_name", place.photo), where=where)
    photos = [name, *([checked_name(ours["photo"], where=where)] if "photo" in ours else []), place.photo]
    polygons: list[tuple[int, list[tuple[float, float]]]] = []
    parts: dict[object, tuple[int, dict[str, Any], list[tuple[float, float]]]] = {}
    for at, entry in enumerate(_objects(place.file, document)):
        try:
            points = _points(entry, height, width, f"{where}: objects[{at}]")
        except FormatError as error:
            complain(on_problem, error)
            continue
        if entry.get("deleted"):
            continue
        key = mapping(entry.get(MORE)).get("object")
        if entry["label"] == UNLABELED and key is None:
            polygons.append((0, points))
            continue
        # polygons of one object, which lie apart, have the same number
        value, _, corners = parts.setdefault((at,) if not isinstance(key, int) else key, (at + 1, entry, []))
        corners += points
        polygons.append((value, points))
    canvas = paint(polygons, height, width)
    items = []
    for value, entry, corners in parts.values():
        mask = region(canvas, value, corners)
        if not area(mask):
            continue
        x0, y0, x1, y1 = box_xyxy(mask).tolist()
        extra = mapping(entry.get(MORE))
        label, crowd = split_name(entry["label"], known)
        if "label" in extra:  # where the name alone is not clear
            label, crowd = str(extra["label"]), extra.get("crowd") is True
        score, group, identity = extra.get("score"), extra.get("group"), extra.get("id")
        items.append(
            Item(
                label=label,
                box=(x0, y0, x1, y1),
                mask=mask,
                id=identity if isinstance(identity, int | str) else None,
                crowd=crowd,
                score=float(np.clip(score, 0, 1)) if isinstance(score, int | float) else None,
                group=group if isinstance(group, int | str) else None,
                attributes=mapping(extra.get("attributes")),
            )
        )
    return Picture(
        file_name=first_found(images, photos, otherwise=name),
        width=width,
        height=height,
        items=tuple(items),
        id=ours["id"] if isinstance(ours.get("id"), int | str) else None,
        split=place.split,
        attributes=mapping(ours.get("attributes")),
    )


def _points(entry: Any, height: int, width: int, where: str) -> list[tuple[float, float]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("label"), str):
        raise FormatError(f"{where}: it has no label; give it one")
    polygon = entry.get("polygon")
    if not isinstance(polygon, list) or len(polygon) < 3:
        raise FormatError(f"{where}: its polygon has no three corners; redraw it")
    found = []
    limit = 4 * max(height, width) + 1024
    for point in polygon:
        if not isinstance(point, list) or len(point) != 2:
            raise FormatError(f"{where}: a corner is {str(point)[:40]}; [x, y] is expected")
        x, y = number(point[0], f"{where}: x"), number(point[1], f"{where}: y")
        if max(abs(x), abs(y)) > limit:
            raise FormatError(f"{where}: a corner lies far outside the photo; redraw it")
        found.append((x, y))
    return found
