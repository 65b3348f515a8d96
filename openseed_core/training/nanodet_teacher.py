"""NanoDet-g as it was trained on COCO: a small detector that query selection of ``nano`` can learn from.

It shares layout and strides with the backbone of ``nano``, so each of its cells stands for one token of the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from openseed_core.backbones.csp import CSPBackbone
from openseed_core.backbones.csp_neck import LEVELS, WIDTH, Neck
from openseed_core.config import nano
from openseed_core.decoder import tokens_of
from openseed_core.weights.nanodet import load_convolutions, load_nanodet, load_neck

CLASSES = 80
BINS = 11
"""A side's distance is the expectation over bins 0..10, in strides."""
STRIDES = (32, 16, 8)
"""Lowest resolution first, like the memory of the decoder."""
OUTPUTS = (29, 31, 33)
"""Numbers of the file's last convolutions, for strides 8, 16, 32."""


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
        config = nano()
        self.backbone = CSPBackbone(config)
        load_nanodet(self.backbone, path)
        self.neck = Neck(config.backbone_channels[1:])
        load_neck(self.neck, path)
        self.outputs = nn.ModuleList([nn.Conv2d(WIDTH, CLASSES + 4 * BINS, 1) for _ in LEVELS])
        load_convolutions(dict(zip(OUTPUTS, self.outputs, strict=True)), path)
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
        return self.read(self.neck([maps[name] for name in LEVELS]), (pixels.shape[2], pixels.shape[3]))

    def read(self, features: Sequence[Tensor], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives, from the features of the neck and the (height, width) of the image."""
        scores: list[Tensor] = []
        boxes: list[Tensor] = []
        for output, x, stride in zip(reversed(self.outputs), reversed(features), STRIDES, strict=True):
            out = output(x)
            scores.append(out[:, :CLASSES].flatten(2).transpose(1, 2).sigmoid())
            boxes.append(_boxes(out[:, CLASSES:], stride, size))
        return torch.cat(scores, dim=1), torch.cat(boxes, dim=1)

    def class_logits(self, features: Sequence[Tensor]) -> Tensor:
        """Class scores before the sigmoid, [B, T, 80], from the features of a neck; with gradient."""
        return tokens_of([output(x)[:, :CLASSES] for output, x in zip(self.outputs, features, strict=True)])

    def class_layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight [80, WIDTH] and bias [80] of the class scores at strides 8, 16, 32."""
        return [
            (layer.get_parameter("weight")[:CLASSES, :, 0, 0], layer.get_parameter("bias")[:CLASSES])
            for layer in self.outputs
        ]


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
