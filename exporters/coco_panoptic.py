"""COCO panoptic: one JSON, and one PNG a photo whose colour is the id of the segment under each pixel.

A pixel's id is R + 256 G + 65536 B; 0 is nobody's (void). The JSON says of each id its class, crowd, area and box.
The format is described at https://cocodataset.org/#format-data. Writing is in ``coco_panoptic_writer``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from exporters.coco_panoptic_records import (
    MAX_ID,
    MAX_PIXELS,
    PanopticCategory,
    PanopticError,
    PanopticFile,
    PanopticImage,
    PanopticSegment,
)
from exporters.coco_panoptic_writer import PanopticWriter, describe_segments, write_ids

__all__ = [
    "MAX_ID",
    "MAX_PIXELS",
    "PanopticCategory",
    "PanopticError",
    "PanopticFile",
    "PanopticImage",
    "PanopticSegment",
    "PanopticWriter",
    "describe_segments",
    "read_ids",
    "read_panoptic",
    "write_ids",
]


def read_panoptic(path: Path) -> PanopticFile:
    """Read and check the JSON; no PNG is opened.

    Raises:
        PanopticError: no such file, no JSON, a field that is missing or of another kind, ids that contradict.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise PanopticError(f"{path}: no such file; check the path") from error
    except (ValueError, RecursionError) as error:
        raise PanopticError(f"{path}: not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise PanopticError(f"{path}: the outermost value is no object; is it a COCO panoptic file?")
    at = _At(path)
    categories = tuple(
        PanopticCategory(
            at.whole(item, "id", f"categories[{k}]"),
            at.text(item, "name", f"categories[{k}]"),
            bool(item.get("isthing", 1)),
        )
        for k, item in enumerate(at.items(document, "categories"))
    )
    known = {category.id for category in categories}
    if len(known) != len(categories):
        raise PanopticError(f"{path}: categories: two classes have the same id; give each its own")
    by_id: dict[int | str, Mapping[str, Any]] = {}
    for k, item in enumerate(at.items(document, "images")):
        by_id[at.key(item, "id", f"images[{k}]")] = item
    images = []
    seen: set[int | str] = set()
    for k, item in enumerate(at.items(document, "annotations")):
        where = f"annotations[{k}]"
        if "segments_info" not in item:
            raise PanopticError(f'{path}: {where} has no "segments_info"; give a COCO panoptic file, not instances')
        key = at.key(item, "image_id", where)
        if key not in by_id:
            raise PanopticError(f"{path}: {where}.image_id {key!r} is no id of an image; add the image, or remove it")
        if key in seen:
            raise PanopticError(f"{path}: {where}: image {key!r} has two panoptic annotations; keep one")
        seen.add(key)
        images.append(_image(at, key, by_id[key], item, where, known))
    return PanopticFile(path, tuple(images), categories)


def _image(
    at: _At, key: int | str, image: Mapping[str, Any], item: Mapping[str, Any], where: str, known: set[int]
) -> PanopticImage:
    segments = []
    for j, segment in enumerate(at.items(item, "segments_info", f"{where}.")):
        place = f"{where}.segments_info[{j}]"
        found = PanopticSegment(
            id=at.whole(segment, "id", place),
            category_id=at.whole(segment, "category_id", place),
            iscrowd=bool(segment.get("iscrowd", 0)),
            area=at.whole(segment, "area", place, default=0),
            bbox=at.box(segment, place),
        )
        if not 0 < found.id <= MAX_ID:
            raise PanopticError(f"{at.path}: {place}.id is {found.id}; a PNG can hold 1 to {MAX_ID}")
        if found.category_id not in known:
            raise PanopticError(f"{at.path}: {place}.category_id {found.category_id} is not among the categories")
        segments.append(found)
    if len({segment.id for segment in segments}) != len(segments):
        raise PanopticError(f"{at.path}: {where}: two segments have the same id; give each its own")
    height, width = (at.whole(image, name, f"image {key!r}") for name in ("height", "width"))
    if height <= 0 or width <= 0:
        raise PanopticError(f"{at.path}: image {key!r} is {width} x {height} pixels; write its true size")
    annotated = image.get("annotated")
    names = at.text(image, "file_name", f"image {key!r}"), at.text(item, "file_name", where)
    return PanopticImage(
        image_id=key,
        file_name=names[0],
        png=names[1],
        height=height,
        width=width,
        segments=tuple(segments),
        partial=bool(image.get("partial", False)),
        annotated=tuple(map(str, annotated)) if isinstance(annotated, list) else None,
    )


def read_ids(png: Path, *, height: int, width: int) -> NDArray[np.int32]:
    """The ids of one PNG, int32 [height, width]. The size is checked before anything is decoded.

    Raises:
        PanopticError: no such file, no PNG, damaged, another size, too large, or without three colours.
    """
    if height * width > MAX_PIXELS:
        raise PanopticError(f"{png}: {width} x {height} pixels are more than {MAX_PIXELS:,}")
    try:
        with Image.open(png, formats=("PNG",)) as image:
            if image.size != (width, height):
                raise PanopticError(
                    f"{png}: {image.size[0]} x {image.size[1]} pixels, but the JSON says {width} x {height}"
                )
            if image.mode not in ("RGB", "RGBA"):
                raise PanopticError(
                    f"{png}: mode {image.mode}; ids are stored as three colours (RGB), write R + 256 G + 65536 B"
                )
            colours = np.asarray(image)[..., :3].astype(np.int32)
    except FileNotFoundError as error:
        raise PanopticError(f"{png}: no such file; give the folder of the PNGs") from error
    except PanopticError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise PanopticError(f"{png}: it can't be read as PNG ({error}); write it again") from error
    return colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]


@dataclass(frozen=True)
class _At:
    """Fields out of parsed JSON, with errors that name file and place."""

    path: Path

    def items(self, value: Mapping[str, Any], name: str, where: str = "") -> list[Mapping[str, Any]]:
        found = value.get(name)
        if not isinstance(found, list):
            raise PanopticError(f'{self.path}: there is no list "{where}{name}"; is it a COCO panoptic file?')
        for k, item in enumerate(found):
            if not isinstance(item, dict):
                raise PanopticError(f"{self.path}: {where}{name}[{k}] is no object")
        return found

    def whole(self, value: Mapping[str, Any], name: str, where: str, *, default: int | None = None) -> int:
        found = value.get(name, default)
        if isinstance(found, float) and found.is_integer():
            found = int(found)
        if not isinstance(found, int) or isinstance(found, bool):
            raise PanopticError(f"{self.path}: {where}.{name} is {found!r}; a whole number is needed")
        return found

    def text(self, value: Mapping[str, Any], name: str, where: str) -> str:
        found = value.get(name)
        if not isinstance(found, str) or not found:
            raise PanopticError(f"{self.path}: {where}.{name} is {found!r}; a text is needed")
        return found

    def key(self, value: Mapping[str, Any], name: str, where: str) -> int | str:
        found = value.get(name)
        if isinstance(found, bool) or not isinstance(found, int | str):
            raise PanopticError(f"{self.path}: {where}.{name} is {found!r}; a number or a text is needed")
        return found

    def box(self, value: Mapping[str, Any], where: str) -> tuple[float, float, float, float]:
        found = value.get("bbox", [0, 0, 0, 0])
        if not (isinstance(found, list) and len(found) == 4 and all(isinstance(v, int | float) for v in found)):
            raise PanopticError(
                f"{self.path}: {where}.bbox is {found!r}; four numbers are needed (x, y, width, height)"
            )
        x, y, w, h = (float(v) for v in found)
        return x, y, w, h
