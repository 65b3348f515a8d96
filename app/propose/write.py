"""From the journal to the files of the output folder. The same journal gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from app.propose.result import PhotoProposals, Region
from app.propose.settings import Settings
from app.propose.sources import Item, Source
from exporters import masks
from exporters.coco_append import append, write_new
from exporters.coco_records import PROVENANCE_KEY
from exporters.files import replacing
from labelers.journal import Journal
from labelers.protocol import LabelerSpec
from labelers.vocabulary import Vocabulary

OUTPUTS = {
    "instances": "instances.json",
    "boxes": "boxes.json",
    "panoptic": "panoptic.json",
    "semantic": "semantic/names.json",
}
"""The file of each task that comes last: where it is, the task is complete."""

NO_CLASS = 0
"""Value of a semantic map where no class is; class k of names.json has the value k + 1."""


@dataclass(frozen=True)
class Run:
    """What all writers need."""

    settings: Settings
    source: Source
    journal: Journal
    vocabulary: Vocabulary
    spec: LabelerSpec

    def photos(self) -> Iterator[tuple[Item, PhotoProposals]]:
        """Each photo that could be read, in order."""
        for item in self.source.items:
            found = PhotoProposals.from_payload(self.journal.read(item.key))
            if found.error is None:
                yield item, found


def write_all(run: Run) -> list[Path]:
    """Write what the tasks ask for; returns the main file of each. Raises OSError, CocoError."""
    ids, new = category_ids(run)
    written = []
    for task in run.settings.tasks:
        path = run.settings.output / OUTPUTS[task]
        if task in ("instances", "boxes"):
            _coco(run, task, path, ids, new)
        elif task == "panoptic":
            _panoptic(run, path, ids)
        else:
            _semantic(run, path)
        written.append(path)
    return written


def category_ids(run: Run) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Category id of each class, and the categories that the input lacks."""
    categories = run.source.document.categories if run.source.document is not None else ()
    ids: dict[str, Any] = {}
    for category in categories:
        if category.id is not None and not isinstance(category.id, list | dict):
            ids.setdefault(category.name, category.id)
    number = max((c.id for c in categories if isinstance(c.id, int)), default=0)
    new: list[dict[str, Any]] = []
    for entry in run.vocabulary.entries:
        if entry.name not in ids:
            number = max(number, 0) + 1
            ids[entry.name] = number
            new.append({"id": number, "name": entry.name, "supercategory": "stuff" if entry.stuff else ""})
    return ids, new


def _coco(run: Run, task: str, path: Path, ids: dict[str, Any], new: list[dict[str, Any]]) -> None:
    document = run.source.document
    if document is None:
        images = (
            {"id": item.image_id, "file_name": item.file_name, "width": found.width, "height": found.height}
            for item, found in run.photos()
        )
        write_new(path, images=images, annotations=_annotations(run, task, ids, 1), categories=new)
        return
    keys = [document.annotation_key(row) for row in range(document.annotation_count)]
    first = max((int(key) for key in keys if key.isascii() and key.isdigit()), default=0) + 1
    document.check_unchanged()
    append(document.path, path, _annotations(run, task, ids, first), categories=new)
    document.check_unchanged()


def _annotations(run: Run, task: str, ids: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    said = {"labeler": run.spec.name, "version": run.spec.version}
    for item, found in run.photos():
        for region in getattr(found, task):
            yield {
                "id": number,
                "image_id": item.image_id,
                "category_id": ids[region.name],
                **_shape(region, run.settings),
                "iscrowd": 0,
                "score": region.score,
                PROVENANCE_KEY: {
                    **said,
                    "score": region.score,
                    "source": f"model:{run.spec.name}",
                    "state": "proposed",
                },
            }
            number += 1


def _shape(region: Region, settings: Settings) -> dict[str, Any]:
    box: dict[str, Any] = {"bbox": list(region.xywh)}
    if region.mask is None:
        return {**box, "area": round(region.xywh[2] * region.xywh[3], 2)}
    segmentation = masks.to_coco(region.mask, form=settings.form)
    shown = region.mask
    if settings.form == "polygon" and isinstance(segmentation, list):  # its holes are filled
        shown = masks.from_coco(segmentation, *region.mask["size"]) or region.mask
    return {**box, "area": masks.area(shown), "segmentation": segmentation}


def _panoptic(run: Run, path: Path, ids: dict[str, Any]) -> None:
    from exporters.coco_panoptic import PanopticCategory, PanopticSegment, PanopticWriter

    whole = {e.name: ids[e.name] for e in run.vocabulary.entries}
    if not all(isinstance(value, int) for value in whole.values()):  # the format knows numbers only
        whole = {name: number for number, name in enumerate(whole, start=1)}
    categories = [PanopticCategory(whole[e.name], e.name, not e.stuff) for e in run.vocabulary.entries]
    with PanopticWriter(path, run.settings.output / "panoptic", categories) as writer:
        for item, found in run.photos():
            ids_map = np.zeros((found.height, found.width), np.int32)
            segments = []
            for number, region in enumerate(found.panoptic, start=1):
                assert region.mask is not None
                ids_map[masks.decode(region.mask)] = number
                area = masks.area(region.mask)
                segments.append(
                    PanopticSegment(number, whole[region.name], False, area, region.xywh, score=region.score)
                )
            writer.add(item.image_id, item.file_name, ids_map, segments)


def _semantic(run: Run, path: Path) -> None:
    """One grey PNG a photo, 8 bits where that is enough, else 16."""
    folder = path.parent
    values = {name: k + 1 for k, name in enumerate(run.vocabulary.names)}
    dtype: Any = np.uint8 if len(values) < 256 else np.uint16
    files: dict[str, str] = {}
    taken: set[str] = set()
    for item, found in run.photos():
        labels = np.full((found.height, found.width), NO_CLASS, dtype)
        for region in found.semantic:
            assert region.mask is not None
            labels[masks.decode(region.mask)] = values[region.name]
        name = png_name(item.file_name, taken)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder / name) as file:
            Image.fromarray(labels).save(file, format="PNG")
        files[item.file_name] = name
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "values": {str(NO_CLASS): None, **{str(value): name for name, value in values.items()}},
        "stuff": [entry.name for entry in run.vocabulary.entries if entry.stuff],
        "files": files,
    }
    with replacing(path) as file:
        file.write((json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def png_name(file_name: str, taken: set[str]) -> str:
    """``a/b.jpg`` -> ``a/b.png``; never out of the folder, and never a name that is in ``taken``, which grows."""
    parts = [part for part in PurePosixPath(file_name.replace("\\", "/")).parts if part not in ("..", "/", ".")]
    path = PurePosixPath(*[part.replace(":", "_") for part in parts] or ["photo"])
    name, number = str(path.with_suffix(".png")), 1
    while name.casefold() in taken:  # a.jpg beside a.png
        number += 1
        name = str(path.with_suffix(f".{number}.png"))
    taken.add(name.casefold())
    return name
