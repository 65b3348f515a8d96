"""Sine position encodings of feature maps and boxes (spec 3.3 and 5.7)."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def _interleaved(angles: Tensor) -> Tensor:
    """[..., F] angles -> [..., F] with sin at even and cos at odd places."""
    return torch.stack((angles[..., 0::2].sin(), angles[..., 1::2].cos()), dim=-1).flatten(-2)


def _frequencies(features: int, device: torch.device) -> Tensor:
    index = torch.arange(features, dtype=torch.float32, device=device)
    return TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / features)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a cached tensor must be usable in training too
@torch.no_grad()
def map_encoding(height: int, width: int, dim: int, *, device: torch.device) -> Tensor:
    """Encoding of every cell of a map: float32 [height, width, dim], channels [y (dim/2), x (dim/2)].

    Coordinates count from 1 and are divided by (N + 1e-6) and multiplied by 2 pi. Cached by size, as sines are a good
    part of the time on the small maps of a crop: don't change the result in place.
    """
    frequencies = _frequencies(dim // 2, device)

    def axis(n: int) -> Tensor:
        k = torch.arange(1, n + 1, dtype=torch.float32, device=device) / (n + 1e-6) * (2 * math.pi)
        return _interleaved(k[:, None] / frequencies)

    y = axis(height)[:, None].expand(height, width, dim // 2)
    x = axis(width)[None].expand(height, width, dim // 2)
    return torch.cat((y, x), dim=-1)


def box_encoding(boxes: Tensor, features: int) -> Tensor:
    """Encoding of normalised cxcywh boxes: [..., 4] -> [..., 4 * features], in the order (y, x, w, h)."""
    angles = boxes[..., [1, 0, 2, 3]].unsqueeze(-1) * (2 * math.pi) / _frequencies(features, boxes.device)
    return _interleaved(angles).flatten(-2)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """log(x / (1 - x)) with both terms kept >= eps (spec 5.1)."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))
