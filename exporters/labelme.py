"""LabelMe: a JSON file beside each photo, in the same sub-folders.

A mask of one ring is a polygon; of several rings a polygon for each, with one ``group_id``; a mask with holes is a
``mask`` shape (a small PNG), which holds every pixel. Polygons with one label and one ``group_id`` are read as islands
of one object, as LabelMe's own converters do. Photos are not embedded (``imageData`` is null).

LabelMe keeps keys of a shape that it does not know when it saves a file. So ``id``, ``score``, ``iscrowd``, ``group``
and ``attributes`` stand there, and survive an annotator's work.
"""

from __future__ import annotations

import base64
import binascii
import io
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import PngImagePlugin

from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture
from exporters.labelme_writer import LABELS_FILE, write
from exporters.masks import MaskError, area, box_xyxy, paste
from exporters.outlines import mask_of, union
from exporters.photo_files import PHOTO_SUFFIXES, checked_name, find_photo, photo_size
from exporters.problems import OnProblem, complain, number, size
from labelers.records import RLE

__all__ = ["HOLDS", "matches", "read", "write"]

HOLDS = Holds(stuff=False, splits=False, label_ids=False, supercategories=False, picture_ids=False)

_MOST_BYTES = 256 * 1024 * 1024
_CIRCLE = np.linspace(0, 2 * np.pi, 128, endpoint=False)
_NO_LABELS = ("__ignore__", "_background_")


def matches(path: Path) -> bool:
    """Whether it is a JSON file of LabelMe or a folder whose first JSON files are."""
    try:
        files = [path] if path.is_file() else [path / name for name in itertools.islice(_files(path), 3)]
        if not files and path.is_dir():
            return {entry.name for entry in path.iterdir()} == {LABELS_FILE}  # ours without a photo
        return bool(files) and all(_looks(file) for file in files)
    except (OSError, ValueError):
        return False


def _looks(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(8192)
    return file.suffix == ".json" and b'"shapes"' in head and (b'"imagePath"' in head or b'"version"' in head)


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open a folder of JSON files, or one. A first look goes through all files for the names of the classes.

    Raises:
        FormatError: no such file or folder, or no JSON in it.
    """
    root = path.parent if path.is_file() else path
    names = (path.name,) if path.is_file() else tuple(_files(path))
    if not names and not (root / LABELS_FILE).is_file():
        raise FormatError(f"{path}: there is no JSON file of LabelMe in this folder; give the folder that holds them")
    labels = _labels(root, names)
    folder = root if images is None else images

    def pictures() -> Iterator[Picture]:
        for name in names:
            try:
                picture = _picture(root, folder, name, on_problem)
            except FormatError as error:
                complain(on_problem, error)
                continue
            yield picture

    listed = tuple(Label(label, number) for number, label in enumerate(labels))
    return Dataset(str(path), listed, len(names), pictures, images=folder)


def _picture(root: Path, folder: Path, name: str, on_problem: OnProblem) -> Picture:
    where = str(root / name)
    data = _json(root, name)
    file_name = _photo(folder, name, data.get("imagePath"), where)
    height, width = data.get("imageHeight"), data.get("imageWidth")
    if height is None or width is None:
        height, width = photo_size(folder, file_name, where=where)
    height, width = size(height, width, where)
    shapes = data.get("shapes")
    if not isinstance(shapes, list):
        raise FormatError(f"{where}: shapes must be a list; open and save the file in LabelMe")
    items = _items(shapes, height, width, where, on_problem)
    flags = data.get("flags")
    attributes = {"flags": flags} if isinstance(flags, dict) and flags else {}
    return Picture(file_name, width, height, items, attributes=attributes)


def _items(shapes: list[Any], height: int, width: int, where: str, on_problem: OnProblem) -> tuple[Item, ...]:
    """The objects: shapes of one label and ``group_id`` joined, unless their ids differ."""
    items: list[Item] = []
    places: dict[str, int] = {}
    for at, shape in enumerate(shapes, 1):
        try:
            item = _item(shape, height, width)
        except (FormatError, MaskError) as error:
            complain(on_problem, f"{where}: shape {at}: {error}")
            continue
        group = shape.get("group_id")
        if isinstance(group, bool) or not isinstance(group, int | str):
            items.append(item)
            continue
        key = json.dumps([item.label, group, item.id, item.mask is not None])
        if item.mask is not None and key in places:
            first = items[places[key]]
            assert first.mask is not None
            mask = union([first.mask, item.mask])
            own = shape.get("group")  # a number that only says which islands belong together is no group
            items[places[key]] = replace(first, mask=mask, box=_own_box(shape) or _box(mask), group=own)
        else:
            places[key] = len(items)
            items.append(item if item.group is not None else replace(item, group=group))
    return tuple(items)


def _item(shape: Any, height: int, width: int) -> Item:
    if not isinstance(shape, dict):
        raise FormatError("it is no JSON object; remove it")
    label = shape.get("label")
    if not isinstance(label, str) or not label:
        raise FormatError("it has no label; name its class")
    kind = shape.get("shape_type") or "polygon"
    points = _points(shape.get("points"))
    box: tuple[float, float, float, float] | None = None
    mask: RLE | None = None
    if kind == "rectangle":
        if len(points) < 2:
            raise FormatError("a rectangle needs two points; draw it again")
        (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        if not (x1 > x0 and y1 > y0):
            raise FormatError("the rectangle has no size; remove it")
        box = (x0, y0, x1, y1)
    elif kind == "mask":
        mask = _mask(shape.get("mask"), points, height, width)
    elif kind in ("polygon", "circle"):
        ring = _circle(points) if kind == "circle" else points
        if len(ring) < 3:
            raise FormatError(f"a {kind} of {len(points)} points has no area; draw it again or remove it")
        mask = mask_of([ring], height, width)
    else:
        raise FormatError(f"a {str(kind)[:40]!r} has no area; only polygon, rectangle, circle and mask are read")
    if mask is not None and area(mask) == 0:
        raise FormatError("it covers no pixel of the picture; draw it again or remove it")
    if mask is not None:
        box = _own_box(shape) or _box(mask)
    return _with_extra(Item(label, box, mask), shape)


def _with_extra(item: Item, shape: Mapping[str, Any]) -> Item:
    identity, score, group = shape.get("id"), shape.get("score"), shape.get("group")
    attributes = shape.get("attributes")
    found = dict(attributes) if isinstance(attributes, dict) else {}
    if isinstance(flags := shape.get("flags"), dict) and flags:
        found["flags"] = flags
    if isinstance(text := shape.get("description"), str) and text:
        found["description"] = text
    good = isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1
    return replace(
        item,
        id=identity if isinstance(identity, int | str) and not isinstance(identity, bool) else None,
        score=float(score) if good and score is not None else None,
        crowd=shape.get("iscrowd") in (1, True),
        group=group if isinstance(group, int | str) and not isinstance(group, bool) else None,
        attributes=found,
    )


def _own_box(shape: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """A box of its own, which was written beside the mask."""
    box = shape.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return None
    x0, y0, x1, y1 = (number(value, "bbox") for value in box)
    return x0, y0, x1, y1


def _box(mask: RLE) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box_xyxy(mask).tolist()
    return x0, y0, x1, y1


def _points(points: Any) -> NDArray[np.float64]:
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        raise FormatError("points must be a list of pairs; draw it again")
    pairs = [[number(value, "a point") for value in point] for point in points]
    found: NDArray[np.float64] = np.array(pairs, np.float64).reshape(-1, 2)
    return found


def _circle(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first point is the centre, the second lies on the circle."""
    if len(points) != 2:
        return points[:0]
    radius = math.dist(*points.tolist())
    ring: NDArray[np.float64] = points[0] + radius * np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)], axis=1)
    return ring


