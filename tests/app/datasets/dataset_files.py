"""Small COCO files with photos, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def save(path: Path, *, width: int = 64, height: int = 48, seed: int = 0, orientation: int = 1) -> None:
    """Soft random blobs; width and height are those of the stored pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path, exif=exif)


def coco(
    folder: Path, photos: dict[str, list[dict[str, Any]]], *, classes: tuple[str, ...] = ("cat", "dog"), **more: Any
) -> Path:
    """``folder/data.json`` with photos of 64 x 48 in ``folder/photos``; each annotation gets ids and a class 1."""
    images, annotations = [], []
    for number, (name, rows) in enumerate(photos.items(), 1):
        save(folder / "photos" / name, seed=number)
        images.append({"id": number, "file_name": name, "width": 64, "height": 48})
        for row in rows:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 0, **row})
    categories = [{"id": k, "name": name} for k, name in enumerate(classes, 1)]
    path = folder / "data.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories, **more}))
    return path


def square(x: int, y: int, side: int, **more: Any) -> dict[str, Any]:
    """An annotation with a square mask and its box."""
    ring = [x, y, x + side, y, x + side, y + side, x, y + side]
    return {"bbox": [x, y, side, side], "segmentation": [ring], "area": side * side, **more}
