"""A ``PhotoSet`` as records for crops, and as photos that are known to be readable."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from app.convert.progress import bar
from app.training.data.photo_set import PhotoSet
from app.training.dataset import TrainingSet
from labelers.photos import PhotoError
from openseed_core.training.photos import PhotoRecord
from openseed_core.training.samples import Record

BUDGET = 2**30
"""Bytes of decoded photos that are kept; what does not fit is decoded each time it is drawn."""


def records_of(photos: PhotoSet, *, balance: float = 0.5) -> TrainingSet:
    """Records to draw crops from: every object that has a mask.

    Args:
        balance: an object of a class with n instances is drawn with weight n ** -balance.
    """
    masked = [record for record in photos.records if record.mask is not None]
    count = Counter(int(label) for record in masked for label in record.labels)
    share = np.array([max(count[label], 1) ** -balance for label in range(len(photos.names))], np.float32)
    return TrainingSet(tuple(LazyRecord(r, share[r.labels]) for r in masked), photos.names, photos.synonyms)


class LazyRecord(Record):
    """A record whose photo is decoded when it is drawn: a team's photos are larger than those of a data set."""

    _photo: PhotoRecord

    def __init__(self, photo: PhotoRecord, weights: NDArray[np.float32]) -> None:
        values = {"boxes": photo.boxes, "labels": photo.labels, "mask": photo.mask, "weights": weights}
        for name, value in {**values, "_photo": photo}.items():
            object.__setattr__(self, name, value)  # the base class is frozen

    @property
    def image(self) -> NDArray[np.uint8]:
        """uint8 RGB [H, W, 3]."""
        return self._photo.pixels()


def readable(photos: PhotoSet, *, budget: int = BUDGET, quiet: bool = False) -> PhotoSet:
    """The same set without photos that can't be decoded, which are told in ``problems``.

    Every photo is decoded once: a broken one should be told now, not in the middle of a training. Up to ``budget``
    bytes stay in memory.
    """
    store = _Store(budget)
    kept: list[PhotoRecord] = []
    problems = list(photos.problems)
    with bar(total=len(photos.records), unit="photos", what="reading photos", quiet=quiet, delay=1) as progress:
        for record in photos.records:
            try:
                store.keep(record)
                kept.append(replace(record, pixels=partial(store.pixels, record)))
            except PhotoError as error:
                problems.append(f"photo that can't be decoded, left out: {error}")
            progress.update()
    return replace(photos, records=tuple(kept), problems=tuple(problems))


class _Store:
    """Decoded photos by key, and the one that was decoded last: it is asked for several times in a row."""

    def __init__(self, budget: int) -> None:
        self._left = budget
        self._kept: dict[str, NDArray[np.uint8]] = {}
        self._last: tuple[str, NDArray[np.uint8]] | None = None

    def keep(self, record: PhotoRecord) -> None:
        pixels = record.pixels()
        if pixels.nbytes <= self._left:
            self._left -= pixels.nbytes
            self._kept[record.key] = pixels

    def pixels(self, record: PhotoRecord) -> NDArray[np.uint8]:
        kept = self._kept.get(record.key)
        if kept is not None:
            return kept
        if self._last is None or self._last[0] != record.key:
            self._last = (record.key, record.pixels())
        return self._last[1]
