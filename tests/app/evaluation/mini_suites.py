"""Miniature data sets in the layouts of the real ones, from painted scenes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from truth_teller import HEIGHT, WIDTH, Painted, save_jpg

from exporters import masks
from exporters.coco_panoptic import PanopticCategory, PanopticWriter, describe_segments


def coco_json(
    path: Path,
    scenes: Mapping[str, Painted],
    categories: Mapping[str, int],
    *,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    category_fields: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Instances of the classes in ``categories`` (name -> id). ``fields``: file name -> more image fields."""
    images, annotations = [], []
    for k, (name, scene) in enumerate(scenes.items(), start=1):
        more = (fields or {}).get(name, {})
        images.append({"id": k, "file_name": name, "width": WIDTH, "height": HEIGHT, **more})
        for key, label in scene.names.items():
            if label in categories:
                rle = masks.encode(scene.ids == key)
                x0, y0, x1, y1 = masks.box_xyxy(rle).tolist()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": k,
                        "category_id": categories[label],
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": masks.area(rle),
                        "iscrowd": 0,
                        "segmentation": masks.to_coco(rle, form="rle"),
                    }
                )
    listed = [{"id": i, "name": name, **(category_fields or {}).get(name, {})} for name, i in categories.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": listed}))
    return path


def panoptic_json(
    path: Path, pngs: Path, scenes: Mapping[str, Painted], categories: Mapping[str, int], stuff: set[str]
) -> Path:
    listed = [PanopticCategory(i, name, name not in stuff) for name, i in categories.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with PanopticWriter(path, pngs, listed) as writer:
        for k, (name, scene) in enumerate(scenes.items(), start=1):
            classes = {key: categories[label] for key, label in scene.names.items()}
            writer.add(k, name, scene.ids, describe_segments(scene.ids, classes))
    return path


def photos(folder: Path, scenes: Mapping[str, Painted]) -> None:
    for k, name in enumerate(scenes):
        save_jpg(folder / name, seed=k)


def class_map(scene: Painted, values: Mapping[str, int], *, ignored: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[H, W] of pixel values by class."""
    made = np.full(scene.ids.shape, ignored, np.int64)
    for key, name in scene.names.items():
        made[scene.ids == key] = values[name]
    return made
