"""What a photo should give: the targets that predictions are matched with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """The annotated objects of one photo.

    Attributes:
        labels: int64 [n], rows of the step's vocabulary.
        boxes: float32 [n, 4] cxcywh, normalised to the padded network input.
        masks: float32 [n, H, W], 0/1 on the padded input (any resolution of it), or None: boxes only.
        annotated: bool [K], classes of which every object of the photo is annotated; None = all. A prediction of
            another class that matches nothing may still be right, so it isn't punished.
        ignored: float32 [H, W], 1 on crowds and unlabelled regions of the padded input; None = none. Predictions
            that mostly lie there aren't punished either.
    """

    labels: Tensor
    boxes: Tensor
    masks: Tensor | None = None
    annotated: Tensor | None = None
    ignored: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Targets:
        """The same on another device."""
        moved = {k: v.to(device, non_blocking=True) for k, v in vars(self).items() if v is not None}
        return replace(self, **moved)

    def with_masks(self, masks: Tensor | None) -> Targets:
        """The same objects with other masks, or none."""
        return replace(self, masks=masks)


def object_count(targets: Sequence[Targets], device: torch.device) -> Tensor:
    """Targets in the batch, averaged over the processes of the run, at least 1 (spec 8.3): the losses' normaliser."""
    count = torch.tensor(float(sum(len(t) for t in targets)), device=device)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return count.clamp(min=1.0)
