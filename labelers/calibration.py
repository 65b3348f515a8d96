"""Crops of photos whose values decide the ranges of int8: the same for the same photos, of all sizes of objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from labelers.paths import PhotoError
from labelers.photos import open_photo
from openseed_core.preprocess import crop_resized
from openseed_core.runtimes.openvino_graphs import Crop
from openseed_core.zoom import window_for

CROPS_PER_PHOTO = 24
SUFFIXES = (".jpg", ".jpeg", ".png")
SMALLEST, LARGEST = 16.0, 0.8
"""Sides of the boxes: pixels, and share of the photo's longer side; log-uniform between them."""


def crops(folder: Path, side: int, *, each: int = CROPS_PER_PHOTO) -> list[Crop]:
    """Network inputs [side, side, 3] of ``each`` places on every photo of the folder, in the order of the names.

    Raises:
        PhotoError: the folder has no photo, or one that can't be read.
    """
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise PhotoError(
            str(folder), "no JPEG or PNG file to take the ranges of int8 from", "install the package again"
        )
    found: list[Crop] = []
    for k, path in enumerate(paths):
        pixels = open_photo(folder, path.name, key=path.name).pixels()
        height, width = pixels.shape[:2]
        random = np.random.default_rng(k)
        for _ in range(each):
            longest = max(LARGEST * max(height, width), SMALLEST)
            length = float(np.exp(random.uniform(np.log(SMALLEST), np.log(longest))))
            box_width, box_height = min(length, width), min(length, height)
            x0, y0 = random.uniform(0, width - box_width), random.uniform(0, height - box_height)
            window = window_for((x0, y0, x0 + box_width, y0 + box_height), height=height, width=width)
            found.append(crop_resized(pixels, window, side))
    return found
