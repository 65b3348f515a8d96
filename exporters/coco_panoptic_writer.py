"""Writes COCO panoptic data sets: PNGs first, the JSON last, nothing half done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporters.coco_panoptic_records import MAX_ID, PanopticCategory, PanopticError, PanopticSegment
from exporters.files import replacing


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
