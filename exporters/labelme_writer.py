"""Writing LabelMe's JSON files: see ``exporters.labelme`` for what stands in them."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from PIL import Image

from exporters.atomic import building
from exporters.dataset import Dataset, Item, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy, window
from exporters.outlines import has_holes, iou, mask_of, outlines, simplified
from exporters.photo_files import UniqueNames, place_photo
from labelers.records import RLE

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "5.5.0"
LABELS_FILE = "labels.txt"

_DEFAULT = WriteOptions()


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULT) -> Written:
    """Write the folder ``out``. Raises FormatError and OSError."""
    written = Written()
    unique = UniqueNames()
    with building(out) as folder:
        for picture in dataset:
            name = unique(picture.file_name, suffix=".json")
            photo = name[: -len(".json")] + PurePosixPath(picture.file_name).suffix
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            data = _file(picture, PurePosixPath(photo).name, options.tolerance, written)
            file.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf-8", newline="\n")
            reason = place_photo(dataset.images, picture.file_name, folder / photo, options.copy_images)
            if reason is not None:
                written.drop(reason)
            written.pictures += 1
            options.on_picture()
        lines = "".join(f"{label.name}\n" for label in dataset.labels)
        (folder / LABELS_FILE).write_text(lines, encoding="utf-8", newline="\n")
    written.notes += unique.notes()
    if options.copy_images == "none":
        written.notes.append("the photos were not copied; LabelMe looks for each beside its JSON file")
    return written


def _file(picture: Picture, photo: str, tolerance: float, written: Written) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = []
    groups = Counter((item.label, item.group) for item in picture.items)
    island = max((item.group for item in picture.items if _is_number(item.group)), default=0)
    for item in picture.items:
        found = list(_shapes(item, picture, tolerance, written))
        if len(found) > 1:
            island += 1
        for shape in found:
            shape["group_id"] = island if len(found) > 1 else None
        if len(found) == 1 and _is_number(item.group) and groups[item.label, item.group] == 1:
            found[0]["group_id"] = found[0].pop("group")
        shapes += found
        written.items += bool(found)
    flags = picture.attributes.get("flags")
    return {
        "version": VERSION,
        "flags": flags if isinstance(flags, dict) else {},
        "shapes": shapes,
        "imagePath": photo,
        "imageData": None,
        "imageHeight": picture.height,
        "imageWidth": picture.width,
    }


def _is_number(group: object) -> TypeGuard[int]:
    return isinstance(group, int) and not isinstance(group, bool)


def _shapes(item: Item, picture: Picture, tolerance: float, written: Written) -> Iterator[dict[str, Any]]:
    mask = item.mask
    if mask is not None and (mask["size"] != [picture.height, picture.width] or area(mask) == 0):
        written.drop("masks without a pixel, or of another size than their picture")
        mask = None
    if mask is None:
        if item.box is None or not np.isfinite(item.box).all():
            written.drop("objects without a box or a mask")
            return
        x0, y0, x1, y1 = item.box
        yield {**_common(item), "shape_type": "rectangle", "points": [[x0, y0], [x1, y1]], "mask": None}
        return
    common = _common(item)
    if item.box is not None and item.box != tuple(box_xyxy(mask).tolist()):
        common["bbox"] = list(item.box)
    rings = simplified(outlines(mask), tolerance)
    if has_holes(rings):
        written.iou(1.0)
        yield {**common, "shape_type": "mask", **_png(mask)}
        return
    written.iou(iou(mask, mask_of(rings, *mask["size"])) if tolerance > 0 else 1.0)
    for ring in rings:
        points = [[float(x), float(y)] for x, y in ring.points.tolist()]
        yield {**common, "shape_type": "polygon", "points": points, "mask": None}


def _common(item: Item) -> dict[str, Any]:
    attributes = dict(item.attributes)
    description, flags = attributes.pop("description", ""), attributes.pop("flags", {})
    extra = {
        "id": item.id,
        "score": item.score,
        "iscrowd": int(item.crowd) or None,
        "group": item.group,
        "attributes": attributes or None,
    }
    return {
        "label": item.label,
        "group_id": None,
        "description": description if isinstance(description, str) else "",
        "flags": flags if isinstance(flags, dict) else {},
        **{key: value for key, value in extra.items() if value is not None},
    }


def _png(mask: RLE) -> dict[str, Any]:
    """Points of the first and last pixel, and the PNG of what lies between them."""
    crop, x0, y0 = window(mask)
    out = io.BytesIO()
    Image.fromarray(crop.astype(np.uint8) * 255).save(out, "PNG")
    height, width = crop.shape
    corners = [[float(x0), float(y0)], [float(x0 + width - 1), float(y0 + height - 1)]]
    return {"points": corners, "mask": base64.b64encode(out.getvalue()).decode("ascii")}
