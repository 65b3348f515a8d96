"""A small data set with everything that goes wrong, its photos, and what other libraries have to find in it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from exporters.dataset import Dataset, Item, Label, Picture
from exporters.masks import area, box_xyxy, encode
from labelers.records import RLE

LABELS = (Label("cat", 1), Label("Straße", 2), Label("日本 犬", 7))
READERS = Path(__file__).parent / "readers"


def _disc(height: int, width: int, y: float, x: float, r: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 <= r * r


def _item(label: str, mask: NDArray[np.bool_], key: int, **more: Any) -> Item:
    rle = encode(mask)
    x0, y0, x1, y1 = (float(v) for v in box_xyxy(rle))
    return Item(label, (x0, y0, x1, y1), rle, id=key, **more)


def everything(folder: Path, *, flat: bool = False) -> Dataset:
    """Holes, islands, an island in a hole, one pixel, touching corners, the border, all of the photo, a crowd.

    Args:
        folder: where the photos are saved.
        flat: no sub-folders, for libraries that have none.
    """
    h, w = 90, 120
    ring = _disc(h, w, 40, 40, 25) & ~_disc(h, w, 40, 40, 12)
    island = ring | _disc(h, w, 40, 40, 5) | _disc(h, w, 70, 100, 12)
    pixel = np.zeros((h, w), bool)
    pixel[17, 23] = True
    corner = np.zeros((h, w), bool)
    corner[60:75, 5:25] = corner[75:85, 25:40] = True
    border = np.zeros((h, w), bool)
    border[:, -30:] = border[-8:] = True
    first = (
        _item("cat", ring, 11),
        _item("日本 犬", island, 12),
        _item("Straße", pixel, 13),
        _item("cat", corner, 14),
        _item("Straße", border, 15),
        _item("cat", _disc(h, w, 20, 90, 14), 16),
    )
    tall = (_item("Straße", np.ones((64, 48), bool), 21), _item("日本 犬", _disc(64, 48, 30, 20, 15), 22))
    crowd = _disc(64, 48, 20, 20, 8) | _disc(64, 48, 45, 30, 9)
    names = ("a.jpg", "Größe 1.jpg", "b.jpg", "leer.jpg") if flat else ("a.jpg", "x y/a.jpg", "größe/a.jpg", "leer.jpg")
    pictures = (
        Picture(names[0], w, h, first, id=1, split="train"),
        Picture(names[1], 48, 64, tall, id=2, split="train"),
        Picture(names[2], 48, 64, (_item("cat", crowd, 31, crowd=True), _item("cat", ~crowd, 32)), id=3, split="val"),
        Picture(names[3], 32, 32, (), id=4, split="train"),
    )
    for picture in pictures:
        path = folder / picture.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.full((picture.height, picture.width, 3), 40 * int(str(picture.id)), np.uint8)
        Image.fromarray(grey).save(path, quality=90)
    return Dataset("everything", LABELS, len(pictures), lambda: iter(pictures), images=folder)


def without_crowds(found: Dataset) -> Dataset:
    pictures = tuple(replace(p, items=tuple(item for item in p.items if not item.crowd)) for p in found)
    return replace(found, pictures=lambda: iter(pictures))


def items_by_id(found: Dataset) -> dict[int, Item]:
    return {int(str(item.id)): item for picture in found for item in picture.items}


def mask_iou(first: RLE | Mapping[str, Any], second: RLE | Mapping[str, Any]) -> float:
    """IoU by pycocotools, an umpire that is neither side."""
    return float(coco_mask.iou([dict(first)], [dict(second)], [0])[0, 0])


def best_matches(ours: Picture, theirs: list[dict[str, Any]]) -> list[float]:
    """For each of our objects the IoU with a library's object of the same class, each of which is used once."""
    left, ious = list(theirs), []
    for item in ours.items:
        assert item.mask is not None
        same = [(mask_iou(item.mask, x["rle"]), k) for k, x in enumerate(left) if x["label"] == item.label]
        assert same, f"{ours.file_name}: no {item.label} left for object {item.id}"
        iou, k = max(same)
        del left[k]
        ious.append(iou)
    assert not left, f"{ours.file_name}: {len(left)} objects too many"
    return ious


def areas(found: Dataset) -> dict[int, int]:
    return {key: area(item.mask) for key, item in items_by_id(found).items() if item.mask is not None}


def foreign_python(variable: str, folder: str) -> Path:
    """Python of an environment that a library needs for itself; skips where there is none."""
    given = os.environ.get(variable)
    path = Path(given) if given else Path(__file__).parents[3] / folder / "bin" / "python"
    if not path.is_file():
        pytest.skip(f"no {folder}: give the path of its python in {variable}, or make it as .ci/run does")
    return path


def ask(python: Path, reader: str, *arguments: object, home: Path) -> Any:
    """Run a script of ``readers/`` in a foreign environment; the JSON of its last line."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    settings = {"YOLO_CONFIG_DIR": home, "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, READERS / reader, *map(str, arguments)],
        env=known | {name: str(value) for name, value in settings.items()},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def as_train(found: Dataset, split: str = "") -> Dataset:
    """The same with all pictures in one split, for libraries that read one file."""
    pictures = tuple(replace(picture, split=split) for picture in found)
    return replace(found, pictures=lambda: iter(pictures))
