"""COCO files with masks -> training records in memory, and reproducible batches of crops."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from exporters import masks as codes
from labelers.photos import open_photo
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
    """Read photos and masks into memory (about 0.35 MB a photo at 384 pixels).

    Args:
        leave_out: class names whose instances aren't used, for measuring transfer to unseen names.
        source_weights: extra drawing weight by the image field ``source``.
        balance: an object of a class with n instances is drawn with weight n ** -balance.
        limit: read only so many photos.

    Raises:
        ValueError: the file has no usable instance.
    """
    document = json.loads(annotations.read_text())
    category = {c["id"]: c["name"] for c in document["categories"]}
    usable: dict[Any, list[dict[str, Any]]] = {}
    for a in document["annotations"]:
        if not a.get("iscrowd") and a.get("segmentation") and category[a["category_id"]] not in leave_out:
            usable.setdefault(a["image_id"], []).append(a)
    names = tuple(sorted({category[a["category_id"]] for rows in usable.values() for a in rows}))
    if not names:
        raise ValueError(f"{annotations}: no annotation with a segmentation; training needs masks")
    index = {name: i for i, name in enumerate(names)}
    count = Counter(category[a["category_id"]] for rows in usable.values() for a in rows)
    records: list[Record] = []
    chosen = [image for image in document["images"] if image["id"] in usable][:limit]
    for image in tqdm(chosen, desc=f"reading {annotations.parent.name}", unit="photo", mininterval=2):
        photo = open_photo(images, image["file_name"], key=str(image["id"]))
        rows = usable[image["id"]]
        rles = [codes.from_coco(a["segmentation"], photo.height, photo.width) for a in rows]
        keep = [k for k, rle in enumerate(rles) if rle is not None]
        xywh = np.array([rows[k]["bbox"] for k in keep], np.float32).reshape(-1, 4)
        extra = (source_weights or {}).get(image.get("source", ""), 1.0)
        weights = [extra * count[category[rows[k]["category_id"]]] ** -balance for k in keep]
        records.append(
            Record(
                image=photo.pixels(),
                boxes=np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1),
                labels=np.array([index[category[rows[k]["category_id"]]] for k in keep], np.int64),
                mask=partial(_decoded, [rles[k] for k in keep]),
                weights=np.array(weights, np.float32),
            )
        )
    return TrainingSet(tuple(records), names)


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
