"""From predictions to results at photo size (spec section 7)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from openseed_core.resample import windows

__all__ = ["resize_masks", "windows"]


def resize_masks(logits: Tensor, *, padded: tuple[int, int], size: tuple[int, int], output: tuple[int, int]) -> Tensor:
    """Mask logits at photo size (spec 7.1): [Q, h, w] -> [Q, H, W].

    Bilinear to the padded network input, padding cut off, antialiased bicubic to the photo.

    Args:
        logits: [Q, h, w] on the stride-4 grid.
        padded, size: (height, width) of the network input with and without padding.
        output: (height, width) of the photo.
    """
    enlarged = F.interpolate(logits[None].float(), size=padded, mode="bilinear", align_corners=False)
    enlarged = enlarged[..., : size[0], : size[1]]
    return F.interpolate(enlarged, size=output, mode="bicubic", align_corners=False, antialias=True)[0]
