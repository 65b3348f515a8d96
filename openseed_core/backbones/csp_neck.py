"""What a detector adds to its backbone: levels that see each other, and one convolution each (NanoDet's neck).

A cell of the backbone knows a part; after the neck it knows the object, which is what query selection needs (ADR 13).
Layout of NanoDet-g (RangiLyu/nanodet, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

LEVELS = ("res3", "res4", "res5")
WIDTH = 128


class Neck(nn.Module):
    """Backbone maps of strides 8, 16, 32 -> as many [B, WIDTH, H/s, W/s].

    Args:
        channels: of the maps, in that order (``LEVELS``).
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList([nn.Conv2d(count, WIDTH, 1) for count in channels])
        self.towers = nn.ModuleList([nn.Conv2d(WIDTH, WIDTH, 3, padding=1) for _ in channels])

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        l3, l4, l5 = (lateral(x) for lateral, x in zip(self.laterals, maps, strict=True))
        l4 = l4 + _resized(l5, l4)
        l3 = l3 + _resized(l4, l3)
        n4 = l4 + _resized(l3, l4)
        n5 = l5 + _resized(n4, l5)
        return [F.leaky_relu(tower(x), 0.1) for tower, x in zip(self.towers, (l3, n4, n5), strict=True)]


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
