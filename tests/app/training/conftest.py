"""A tiny data set with masks, as ``train`` reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos with a bright disc each, two classes, one crowd, one annotation without a mask."""
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images, annotations = [], []
    for i in range(4):
        height, width = 96, 128
        cy, cx, radius = 40 + 3 * i, 50 + 5 * i, 20 + 2 * i
        y, x = np.mgrid[:height, :width]
        disc = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        pixels = rng.integers(0, 60, (height, width, 3), np.uint8)
        pixels[disc] = (220, 200, 40)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": height, "width": width, "source": "made"})
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        ring = np.stack((cx + radius * np.cos(angles), cy + radius * np.sin(angles)), axis=1)
        box = [cx - radius, cy - radius, 2 * radius, 2 * radius]
        base = {"image_id": i, "bbox": box, "segmentation": [ring.flatten().tolist()], "iscrowd": 0}
        annotations.append({"id": 2 * i, "category_id": 1 + i % 2, **base})
    annotations.append({**base, "id": 98, "category_id": 1, "iscrowd": 1})
    annotations.append({**base, "id": 99, "category_id": 1, "segmentation": []})
    categories = [{"id": 1, "name": "ball"}, {"id": 2, "name": "plate"}, {"id": 3, "name": "unused"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    return tmp_path
