"""Photo -> network input: evaluation resize, normalisation, padding (spec section 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

SIZE_DIVISOR = 32


@dataclass(frozen=True)
class NetworkInput:
    """A normalised, padded batch.

    Attributes:
        pixels: float32 [B, 3, H, W], H and W multiples of 32.
        sizes: (height, width) of each image before padding.
    """

    pixels: Tensor
    sizes: tuple[tuple[int, int], ...]


def shortest_edge_size(height: int, width: int, *, short: int, long: int) -> tuple[int, int]:
    """(height, width) with the short side at ``short`` unless that takes the long side over ``long`` (0 = no cap)."""
    scale = short / min(height, width)
    if long and scale * max(height, width) > long:
        scale = long / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def torchvision_size(height: int, width: int, *, short: int) -> tuple[int, int]:
    """The short side at ``short``, the other truncated, as torchvision's ``Resize(int)`` does."""
    if height <= width:
        return short, int(short * width / height)
    return int(short * height / width), short


def resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bilinear with antialiasing (PIL), uint8 [H, W, 3] to (height, width)."""
    if image.shape[:2] == size:
        return image
    out: NDArray[np.uint8] = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))
    return out


def prepare(
    images: Sequence[NDArray[np.uint8]],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
    sizes: Sequence[tuple[int, int]] | None = None,
) -> NetworkInput:
    """Normalise and pad right and bottom with zeros to the batch maximum, rounded up to multiples of 32.

    Args:
        images: uint8 RGB [H, W, 3] each, already resized.
        sizes: (height, width) of the part of each image that isn't padding already; default: all of it.
    """
    shapes = [(image.shape[0], image.shape[1]) for image in images]
    height, width = (-(-max(side) // SIZE_DIVISOR) * SIZE_DIVISOR for side in zip(*shapes, strict=True))
    sizes = tuple(sizes) if sizes is not None else tuple(shapes)
    shift = torch.tensor(mean, device=device).view(3, 1, 1)
    scale = torch.tensor(std, device=device).view(3, 1, 1)
    batch = []
    for image, (image_height, image_width) in zip(images, sizes, strict=True):
        shown = np.array(image[:image_height, :image_width])  # a copy: PIL's pixels are read-only
        pixels = torch.from_numpy(shown).to(device).permute(2, 0, 1).float()
        pixels = (pixels - shift) / scale
        batch.append(F.pad(pixels, (0, width - pixels.shape[2], 0, height - pixels.shape[1])))
    return NetworkInput(torch.stack(batch), sizes)


def crop_resized(
    image: NDArray[np.uint8], window: tuple[float, float, float, float], size: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The window of the image, its longer side scaled to ``size``, zero-padded right and below to a square.

    Args:
        image: uint8 RGB [H, W, 3].
        window: x0, y0, x1, y1 inside the image; fractions of pixels are honoured.
        size: side of the result in pixels.

    Returns:
        uint8 RGB [size, size, 3] and the (height, width) of the part that is not padding.
    """
    x0, y0, x1, y1 = window
    scale = size / max(x1 - x0, y1 - y0)
    width = min(max(round((x1 - x0) * scale), 1), size)
    height = min(max(round((y1 - y0) * scale), 1), size)
    # cut whole pixels first: PIL would otherwise convert the whole photo for each crop
    left, top = int(x0), int(y0)
    part = Image.fromarray(np.ascontiguousarray(image[top : int(np.ceil(y1)), left : int(np.ceil(x1))]))
    box = (x0 - left, y0 - top, min(x1 - left, part.width), min(y1 - top, part.height))
    out = np.zeros((size, size, 3), np.uint8)
    out[:height, :width] = np.asarray(part.resize((width, height), Image.Resampling.BILINEAR, box=box))
    return out, (height, width)
