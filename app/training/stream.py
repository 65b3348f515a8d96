"""The stream of steps: batch number n depends on the seed and n only, so that a resumed run goes on exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from app.training.dataset import Batches
from app.training.photo_batches import PhotoBatches
from openseed_core.training.objective import StepBatch

_MANY = 2**40


@dataclass(frozen=True)
class Stream(Dataset[StepBatch]):
    """Makes the batch of a number.

    Attributes:
        seed: of this process (each process of a run draws its own photos).
        accumulate: micro-batches of a step.
        crops, crop_text: box-conditioned crops and the text features of their names.
        segmentation, detection: whole photos.
        workers: processes that make batches ahead; 0 = none.
    """

    seed: int
    accumulate: int = 1
    crops: Batches | None = None
    crop_text: Tensor | None = None
    segmentation: PhotoBatches | None = None
    detection: PhotoBatches | None = None
    workers: int = 1

    def __getitem__(self, number: int) -> StepBatch:
        rng = np.random.default_rng((self.seed, number))
        step = number // max(self.accumulate, 1)
        return StepBatch(
            step=step,
            seed=int(rng.integers(2**62)),
            crops=self.crops.make(number) if self.crops is not None else None,
            crop_text=self.crop_text,
            segmentation=self.segmentation.draw(step, rng) if self.segmentation is not None else None,
            detection=self.detection.draw(step, rng) if self.detection is not None else None,
        )

    def __call__(self, start: int) -> Iterator[StepBatch]:
        """Endless batches from number ``start`` on."""
        return iter(
            DataLoader(
                self,
                batch_size=None,
                sampler=_Counting(start),
                num_workers=self.workers,
                prefetch_factor=4 if self.workers else None,
                multiprocessing_context="fork" if self.workers else None,
            )
        )


@dataclass(frozen=True)
class _Counting(Sampler[int]):
    start: int

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.start, _MANY))

    def __len__(self) -> int:
        return _MANY
