"""A COCO file in which everything that the store must carry through stands, and ways to look at the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.store.coco_export import export_coco
from app.store.projects import Project
from exporters.masks import encode

ODD = r"""{"info": {"year": 2024, "é": 1e3, "contributor": "\u65e5"},
 "annotations" : [
  {"id": 7, "image_id": 1, "category_id": 5, "bbox": [10.0, 12.50, 2e1, 16], "iscrowd": 0,
   "x": {"z": [1, {"y": null}]}},
  {"id": "a-1", "image_id": "café", "category_id": "dog", "bbox": [1, 2, 30, 10], "area": 9.50},
  {"image_id": 1, "category_id": 5, "bbox": [3, 4, 5, 6]},
  {"id": 7, "image_id": 1, "category_id": 99, "bbox": [3, 4, 5, 6], "note": "its id stands twice, its class nowhere"},
  {"id": 12345678901234567890, "image_id": 1, "category_id": 5, "bbox": null, "segmentation": [[2, 2, 20, 2, 20, 30]]},
  {"id": 20, "image_id": 404, "category_id": 5, "bbox": [1, 1, 2, 2], "note": "no such image"},
  7,
  {"id": 21, "image_id": 3, "category_id": 6, "bbox": [0, 0, 9, 9], "iscrowd": 1,
   "segmentation": {"size": [48, 64], "counts": [48, 5, 3019]}},
  {"id": 22, "image_id": 3, "category_id": 6, "bbox": [4, 4, NaN, 9], "segmentation": [[1, 2, 3, 4, 5]]},
  {"id": 23, "image_id": 3, "category_id": 6, "bbox": [4, 4, 0, 9], "segmentation": {"size": [9, 9], "counts": "qqq"}},
  {"id": 24, "image_id": 2, "category_id": 6, "bbox": [4, 40, 10, 9],
   "segmentation": [[4.5, 40.5, 12.0, 41.0, 9.0, 48.5]]},
  {"id": 25, "image_id": 9, "category_id": 6, "bbox": [4, 4, 10, 9], "segmentation": [[4, 4, 9, 4, 9, 9, 4, 9, 5, 5]]},
  {"segmentation":[],"bbox":[5,6,7,8],"category_id":6.0,"image_id":3,"id":31,"\u0000":"\ud800"}
 ] , "licenses": [{"id": 1, "name": "x"}], "unknown": {"deep": [NaN, -Infinity, 1.0]},
 "images":[
  {"id":1,"file_name":"a.png","width":64,"height":48.0,"coco_url":"u","flickr":[1]},
  {"id":"café","file_name":"sub/b.png"},
  {"id": 2, "file_name": "raw6.png", "width": 64, "height": 48, "note": "orientation 6, boxes raw"},
  {"id": 3, "file_name": "up6.png", "width": 48, "height": 64, "note": "orientation 6, boxes upright"},
  {"id": 9, "file_name": "missing.png", "width": 64, "height": 48},
  {"id": 10, "file_name": "missing too.png"},
  {"file_name": "no id.png", "width": 64, "height": 48},
  {"id": 11, "file_name": "twin.png"}, {"id": 11, "file_name": "twin.png", "n": 2},
  "no object", {"id": 12, "file_name": "../../etc/passwd", "width": 1e300, "height": 3}
 ],
 "categories":[{"supercategory":"s","id":5,"name":"cat"},{"id":"dog","name":"dog"},{"id":6,"name":"cat"},
  {"id":6,"name":"last of its id"}, {"id": null, "name": "no id"}, {"id": [1], "name": ""}]}
"""


def save_odd(folder: Path) -> Path:
    """The file and its photos (a.png, sub/b.png, raw6.png, up6.png, no id.png, twin.png)."""
    for name in ("a.png", "sub/b.png", "no id.png", "twin.png"):
        photo(folder / name)
    photo(folder / "raw6.png", orientation=6)
    photo(folder / "up6.png", orientation=6)
    path = folder / "odd.json"
    path.write_text(ODD)
    return path


def photo(path: Path, *, width: int = 64, height: int = 48, orientation: int = 1) -> None:
    """Width and height are those of the stored pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, exif=exif)


def exported(project: Project, folder: Path, **options: Any) -> dict[str, Any]:
    """The project's COCO file, parsed."""
    path = folder / "exported.json"
    export_coco(project, path, **options)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def comparable(content: Any) -> str:
    """Parsed JSON as text that tells 1 from 1.0 and keeps key order, and where NaN equals NaN."""
    return json.dumps(content)


def rectangle(x0: int, y0: int, x1: int, y1: int, *, width: int = 64, height: int = 48) -> Any:
    """A filled rectangle as an RLE."""
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)
