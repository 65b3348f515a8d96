"""From the network's mask logits to one RLE for each box: enlarge, threshold, score, encode; inside the box only.

Each mask becomes an RLE as soon as it is made, so that only one window of float pixels is in memory for each thread,
however many boxes the photo has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exporters.masks import paste
from labelers.quality import quality
from labelers.records import RLE
from labelers.threshold import fitting_level
from labelers.views import mirrored_boxes
from labelers.windows import touched
from openseed_core.model import ImageFeatures
from openseed_core.resample import iterate_windows
from openseed_core.zoom import Window

MASK_MARGIN = 0.05
"""A mask may leave its box by this share of the box's sides; annotators' boxes are a few pixels off."""


@dataclass(frozen=True)
class Answer:
    """One box's mask at photo size, None if no pixel is in it, and its quality score."""

    mask: RLE | None
    score: float


def answers(
    logits: Tensor, features: ImageFeatures, window: Window, boxes: NDArray[np.float32], *, height: int, width: int
) -> list[Answer]:
    """Threshold each mask at photo resolution, inside its box and margin only.

    Args:
        logits: [1 or 2, N, h, w] on the stride-4 grid of the window, the second side from its mirror image.
        features: what the logits were made from; its sizes are used.
        window: the part of the photo that the network saw.
        boxes: [N, 4] xyxy photo pixels.
        height, width: of the photo.
    """
    places = [touched(box, height=height, width=width, margin=MASK_MARGIN) for box in boxes]
    output = (window.y1 - window.y0, window.x1 - window.x0)
    local = np.array(places, np.int64) - np.array([window.x0, window.y0] * 2)
    local = np.clip(local, 0, np.array([output[1], output[0]] * 2))
    maps = partial(iterate_windows, padded=features.padded, size=features.sizes[0], output=output)
    sides = [maps(logits[0], boxes=local)]
    if len(logits) > 1:
        sides.append(part.flip(-1) for part in maps(logits[1], boxes=mirrored_boxes(local, output[1])))
    found: list[Answer] = []
    for *parts, (x0, y0, _, _), box in zip(*sides, local.tolist(), boxes, strict=True):
        # each pass over a large box costs tens of milliseconds, so a single side is neither copied nor averaged
        mean = parts[0] if len(parts) == 1 else torch.stack(parts).mean(dim=0)
        probability = mean.sigmoid_().float().cpu().numpy()
        left, top = x0 + window.x0, y0 + window.y0
        mask = probability > fitting_level(probability, box, left, top)
        if mask.any():
            score = quality(probability, mask, box, left, top)
            found.append(Answer(paste(mask, left, top, height, width), score))
        else:
            found.append(Answer(None, 0.0))
    return found
