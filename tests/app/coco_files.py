"""Small COCO data sets with real photo files, for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CATEGORIES = [
    {"id": 0, "name": "person", "supercategory": "being"},
    {"id": 17, "name": "traffic light", "extra": [1, 2]},
    {"id": 90, "name": "toothbrush"},
]


def save_photo(path: Path, *, width: int = 64, height: int = 48, orientation: int = 1, seed: int = 0) -> None:
    """Noise; width and height are those of the stored pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def annotation(id_: Any, image_id: Any, bbox: Any, category_id: Any = 0, **more: Any) -> dict[str, Any]:
    """One annotation without a mask."""
    return {"id": id_, "image_id": image_id, "category_id": category_id, "bbox": bbox, "iscrowd": 0, **more}


def dataset(
    folder: Path, annotations: list[dict[str, Any]], *, photos: int = 1, name: str = "data.json", **more: Any
) -> Path:
    """``photos`` photos of 64 x 48 with ids 1, 2, ... called photo1.png, ... and these annotations."""
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for k in range(1, photos + 1):
        save_photo(folder / f"photo{k}.png", seed=k)
        images.append({"id": k, "file_name": f"photo{k}.png", "width": 64, "height": 48})
    content = {"info": {"year": 2026}, "images": images, "annotations": annotations, "categories": CATEGORIES, **more}
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def many(folder: Path, *, photos: int, boxes: int) -> Path:
    """A data set of random boxes, the annotations of different photos interleaved as in real files."""
    random = np.random.default_rng(5)
    annotations = []
    for k in range(photos * boxes):
        x, y = random.uniform(0, 40), random.uniform(0, 30)
        w, h = random.uniform(4, 24), random.uniform(4, 18)
        box = [round(float(value), 2) for value in (x, y, w, h)]
        annotations.append(annotation(1000 + 3 * k, k % photos + 1, box, CATEGORIES[k % 3]["id"]))
    return dataset(folder, annotations, photos=photos)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())
