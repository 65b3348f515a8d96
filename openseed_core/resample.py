"""Mask logits at photo size, inside windows only: spec 7.1 as two small matrices per axis.

The reference enlarges every mask to the padded network size (bilinear), cuts the padding off and resizes to the photo
(bicubic, antialiased). Both steps are linear and separable, so along one axis they are one banded matrix; a window of
the result needs only some rows of it. Nothing of full photo size is ever made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CUBIC = -0.5  # the cubic's parameter in antialiased resizing (PIL's; torch uses -0.75 only without antialiasing)
BLOCK = 256  # output pixels per product: short bands keep the products small


@dataclass(frozen=True)
class AxisWeights:
    """Rows ``start``.. of the matrix that takes one axis of a stride-4 map to the photo.

    Attributes:
        weights: float32 [rows, cells].
        first, last: int64 [rows], the nonzero band of each row, ``last`` exclusive; both never fall.
        start: output pixel of row 0.
    """

    weights: Tensor
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    start: int

    def band(self, low: int, high: int) -> tuple[Tensor, int, int]:
        """Weights of output pixels low..high, cut to the cells a..b that they read: (weights, a, b)."""
        low, high = low - self.start, high - self.start
        a, b = int(self.first[low]), int(self.last[high - 1])
        return self.weights[low:high, a:b], a, b


def axis_weights(
    cells: int, *, padded: int, size: int, output: int, start: int, stop: int, device: torch.device | str = "cpu"
) -> AxisWeights:
    """Bilinear ``cells`` -> ``padded``, its first ``size`` pixels, antialiased bicubic to ``output``; rows start..stop.

    All lengths are those of one axis. Computed in float64, rounded once.
    """
    scale = size / output
    stretch = max(scale, 1.0)
    support = 2.0 * stretch
    centre = (np.arange(start, stop, dtype=np.float64) + 0.5) * scale
    low = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    high = np.minimum((centre + support + 0.5).astype(np.int64), size)
    taps = int((high - low).max())
    at = low[:, None] + np.arange(taps)
    cubic = np.where(at < high[:, None], _cubic((at - centre[:, None] + 0.5) / stretch), 0.0)
    cubic /= cubic.sum(axis=1, keepdims=True)

    source = np.maximum((np.minimum(at, size - 1) + 0.5) * (cells / padded) - 0.5, 0.0)
    cell = np.minimum(source.astype(np.int64), cells - 1)
    following = np.minimum(cell + 1, cells - 1)
    share = np.where(following > cell, source - cell, 0.0)

    weights = np.zeros((stop - start, cells))
    rows = np.broadcast_to(np.arange(stop - start)[:, None], at.shape)
    np.add.at(weights, (rows, cell), cubic * (1 - share))
    np.add.at(weights, (rows, following), cubic * share)
    tensor = torch.from_numpy(weights.astype(np.float32)).to(device)
    last_tap = (high - low - 1)[:, None]
    last = np.take_along_axis(following, last_tap, axis=1)[:, 0] + 1
    return AxisWeights(tensor, cell[:, 0], last, start)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a cached tensor must be usable in training too
def _whole_axis(cells: int, padded: int, size: int, output: int, device: torch.device) -> AxisWeights:
    """All rows: the crops of a photo and all photos of one size share a few matrices, which take long to make."""
    return axis_weights(cells, padded=padded, size=size, output=output, start=0, stop=output, device=device)


def iterate_windows(
    logits: Tensor, *, padded: tuple[int, int], size: tuple[int, int], output: tuple[int, int], boxes: NDArray[np.int64]
) -> Iterator[Tensor]:
    """As ``windows``, one at a time, so that only one window has to be in memory."""
    height, width = output
    corners = np.asarray(boxes, dtype=np.int64).reshape(-1, 4)
    if len(corners) != len(logits):
        raise ValueError(f"boxes has {len(corners)} rows for {len(logits)} masks; give one window for each mask")
    low, high = corners[:, :2], corners[:, 2:]
    outside = (low < 0).any(axis=1) | (high > (width, height)).any(axis=1) | (high < low).any(axis=1)
    if outside.any():
        k = int(outside.argmax())
        raise ValueError(f"boxes[{k}] is {corners[k].tolist()}; cut windows to the output, {width} x {height} pixels")
    if not (high > low).all(axis=1).any():
        yield from (logits.new_zeros(max(0, y1 - y0), max(0, x1 - x0)) for x0, y0, x1, y1 in corners.tolist())
        return
    rows = _whole_axis(logits.shape[1], padded[0], size[0], height, logits.device)
    columns = _whole_axis(logits.shape[2], padded[1], size[1], width, logits.device)
    for mask, (x0, y0, x1, y1) in zip(logits.float(), corners.tolist(), strict=True):
        if x0 < x1 <= x0 + BLOCK and y0 < y1 <= y0 + BLOCK:  # most windows are a single product
            (across, a, b), (down, c, d) = columns.band(x0, x1), rows.band(y0, y1)
            yield down @ (mask[:, a:b] @ across.T)[c:d]
            continue
        out = mask.new_zeros(y1 - y0, x1 - x0)
        for x in range(x0, x1, BLOCK) if y1 > y0 else ():
            across, a, b = columns.band(x, min(x + BLOCK, x1))
            narrow = mask[:, a:b] @ across.T
            for y in range(y0, y1, BLOCK):
                down, c, d = rows.band(y, min(y + BLOCK, y1))
                out[y - y0 : y - y0 + BLOCK, x - x0 : x - x0 + BLOCK] = down @ narrow[c:d]
        yield out


def whole(logits: Tensor, *, padded: tuple[int, int], size: tuple[int, int], output: tuple[int, int]) -> Tensor:
    """All masks over the whole photo, float32 [N, H, W]; arguments as in ``windows``. A few times as fast as two
    passes of ``interpolate``, because it is a few matrix products for all masks together."""
    height, width = output
    masks = logits.float()
    rows = _whole_axis(masks.shape[1], padded[0], size[0], height, masks.device)
    columns = _whole_axis(masks.shape[2], padded[1], size[1], width, masks.device)
    out = masks.new_empty(len(masks), height, width)
    for x in range(0, width, BLOCK):
        across, a, b = columns.band(x, min(x + BLOCK, width))
        narrow = masks[:, :, a:b] @ across.T
        for y in range(0, height, BLOCK):
            down, c, d = rows.band(y, min(y + BLOCK, height))
            torch.matmul(down, narrow[:, c:d], out=out[:, y : y + BLOCK, x : x + BLOCK])
    return out


def windows(
    logits: Tensor, *, padded: tuple[int, int], size: tuple[int, int], output: tuple[int, int], boxes: NDArray[np.int64]
) -> list[Tensor]:
    """Mask logits at photo resolution, each inside its own window.

    Equal to enlarging the whole mask (spec 7.1) and cutting the window out, up to
    float32 rounding. A mask's window doesn't depend on the other masks' windows.

    Args:
        logits: [N, h, w], mask logits on the stride-4 grid of the padded network input.
        padded: (height, width) of the padded network input.
        size: (height, width) of the network input without padding.
        output: (height, width) of the photo.
        boxes: integers [N, 4], windows x0, y0, x1, y1 in photo pixels, x1 and y1 exclusive; empty ones are allowed.

    Returns:
        N tensors float32 [y1 - y0, x1 - x0].

    Raises:
        ValueError: a window reaches outside the photo, or there are not N of them.
    """
    return list(iterate_windows(logits, padded=padded, size=size, output=output, boxes=boxes))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' cubic with parameter ``CUBIC``; zero from 2 on."""
    x = np.abs(x)
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = CUBIC * (((x - 5) * x + 8) * x - 4)
    out: NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    return out
