"""The convolutional backbone of ``nano``, in the layout of NanoDet-g (RangiLyu/nanodet, Apache-2.0).

Norms are already folded into the convolutions, so it is nothing but 3x3 convolutions and LeakyReLU, which two
CPU cores run fast. Unlike a transformer backbone it has no sense of place; zero-initialised position
projections on every output give the decoder one.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig

POSITION_FREQUENCIES = 3


class _Stage(nn.Module):
    """Entry convolution, a chain of (reduce, convolve, join) blocks, and a skip from the entry to the output."""

    def __init__(self, inputs: int, width: int, *, stride: int, blocks: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(inputs, width, 3, stride=stride, padding=1)
        self.reduce = nn.ModuleList([nn.Conv2d(width, width // 2, 3, padding=1) for _ in range(blocks)])
        self.inner = nn.ModuleList([nn.Conv2d(width // 2, width // 2, 3, padding=1) for _ in range(blocks)])
        self.last = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        entry = _activate(self.entry(x))
        x = entry
        for reduce, inner in zip(self.reduce, self.inner, strict=True):
            a = _activate(reduce(x))
            x = torch.cat((_activate(inner(a)), a), dim=1)
        return torch.cat((_activate(self.last(x)), entry), dim=1)


class CSPBackbone(nn.Module):
    """Image [B, 3, H, W] (normalised RGB, H and W multiples of 32) -> {"res2".."res5": [B, C, H/s, W/s]}."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        widths = [channels // 2 for channels in config.backbone_channels]
        self.stem = nn.Conv2d(3, widths[0], 3, stride=2, padding=1)
        inputs = [widths[0], *config.backbone_channels[:3]]
        blocks = (1, 2, 2, 3)
        self.stages = nn.ModuleList(
            [_Stage(inputs[i], widths[i], stride=1 if i == 0 else 2, blocks=blocks[i]) for i in range(len(widths))]
        )
        self.position = nn.ModuleList(
            [nn.Conv2d(4 * POSITION_FREQUENCIES, channels, 1) for channels in config.backbone_channels]
        )
        for parameter in self.position.parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = F.max_pool2d(_activate(self.stem(image)), 3, stride=2, padding=1)
        maps: dict[str, Tensor] = {}
        for i, stage in enumerate(self.stages):
            x = stage(x)
            height, width = x.shape[-2:]
            maps[f"res{i + 2}"] = x + self.position[i](_coordinates(height, width, x.device, x.dtype))
        return maps


def _activate(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a cached tensor must be usable in training too
def _coordinates(height: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Sines and cosines of the cell centres, [1, 4 * POSITION_FREQUENCIES, height, width]; cached by size."""
    y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
    x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
    rates = math.pi * 2.0 ** torch.arange(POSITION_FREQUENCIES, device=device, dtype=dtype)
    angle_y = (rates[:, None] * y)[:, :, None].expand(-1, height, width)
    angle_x = (rates[:, None] * x)[:, None, :].expand(-1, height, width)
    return torch.cat((angle_y.sin(), angle_y.cos(), angle_x.sin(), angle_x.cos()))[None]
