"""Complete photos that are annotated in part with a detector's boxes: detection data for the joint leg of ``nano``.

    python -m benchmarks.teacher_boxes --dataset train/annotations.json --images train/images \\
        --teacher nanodet_g_coco.npz --output runs/boxes/train.json

Kept are the boxes of COCO's 80 classes. Of classes that a photo doesn't have in full, the detector's sure finds are
added as boxes and its doubtful ones as crowds, which training ignores; after that no other place of the photo is
unknown. The output is a COCO file of boxes, ``"teacher": true`` at what no person drew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.ops import batched_nms
from tqdm import tqdm

from labelers.duplicates import box_iou
from labelers.named_vocabularies import named
from labelers.photos import open_photo
from openseed_core.config import nano
from openseed_core.preprocess import prepare
from openseed_core.training.nanodet_teacher import NanoDet

SIDE = 320
SURE, DOUBTFUL = 0.4, 0.3
SAME, NEAR = 0.5, 0.6
"""IoU from which a find is an annotated object; and from which the lesser of two finds of a class is dropped."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True, help="NanoDet-g .npz")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(arguments)
    document = json.loads(args.dataset.read_text("utf-8"))
    completed = complete(document, args.images, NanoDet(args.teacher))
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(completed))
    added = [a for a in completed["annotations"] if a.get("teacher")]
    crowds = sum(a["iscrowd"] for a in added)
    print(f"{len(completed['annotations'])} boxes, of them {len(added) - crowds} added and {crowds} to be ignored")


def complete(document: dict[str, Any], images: Path, teacher: NanoDet) -> dict[str, Any]:
    """The document with COCO's classes only, its photos completed."""
    names = named("coco-80").names
    of_id = {c["id"]: names.index(c["name"]) for c in document["categories"] if c["name"] in names}
    drawn: dict[int, list[dict[str, Any]]] = {}
    for annotation in document["annotations"]:
        if annotation["category_id"] in of_id and min(annotation["bbox"][2:]) > 0:
            drawn.setdefault(annotation["image_id"], []).append(annotation)
    annotations: list[dict[str, Any]] = []
    photos: list[dict[str, Any]] = []
    for image in tqdm(document["images"], unit="photo"):
        own = drawn.get(image["id"], [])
        rows = [(of_id[a["category_id"]], a["bbox"], int(a.get("iscrowd", 0)), False) for a in own]
        listed = image.get("annotated")
        full = set(names) if not image.get("partial") and listed is None else set(listed or ())
        if len(full & set(names)) < len(names):
            true = _xyxy([a["bbox"] for a in own])
            for k, box, score in finds(teacher, images / image["file_name"]):
                if names[k] in full or box_iou(box[None], true).max(initial=0.0) >= SAME:
                    continue
                x0, y0, x1, y1 = (float(v) for v in box)
                rows.append((k, [x0, y0, x1 - x0, y1 - y0], int(score < SURE), True))
        photos.append({key: image[key] for key in ("id", "file_name", "width", "height")})
        for k, bbox, crowd, added in rows:
            one = {"id": len(annotations) + 1, "image_id": image["id"], "category_id": k + 1, "bbox": bbox}
            annotations.append(
                {**one, "area": bbox[2] * bbox[3], "iscrowd": crowd, **({"teacher": True} if added else {})}
            )
    categories = [{"id": k + 1, "name": name, "supercategory": "coco"} for k, name in enumerate(names)]
    return {"images": photos, "annotations": annotations, "categories": categories}


def finds(teacher: NanoDet, path: Path) -> list[tuple[int, NDArray[np.float32], float]]:
    """(class, xyxy photo pixels, score) above ``DOUBTFUL``, each object once."""
    config = nano()
    photo = Image.fromarray(open_photo(path.parent, path.name, key=path.name).pixels())
    scale = SIDE / max(photo.size)
    width, height = (max(round(side * scale), 1) for side in photo.size)
    canvas = np.full((SIDE, SIDE, 3), 128, np.uint8)
    canvas[:height, :width] = np.asarray(photo.resize((width, height), Image.Resampling.BILINEAR))
    probabilities, boxes = teacher(prepare([canvas], mean=config.mean, std=config.std).pixels)
    cx, cy, w, h = (boxes[0] * SIDE / scale).unbind(-1)
    corners = torch.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), dim=-1)
    token, kind = (probabilities[0] >= DOUBTFUL).nonzero(as_tuple=True)
    scores = probabilities[0, token, kind]
    kept = batched_nms(corners[token], scores, kind, NEAR).tolist()
    return [(int(kind[at]), corners[token[at]].numpy(), float(scores[at])) for at in kept]


def _xyxy(bboxes: list[list[float]]) -> NDArray[np.float32]:
    xywh = np.array(bboxes, np.float32).reshape(-1, 4)
    return np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), axis=1)


if __name__ == "__main__":
    main()