def _mask(text: Any, points: NDArray[np.float64], height: int, width: int) -> RLE:
    if not isinstance(text, str) or len(points) != 2:
        raise FormatError("a mask needs two points and its PNG; draw it again")
    x0, y0 = (math.floor(value) for value in points.min(axis=0).tolist())
    try:
        image = PngImagePlugin.PngImageFile(io.BytesIO(base64.b64decode(text, validate=True)))
        if image.width > width + 1 or image.height > height + 1:  # from the header; nothing is decoded yet
            raise FormatError(f"its mask of {image.width} x {image.height} pixels is larger than the picture")
        pixels = np.asarray(image.convert("L"))
    except FormatError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes
        kind = "base64" if isinstance(error, binascii.Error) else "PNG"
        raise FormatError(f"its mask is no {kind} that can be read ({error}); draw it again") from None
    return paste(pixels > 0, x0, y0, height, width)


def _photo(folder: Path, name: str, said: Any, where: str) -> str:
    """The photo: beside its JSON file under the name that this says; else under that of the JSON file."""
    at = name.rpartition("/")[0]
    base = str(said).replace("\\", "/").rpartition("/")[2] if isinstance(said, str) else ""
    stem = name[: -len(".json")]
    choices = [f"{at}/{base}" if at else base] if base else []
    choices += [stem + suffix for suffix in PHOTO_SUFFIXES]
    for choice in choices:
        if find_photo(folder, choice, where=where) is not None:
            return choice
    return checked_name(choices[0] if base else stem + ".jpg", where=where)


def _labels(root: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Those of labels.txt first, then those that the files use, by name."""
    listed: list[str] = []
    file = root / LABELS_FILE
    if file.is_file() and file.stat().st_size < _MOST_BYTES:
        lines = file.read_text(encoding="utf-8", errors="replace").split("\n")
        listed = [line.rstrip("\r") for line in lines if line.strip() and line.strip() not in _NO_LABELS]
    used: set[str] = set()
    for name in names:
        try:
            shapes = _json(root, name).get("shapes")
        except FormatError:
            continue  # reported when its picture is read
        for shape in shapes if isinstance(shapes, list) else ():
            label = shape.get("label") if isinstance(shape, dict) else None
            if isinstance(label, str) and label:
                used.add(label)
    return tuple(dict.fromkeys([*listed, *sorted(used)]))


def _json(root: Path, name: str) -> dict[str, Any]:
    """One file, which must be no link out of the folder."""
    file = root / name
    if find_photo(root, name, where=str(file)) is None:
        raise FormatError(f"{file}: no file that can be read; remove it")
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise FormatError(f"{file}: more than {_MOST_BYTES} bytes; save it without imageData")
        found = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{file}: no JSON that can be read ({str(error)[:200]}); save it again in LabelMe") from None
    if not isinstance(found, dict):
        raise FormatError(f"{file}: a JSON object is expected; this is no file of LabelMe")
    return found


def _files(root: Path) -> Iterator[str]:
    """All JSON files in a folder and below, relative."""
    for where, folders, files in os.walk(root):
        folders.sort()
        inside = Path(where).relative_to(root).as_posix()
        for name in sorted(files):
            if name.endswith(".json"):
                yield PurePosixPath(inside, name).as_posix()
