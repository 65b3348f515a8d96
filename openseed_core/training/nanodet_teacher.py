"""NanoDet-g as it was trained on COCO: a small detector that query selection of ``nano`` can learn from.

It shares layout and strides with the backbone of ``nano``, so each of its cells stands for one token of the memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openseed_core.backbones.csp import CSPBackbone
from openseed_core.config import nano
from openseed_core.weights.nanodet import load_nanodet

CLASSES = 80
BINS = 11
"""A side's distance is the expectation over bins 0..10, in strides."""
STRIDES = (32, 16, 8)
"""Lowest resolution first, like the memory of the decoder."""


class NanoDet(nn.Module):
    """Image -> class probabilities and a box for every cell; never trained.

    Args:
        path: ``.npz`` with arrays ``convNN.weight`` and ``convNN.bias``, NN = 00..33.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape than the network.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.backbone = CSPBackbone(nano())
        load_nanodet(self.backbone, path)
        dim, outputs = 128, CLASSES + 4 * BINS
        self.laterals = nn.ModuleList([nn.Conv2d(channels, dim, 1) for channels in (128, 256, 512)])
        self.towers = nn.ModuleList([nn.Conv2d(dim, dim, 3, padding=1) for _ in range(3)])
        self.outputs = nn.ModuleList([nn.Conv2d(dim, outputs, 1) for _ in range(3)])
        heads = [layer for pair in zip(self.towers, self.outputs, strict=True) for layer in pair]
        with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
            for i, layer in enumerate([*self.laterals, *heads], start=25):
                for name, parameter in layer.named_parameters():
                    value = torch.from_numpy(arrays[f"conv{i:02d}.{name}"].astype(np.float32))
                    if value.shape != parameter.shape:
                        raise ValueError(
                            f"{path}: conv{i:02d}.{name} is {list(value.shape)}, the detector needs "
                            f"{list(parameter.shape)}; this file is not NanoDet-g"
                        )
                    parameter.copy_(value)
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Detect.

        Args:
            pixels: float32 [B, 3, H, W], RGB, normalised as for ``nano``; H and W multiples of 32.

        Returns:
            probabilities [B, T, 80] in COCO's order and boxes [B, T, 4], cxcywh normalised to the input. Tokens
            run from the lowest resolution to the highest.
        """
        maps = self.backbone(pixels)
        l3, l4, l5 = (
            lateral(maps[name]) for lateral, name in zip(self.laterals, ("res3", "res4", "res5"), strict=True)
        )
        l4 = l4 + _resized(l5, l4)
        l3 = l3 + _resized(l4, l3)
        n4 = l4 + _resized(l3, l4)
        n5 = l5 + _resized(n4, l5)
        scores: list[Tensor] = []
        boxes: list[Tensor] = []
        for level, stride in zip((2, 1, 0), STRIDES, strict=True):
            source = (l3, n4, n5)[level]
            out = self.outputs[level](F.leaky_relu(self.towers[level](source), 0.1))
            scores.append(out[:, :CLASSES].flatten(2).transpose(1, 2).sigmoid())
            boxes.append(_boxes(out[:, CLASSES:], stride, (pixels.shape[2], pixels.shape[3])))
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


def _boxes(bins: Tensor, stride: int, size: tuple[int, int]) -> Tensor:
    """Bins [B, 4 * BINS, h, w] (left, top, right, bottom) -> cxcywh normalised [B, h * w, 4]."""
    batch, _, height, width = bins.shape
    weights = bins.view(batch, 4, BINS, height * width).softmax(dim=2)
    distance = (weights * torch.arange(BINS, device=bins.device).view(1, 1, BINS, 1)).sum(dim=2) * stride
    y = (torch.arange(height, device=bins.device) + 0.5) * stride
    x = (torch.arange(width, device=bins.device) + 0.5) * stride
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    left, top, right, bottom = distance.unbind(dim=1)
    x0, y0 = (grid_x.flatten() - left).clamp(min=0), (grid_y.flatten() - top).clamp(min=0)
    x1, y1 = (grid_x.flatten() + right).clamp(max=size[1]), (grid_y.flatten() + bottom).clamp(max=size[0])
    scale = bins.new_tensor([size[1], size[0], size[1], size[0]])
    return torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), dim=-1) / scale
