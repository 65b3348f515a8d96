"""Miniature data sets in real layouts, with photos whose colours show where the objects are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exporters.masks import encode, to_coco

HEIGHT, WIDTH = 40, 60

TINY_RUN = """
[run]
init = "nano"
output = "{folder}/out"
threads = 1
workers = 0
batch = 2
[crops]
size = 64
conditions = 1
"""
"""The shortest settings of a training; ``format`` it with the folder of the data."""


def rectangle(x0: int, y0: int, x1: int, y1: int, *, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """bool [H, W]."""
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def save_photo(path: Path, *, width: int = WIDTH, height: int = HEIGHT, orientation: int = 1) -> None:
    """A grey ramp; width and height are those of the stored pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(width) * 3, np.arange(height)[:, None] * 3
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def image(id_: Any, **more: Any) -> dict[str, Any]:
    return {"id": id_, "file_name": f"{id_}.png", "width": WIDTH, "height": HEIGHT, **more}


def box(id_: Any, image_id: Any, category_id: Any, corners: Sequence[int], **more: Any) -> dict[str, Any]:
    """An annotation without a mask; ``corners`` are x0, y0, x1, y1."""
    x0, y0, x1, y1 = corners
    xywh = [x0, y0, x1 - x0, y1 - y0]
    return {"id": id_, "image_id": image_id, "category_id": category_id, "bbox": xywh, "iscrowd": 0, **more}


def masked(id_: Any, image_id: Any, category_id: Any, corners: Sequence[int], **more: Any) -> dict[str, Any]:
    """An annotation whose mask is the rectangle of its box, as RLE."""
    segmentation = to_coco(encode(rectangle(*corners)), form="rle")
    return box(id_, image_id, category_id, corners, segmentation=segmentation) | more


def write(path: Path, images: list[Any], annotations: list[Any], categories: list[Any], **more: Any) -> Path:
    """A COCO file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"images": images, "annotations": annotations, "categories": categories, **more}
    path.write_text(json.dumps(document))
    return path


def classes(*names: str, **more: Any) -> list[dict[str, Any]]:
    """Categories with the ids 1, 2, ..."""
    return [{"id": k, "name": name, **more} for k, name in enumerate(names, start=1)]


def photos_beside(path: Path, *numbers: int) -> None:
    """``images/1.png`` and so on, beside the JSON."""
    for number in numbers:
        save_photo(path.parent / "images" / f"{number}.png")
