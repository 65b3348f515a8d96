"""The data set of these tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image


def save_photos(folder: Path) -> None:
    for k in (1, 2, 3):
        pixels = np.random.default_rng(k).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"photo{k}.png")


COCO = json.dumps(
    {
        "info": {"year": 2026},
        "images": [{"id": k, "file_name": f"photo{k}.png", "width": 64, "height": 48} for k in (1, 2, 3)],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 5, "bbox": [4, 6, 20, 10], "iscrowd": 0},
            {"id": 12, "image_id": 1, "category_id": 7, "bbox": [30, 20, 24, 20], "iscrowd": 0},
            {"id": 13, "image_id": 2, "category_id": 5, "bbox": [10, 10, 30, 30], "iscrowd": 0},
            {"id": 14, "image_id": 2, "category_id": 9, "bbox": [0, 0, 9, 9], "iscrowd": 0},
        ],
        "categories": [{"id": 5, "name": "cat"}, {"id": 7, "name": "dog"}, {"id": 9, "name": "ghost"}],
    }
)
