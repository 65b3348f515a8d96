"""Where mask costs and mask losses look: random points, and points where the prediction is unsure (spec 8.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from openseed_core.training.losses import sample_points

# (sets, points) -> float32 [sets, points, 2] normalised (x, y), from U(0, 1).
Draw = Callable[[int, int], Tensor]

OVERSAMPLE = 3.0
IMPORTANCE = 0.75


@dataclass(frozen=True)
class Points:
    """Point sets for one step.

    Attributes:
        count: points in a set.
        matching: draws one set for each photo, shared by all its masks (spec 8.5).
        losses: chooses a set for each matched pair, from the pair's mask logits [pairs, h, w].
    """

    count: int
    matching: Draw
    losses: Callable[[Tensor, int], Tensor]


def random_points(count: int, generator: torch.Generator, device: torch.device) -> Points:
    """Points of a training step: the same generator state gives the same points on every device."""

    def draw(sets: int, points: int) -> Tensor:
        return torch.rand((sets, points, 2), generator=generator).to(device)

    return Points(count, draw, lambda logits, points: uncertain_points(logits, points, draw))


@torch.no_grad()
def uncertain_points(logits: Tensor, count: int, draw: Draw) -> Tensor:
    """Mostly points where the mask is near its border: [N, h, w] logits -> [N, count, 2] normalised (x, y).

    Of three times as many uniform points, those with the smallest |logit| make up three quarters, surest last; fresh
    uniform ones the rest.
    """
    candidates = draw(len(logits), int(OVERSAMPLE * count))
    unsure = int(IMPORTANCE * count)
    order = sample_points(logits, candidates).abs().neg().topk(unsure, dim=1).indices
    chosen = candidates.gather(1, order[..., None].expand(-1, -1, 2))
    return torch.cat((chosen, draw(len(logits), count - unsure)), dim=1) if count > unsure else chosen
