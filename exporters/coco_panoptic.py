"""COCO panoptic: one JSON, and one PNG a photo whose colour is the id of the segment under each pixel.

A pixel's id is R + 256 G + 65536 B; 0 is nobody's (void). The JSON says of each id its class, crowd, area and box.
Void, a crowd and classes that are no things follow the definition at https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from exporters.coco import CocoError
from exporters.files import replacing

MAX_PIXELS = 200_000_000
"""Of one PNG, as for photos."""

MAX_ID = 256**3 - 1


class PanopticError(CocoError):
    """The JSON or a PNG can't be used; the message names file, field and remedy."""


@dataclass(frozen=True, slots=True)
class PanopticCategory:
    """One class: its id in the file, its name, and whether it comes in instances."""

    id: int
    name: str
    isthing: bool


@dataclass(frozen=True, slots=True)
class PanopticSegment:
    """One region of one photo.

    Attributes:
        id: value of its pixels in the PNG, from 1.
        category_id: id of its class.
        iscrowd: a group whose members are not told apart.
        area: its pixels; 0 where the file doesn't say.
        bbox: x, y, width, height in pixels, as in the file.
        score: of predictions; None for truth.
    """

    id: int
    category_id: int
    iscrowd: bool
    area: int
    bbox: tuple[float, float, float, float]
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PanopticImage:
    """One photo: its id, its file, the PNG with the ids, its size in pixels and the segments.

    Attributes:
        partial: not everything in the photo is marked.
        annotated: names of the classes that are marked completely; None where the file doesn't say.
    """

    image_id: int | str
    file_name: str
    png: str
    height: int
    width: int
    segments: tuple[PanopticSegment, ...]
    partial: bool = False
    annotated: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PanopticFile:
    """A whole JSON, images in file order. Images without an element in ``annotations`` are left out."""

    path: Path
    images: tuple[PanopticImage, ...]
    categories: tuple[PanopticCategory, ...]


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


def write_ids(png: Path, ids: NDArray[np.integer]) -> None:
    """Write the ids [H, W], 0 to 16,777,215, as one PNG. Raises ValueError for others."""
    if ids.ndim != 2 or (ids.size and (ids.min() < 0 or ids.max() > MAX_ID)):
        raise ValueError(f"{png}: ids must be [height, width] from 0 to {MAX_ID}")
    colours = np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], axis=-1).astype(np.uint8)
    with replacing(png) as file:
        Image.fromarray(colours).save(file, format="PNG")


def describe_segments(ids: NDArray[np.integer], classes: Mapping[int, int]) -> tuple[PanopticSegment, ...]:
    """Area and box of each id > 0 of a map [H, W]. ``classes``: id -> category id."""
    found = []
    for value in np.unique(ids[ids > 0]).tolist():
        rows, columns = np.nonzero(ids == value)
        x, y = int(columns.min()), int(rows.min())
        box = (float(x), float(y), float(columns.max() - x + 1), float(rows.max() - y + 1))
        found.append(PanopticSegment(value, classes[value], False, len(rows), box))
    return tuple(found)


class PanopticWriter:
    """Writes a panoptic data set; nothing is to be seen of it until the block ends without an error.

    ::

        with PanopticWriter(Path("out.json"), Path("out"), categories) as writer:
            writer.add(7, "photo.jpg", ids, segments)

    PNGs are collected in a folder beside ``pngs`` and moved there at the end, those that are there already and have
    another name stay. The JSON comes last: whoever finds it, finds its PNGs.
    """

    def __init__(self, path: Path, pngs: Path, categories: Iterable[PanopticCategory]) -> None:
        """``path``: the JSON, or a folder for a ``panoptic.json``; ``pngs``: folder of the PNGs."""
        self._path = path if path.suffix.lower() == ".json" else path / "panoptic.json"
        self._pngs = pngs
        self._partial = pngs.with_name(f".{pngs.name}.partial")
        self._categories = tuple(categories)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._names: set[str] = set()
        self._ids: set[int | str] = set()

    def __enter__(self) -> PanopticWriter:
        shutil.rmtree(self._partial, ignore_errors=True)  # of a run that was killed
        self._partial.mkdir(parents=True)
        return self

    def add(
        self,
        image_id: int | str,
        file_name: str,
        ids: NDArray[np.integer],
        segments: Iterable[PanopticSegment],
    ) -> str:
        """Add one photo. Returns the name of its PNG, relative to the folder.

        Args:
            image_id: id of the photo, once only.
            file_name: of the photo, relative; the PNG is called the same.
            ids: [H, W], 0 where there is no segment.
            segments: one for each other id in ``ids``.

        Raises:
            PanopticError: ids and segments don't agree, an unknown class, an image id that came before, or a file
                name that leads out of the folder.
        """
        described = tuple(segments)
        there = set(np.unique(ids).tolist()) - {0}
        if there != {segment.id for segment in described} or len(there) != len(described):
            raise PanopticError(
                f"photo {file_name!r}: the map has ids {sorted(there)[:5]}..., the segments have others"
            )
        known = {category.id for category in self._categories}
        if any(segment.category_id not in known for segment in described):
            raise PanopticError(f"photo {file_name!r}: a segment's class is not among the categories")
        if image_id in self._ids:
            raise PanopticError(f"photo {file_name!r}: image id {image_id!r} came before")
        self._ids.add(image_id)
        name = self._png_name(file_name)
        target = self._partial / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_ids(target, ids)
        except ValueError as error:
            raise PanopticError(str(error)) from error
        height, width = ids.shape
        self._images.append({"id": image_id, "file_name": file_name, "height": int(height), "width": int(width)})
        self._annotations.append({"image_id": image_id, "file_name": name, "segments_info": [*map(_json, described)]})
        return name

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._publish()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _publish(self) -> None:
        for name in sorted(self._names):
            target = self._pngs / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._partial / name).replace(target)
        content = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in self._categories],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._path) as file:
            file.write(json.dumps(content, ensure_ascii=False).encode())

    def _png_name(self, file_name: str) -> str:
        path = PurePosixPath(file_name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or not path.name or ":" in path.parts[0]:
            raise PanopticError(f"photo {file_name!r}: the name leads out of the folder; use a relative one")
        name, number = str(path.with_suffix(".png")), 1
        while name in self._names:  # a.jpg and a.png
            number += 1
            name = str(path.with_suffix(f".{number}.png"))
        self._names.add(name)
        return name


def _json(segment: PanopticSegment) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": int(segment.id),
        "category_id": segment.category_id,
        "iscrowd": int(segment.iscrowd),
        "area": int(segment.area),
        "bbox": [float(value) for value in segment.bbox],
    }
    return found if segment.score is None else found | {"score": round(float(segment.score), 4)}


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
