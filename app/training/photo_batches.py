"""Batches of whole photos for joint training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from app.training.data import PhotoSet
from app.training.words import NameSource
from openseed_core.training.objective import PhotoBatch
from openseed_core.training.photos import Jitter, PhotoSample, draw_photo
from openseed_core.training.targets import Targets


@dataclass(frozen=True)
class Source:
    """One data set and its share of the batches."""

    photos: PhotoSet
    words: NameSource
    weight: float


@dataclass(frozen=True)
class PhotoBatches:
    """Draws a batch from one of several sources; each batch has one vocabulary, so one source.

    Attributes:
        sources: data sets of one kind (with masks, or with boxes only).
        batch: photos of a batch; jitter: how they are scaled and cut.
        offline_from: step from which masks of detection data (written by ``openseed-label assist``) count as
            annotations; -1 = never. None for segmentation data, where they always count.
    """

    sources: tuple[Source, ...]
    batch: int
    jitter: Jitter
    mean: Sequence[float]
    std: Sequence[float]
    offline_from: int | None = None

    def draw(self, step: int, rng: np.random.Generator) -> PhotoBatch:
        """One batch."""
        shares = np.array([source.weight for source in self.sources])
        source = self.sources[int(rng.choice(len(shares), p=shares / shares.sum()))]
        masked = self.offline_from is None or 0 <= self.offline_from <= step
        records = source.photos.records
        samples = []
        for _ in range(self.batch):
            record = records[int(rng.integers(len(records)))]
            samples.append(draw_photo(record if masked else record.without_masks(), self.jitter, rng))
        masked = masked and all(sample.masks is not None for sample in samples)
        words = source.words.draw(rng)
        targets = tuple(_targets(sample, len(source.photos.names), masked) for sample in samples)
        return PhotoBatch(_pixels(samples, self.mean, self.std), targets, words, masked)


def _pixels(samples: Sequence[PhotoSample], mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """float32 [B, 3, S, S], normalised; S must be a multiple of 32. The grey beyond the photo is normalised too."""
    pixels = torch.from_numpy(np.stack([sample.image for sample in samples])).permute(0, 3, 1, 2).float()
    normalised: torch.Tensor = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    return normalised


def _targets(sample: PhotoSample, classes: int, masked: bool) -> Targets:
    side = sample.image.shape[0]
    x0, y0, x1, y1 = (torch.from_numpy(sample.boxes) / side).unbind(-1)
    boxes = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), dim=-1)
    annotated = None
    if sample.annotated is not None:
        annotated = torch.zeros(classes, dtype=torch.bool)
        annotated[torch.from_numpy(np.asarray(sample.annotated, np.int64))] = True
    masks = torch.from_numpy(sample.masks).float() if masked and sample.masks is not None else None
    ignored = torch.from_numpy(sample.ignored).float() if sample.ignored is not None else None
    return Targets(torch.from_numpy(sample.labels), boxes, masks, annotated, ignored)
