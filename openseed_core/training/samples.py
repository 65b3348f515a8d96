"""Training records and the crops made of them (numpy; no files, no torch modules).

A sample is a crop around one object, resized to a square network input, with every object in it that is
visible enough as a condition. Labeling decodes boxes from such crops too (``openseed_core.zoom``), so the
model trains on what it will see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from openseed_core.preprocess import crop_resized

# Masks are kept at half the network resolution: twice as fine as the logits they are compared with.
TARGET_STRIDE = 2


@dataclass(frozen=True)
class Record:
    """One annotated photo.

    Attributes:
        image: uint8 RGB [H, W, 3].
        boxes: float32 [N, 4] xyxy pixels.
        labels: int64 [N], indices into the training names.
        mask: returns the bool mask [H, W] of object k.
        weights: float32 [N], how often object k should be drawn, relative to others.
    """

    image: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    mask: Callable[[int], NDArray[np.uint8]]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class CropSettings:
    """How crops are drawn.

    Attributes:
        size: side of the square network input, a multiple of 32.
        object_share: range of (longer side of the object) / (side of the crop).
        smallest_window: shortest side of a crop in photo pixels; tiny objects need their surroundings.
        visible: smallest share of an object's box inside the crop for it to be a condition.
        smallest: shortest box side in network pixels for it to be a condition.
        conditions: most conditions of one crop.
        colour: strength of brightness, contrast and saturation changes.
    """

    size: int = 192
    object_share: tuple[float, float] = (0.4, 0.95)
    smallest_window: float = 40.0
    visible: float = 0.7
    smallest: float = 8.0
    conditions: int = 8
    colour: float = 0.3


@dataclass(frozen=True)
class Sample:
    """One crop.

    Attributes:
        image: uint8 RGB [S, S, 3], zero beyond the photo (see ``size``).
        size: (height, width) of the part that shows the photo; the rest is padding right and below.
        boxes: float32 [n, 4] xyxy in network pixels.
        labels: int64 [n].
        masks: uint8 [n, S / 2, S / 2], 0..255 = share of the cell that the object covers.
    """

    image: NDArray[np.uint8]
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8]


def draw(record: Record, target: int, settings: CropSettings, rng: np.random.Generator) -> Sample:
    """Crop around object ``target`` at a random scale and place, flip, change colours."""
    height, width = record.image.shape[:2]
    x0, y0, x1, y1 = record.boxes[target]
    longer = max(x1 - x0, y1 - y0, 4.0)
    side = max(longer / rng.uniform(*settings.object_share), settings.smallest_window)
    window = _window(record.boxes[target], side, height, width, rng)
    image, size = crop_resized(record.image, window, settings.size)
    scale = settings.size / side
    shift = np.array([window[0], window[1], window[0], window[1]], np.float32)
    boxes = (record.boxes - shift) * scale
    limit = np.array([size[1], size[0], size[1], size[0]], np.float32)
    cut = np.clip(boxes, 0, limit)
    full = np.maximum((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), 1e-6)
    share = (cut[:, 2] - cut[:, 0]) * (cut[:, 3] - cut[:, 1]) / full
    shortest = np.minimum(cut[:, 2] - cut[:, 0], cut[:, 3] - cut[:, 1])
    eligible = (share >= settings.visible) & (shortest >= settings.smallest)
    eligible[target] = False
    others = rng.permutation(np.flatnonzero(eligible))[: settings.conditions - 1]
    rows = np.concatenate(([target], others))
    masks = np.stack([_mask_crop(record.mask(int(k)), window, settings.size // TARGET_STRIDE, scale) for k in rows])
    if rng.random() < 0.5:
        image, cut, masks = _flipped(image, cut, masks, size)
    return Sample(_recoloured(image, size, settings.colour, rng), size, cut[rows], record.labels[rows], masks)


def _window(
    box: NDArray[np.float32], side: float, height: int, width: int, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """A square of ``side`` at a random place around the box, moved into the photo and cut to it."""
    bounds = []
    for low, high, limit in ((box[0], box[2], width), (box[1], box[3], height)):
        slack = side - (high - low)
        start = (low + high - side) / 2 + rng.uniform(-0.5, 0.5) * max(slack, 0) * 0.7
        start = max(min(start, limit - side), 0.0)
        bounds.append((start, min(start + side, float(limit))))
    return bounds[0][0], bounds[1][0], bounds[0][1], bounds[1][1]


def _mask_crop(
    mask: NDArray[np.uint8], window: tuple[float, float, float, float], size: int, scale: float
) -> NDArray[np.uint8]:
    """The mask inside the window at half network resolution, antialiased: uint8 [size, size]."""
    out = np.zeros((size, size), np.uint8)
    x0, y0 = int(window[0]), int(window[1])
    x1, y1 = int(np.ceil(window[2])), int(np.ceil(window[3]))
    part = mask[y0:y1, x0:x1] * np.uint8(255)
    factor = scale / TARGET_STRIDE
    if factor < 1:  # average first, as warping alone would skip pixels
        reduced = (max(round(part.shape[1] * factor), 1), max(round(part.shape[0] * factor), 1))
        part = cv2.resize(part, reduced, interpolation=cv2.INTER_AREA)
        rate_x, rate_y = reduced[0] / (x1 - x0), reduced[1] / (y1 - y0)
    else:
        rate_x = rate_y = 1.0
    zoom_x, zoom_y = factor / rate_x, factor / rate_y
    offset_x, offset_y = (x0 - window[0]) * factor, (y0 - window[1]) * factor
    # cv2 puts pixel centres at integers; ours are at +0.5
    matrix = np.array(
        [[zoom_x, 0, offset_x + 0.5 * zoom_x - 0.5], [0, zoom_y, offset_y + 0.5 * zoom_y - 0.5]], np.float64
    )
    cv2.warpAffine(part, matrix, (size, size), dst=out, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return out


def _flipped(
    image: NDArray[np.uint8], boxes: NDArray[np.float32], masks: NDArray[np.uint8], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """Mirror the part that shows the photo; padding stays at the right."""
    width = size[1]
    image = image.copy()
    image[:, :width] = image[:, :width][:, ::-1]
    half = (width + TARGET_STRIDE - 1) // TARGET_STRIDE
    masks = masks.copy()
    masks[:, :, :half] = masks[:, :, :half][:, :, ::-1]
    boxes = boxes.copy()
    boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    return image, boxes, masks


def _recoloured(
    image: NDArray[np.uint8], size: tuple[int, int], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Random contrast, brightness and saturation on the part that shows the photo."""
    if strength <= 0 or rng.random() < 0.3:
        return image
    part = image[: size[0], : size[1]].astype(np.float32)
    contrast, saturation = 1 + rng.uniform(-strength, strength, 2)
    brightness = 255 * 0.5 * rng.uniform(-strength, strength)
    tint = 1 + rng.uniform(-strength, strength, 3).astype(np.float32) * 0.3
    gray = part.mean(axis=2, keepdims=True)
    part = (gray + (part - gray) * saturation) * tint
    part = (part - 127.5) * contrast + 127.5 + brightness
    out = image.copy()
    out[: size[0], : size[1]] = np.clip(part, 0, 255).astype(np.uint8)
    return out
