"""Denoising: the targets themselves, boxes noised, as conditioned queries beside the matching ones (spec 8.4).

Denoising and labeling are one thing: content from the class's text, reference from the box
(``openseed_core.conditioning``). Labels are not flipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from openseed_core.conditioning import attention_mask, condition_queries, noised
from openseed_core.heads import Heads
from openseed_core.training.matching import Matches
from openseed_core.training.targets import Targets

BUDGET = 100
NOISE = 0.4


@dataclass(frozen=True)
class Denoising:
    """Denoising queries of a batch.

    Attributes:
        content: [B, S, d]; reference: [B, S, 4] logits. Slot of group s and target j: s * n + j.
        used: bool [B, S]; the other slots pad photos with fewer targets.
        groups: how many copies of the targets there are.
        matches: for each photo its used slots (ascending) and their targets.
    """

    content: Tensor
    reference: Tensor
    used: Tensor
    groups: int
    matches: Matches

    @property
    def slots(self) -> int:
        return int(self.used.shape[1])

    def blocked(self, matching: int) -> Tensor:
        """Self-attention mask [S + M, S + M] with M matching queries after the slots; True = must not see."""
        group = torch.arange(self.groups, device=self.used.device)
        return attention_mask(group.repeat_interleave(self.slots // self.groups), matching)


def denoising(
    heads: Heads,
    text: Tensor,
    targets: Sequence[Targets],
    draw: Callable[[int], Tensor],
    *,
    budget: int = BUDGET,
    noise: float = NOISE,
) -> Denoising | None:
    """Queries for all targets of the batch, repeated as often as the budget allows; None without any, or with too many.

    Args:
        text: [K, e], with gradient where the text encoder is trained.
        draw: (rows) -> [rows, 4] from U(0, 1); rows run over groups, in them over photos, in them over targets.
        budget: most targets of a photo times groups.
        noise: share of (w/2, h/2, w, h) by which cx, cy, w, h change at most.
    """
    counts = [len(t) for t in targets]
    most, total = max(counts), sum(counts)
    if most == 0 or most > budget:
        return None
    groups = budget // most
    device = text.device
    labels = torch.zeros(len(targets), groups, most, dtype=torch.long, device=device)
    boxes = torch.full((len(targets), groups, most, 4), 0.5, device=device)
    used = torch.zeros(len(targets), groups, most, dtype=torch.bool, device=device)
    uniform = (2 * draw(total * groups) - 1).view(groups, total, 4)
    start = 0
    matches: Matches = []
    for b, target in enumerate(targets):
        n = len(target)
        labels[b, :, :n] = target.labels
        boxes[b, :, :n] = noised(target.boxes[None].expand(groups, -1, -1), uniform[:, start : start + n], noise)
        used[b, :, :n] = True
        start += n
        matches.append((used[b].flatten().nonzero()[:, 0], torch.arange(n, device=device).repeat(groups)))
    used = used.flatten(1)
    content, reference = condition_queries(heads, text, labels.flatten(1), boxes.flatten(1, 2), used)
    return Denoising(content, reference, used, groups, matches)
