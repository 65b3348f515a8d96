"""Masks and ignored regions that are made when they are asked for. Small, and they can be sent to other processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exporters import masks as codes
from labelers.records import RLE


@dataclass(frozen=True)
class RleMasks:
    """Mask k of a photo, uint8 0/1 [H, W], out of RLEs at photo size."""

    rles: tuple[RLE, ...]

    def __call__(self, k: int) -> NDArray[np.uint8]:
        return codes.decode(self.rles[k]).view(np.uint8)


@dataclass(frozen=True)
class Region:
    """The union of masks and boxes of one photo, uint8 0/1 [H, W]: what is to be ignored.

    Attributes:
        size: (height, width) of the photo.
        rles: masks at photo size.
        boxes: xyxy pixels; every pixel that a box touches counts.
    """

    size: tuple[int, int]
    rles: tuple[RLE, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()

    def __call__(self) -> NDArray[np.uint8]:
        out = np.zeros(self.size, np.uint8)
        for rle in self.rles:
            out |= codes.decode(rle).view(np.uint8)
        for x0, y0, x1, y1 in self.boxes:
            out[max(int(y0), 0) : max(int(np.ceil(y1)), 0), max(int(x0), 0) : max(int(np.ceil(x1)), 0)] = 1
        return out
