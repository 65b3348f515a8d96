"""COCO files with masks -> training records in memory, and reproducible batches of crops."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.errors import UsageError
from exporters import masks as codes
from exporters.coco import CocoDocument
from exporters.coco_columns import Problems
from labelers.frames import decide
from labelers.photos import PhotoError, read_header
from labelers.records import RLE, Boxes
from openseed_core.training.conditioned import ConditionedBatch, collate
from openseed_core.training.samples import CropSettings, Record, draw


@dataclass(frozen=True)
class TrainingSet:
    """Records and the names their labels index; ``synonyms``: texts of each name, empty where it stands for itself."""

    records: tuple[Record, ...]
    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...] = ()


def load(
    annotations: Path,
    images: Path,
    *,
    leave_out: Sequence[str] = (),
    source_weights: dict[str, float] | None = None,
    balance: float = 0.5,
    limit: int | None = None,
) -> TrainingSet:
    """Read photos and masks into memory (about 0.35 MB a photo at 384 pixels). Bad records are told and left out.

    Args:
        leave_out: class names whose instances aren't used, for measuring transfer to unseen names.
        source_weights: extra drawing weight by the image field ``source``.
        balance: an object of a class with n instances is drawn with weight n ** -balance.
        limit: read only so many photos.

    Raises:
        UsageError: the file has no usable instance.
        CocoError: it can't be read.
    """
    with CocoDocument.open(annotations) as document:
        category = [one.name for one in document.categories]
        problems = Problems()
        usable: dict[int, list[int]] = {}
        for image in document.images:
            found = document.annotations(image.row)
            for k in np.flatnonzero(found.category_rows < 0).tolist():
                kind = "annotations of a class that is not in the categories; correct their category_id"
                problems.add(kind, f"annotation {found.keys[k]} of {image.file_name!r}")
            picked = [
                k
                for k, (row, crowd, masked) in enumerate(
                    zip(found.category_rows.tolist(), found.iscrowd, found.has_mask, strict=True)
                )
                if masked and not crowd and row >= 0 and category[row] not in leave_out
            ]
            if picked:
                usable[image.row] = picked
        of_photo = {
            image.row: [category[document.annotations(image.row).category_rows[k]] for k in usable[image.row]]
            for image in document.images
            if image.row in usable
        }
        count = Counter(name for found_names in of_photo.values() for name in found_names)
        names = tuple(sorted(count))
        if not names:
            raise UsageError(f"{annotations}: no annotation with a segmentation; training needs masks")
        index = {name: i for i, name in enumerate(names)}
        records: list[Record] = []
        rows = list(usable)[:limit]
        for image_row in tqdm(rows, desc=f"reading {annotations.parent.name}", unit="photo", mininterval=2):
            image = document.images[image_row]
            try:
                objects = _objects(document, images, image_row, usable[image_row], problems)
            except PhotoError as error:
                problems.add("photos that can't be read", str(error))
                continue
            if objects is None:
                continue
            here = [of_photo[image_row][usable[image_row].index(k)] for k in objects.places]
            source = json.loads(document.image_text(image_row)).get("source", "")
            extra = (source_weights or {}).get(source, 1.0) if isinstance(source, str) else 1.0
            records.append(
                Record(
                    image=objects.pixels,
                    boxes=objects.boxes,
                    labels=np.array([index[name] for name in here], np.int64),
                    mask=partial(_decoded, objects.masks),
                    weights=np.array([extra * count[name] ** -balance for name in here], np.float32),
                )
            )
        lines = [f"{annotations}: {line}" for line in (*document.problems, *problems.lines())]
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)
    if not records:
        raise UsageError(f"{annotations}: no photo can be trained on" + "".join(f"\n  {line}" for line in lines[:5]))
    return TrainingSet(tuple(records), names)


@dataclass(frozen=True)
class _Objects:
    """The N usable objects of a photo, upright. ``places``: which of the photo's annotations they are."""

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    masks: list[RLE]
    places: list[int]


def _objects(
    document: CocoDocument, images: Path, image_row: int, picked: Sequence[int], problems: Problems
) -> _Objects | None:
    """None where no object can be used. Raises PhotoError."""
    image = document.images[image_row]
    header = read_header(images, image.file_name)
    frame = decide(header, image.width, image.height)
    found = document.annotations(image_row)
    xywh = found.xywh[list(picked)].astype(np.float32)
    xyxy = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)
    boxes = Boxes(frame.boxes_to_upright(xyxy), ("",) * len(picked))
    good, masks = [], []
    for k, fault in enumerate(boxes.problems(height=header.height, width=header.width)):
        where = f"annotation {found.keys[picked[k]]} of {image.file_name!r}"
        if fault is not None:
            problems.add("annotations whose bbox can't be used; correct them", f"{where}: {fault[1]}")
            continue
        try:
            mask = codes.from_coco(document.segmentation(int(found.rows[picked[k]])), frame.height, frame.width)
        except codes.MaskError as error:
            problems.add("annotations whose segmentation can't be used; correct it", f"{where}: {error}")
            continue
        if mask is None or not codes.area(mask):
            problems.add("annotations whose segmentation has no pixel; correct or remove them", where)
            continue
        good.append(k)
        masks.append(frame.mask_to_upright(mask))
    if not good:
        return None
    pixels = header.photo(image.key).pixels()
    return _Objects(pixels, boxes.xyxy[good], masks, [picked[k] for k in good])


def _decoded(rles: list[Any], k: int) -> NDArray[np.uint8]:
    return codes.decode(rles[k]).view(np.uint8)


class Batches:
    """Batches for ``train``: batch number n depends on the seed and n only, so that a resumed run goes on exactly."""

    def __init__(
        self,
        data: TrainingSet,
        settings: CropSettings,
        *,
        batch: int,
        seed: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        self._records = data.records
        self._settings = settings
        self._batch = batch
        self._seed = seed
        self._pixels: dict[str, Sequence[float]] = {"mean": mean, "std": std}
        owner = np.concatenate([np.full(len(r.labels), i) for i, r in enumerate(data.records)])
        row = np.concatenate([np.arange(len(r.labels)) for r in data.records])
        weights = np.concatenate([r.weights for r in data.records]).astype(np.float64)
        self._objects = np.stack((owner, row), axis=1)
        self._cumulative = np.cumsum(weights / weights.sum())

    def make(self, step: int) -> ConditionedBatch:
        """Batch number ``step``."""
        rng = np.random.default_rng((self._seed, step))
        picks = np.minimum(np.searchsorted(self._cumulative, rng.random(self._batch)), len(self._objects) - 1)
        samples = [
            draw(self._records[int(self._objects[p, 0])], int(self._objects[p, 1]), self._settings, rng) for p in picks
        ]
        return collate(samples, **self._pixels)
