"""COCO -> tasks that Label Studio imports."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from exporters.coco import Annotations, CocoDocument, ImageRow
from exporters.files import replacing
from exporters.label_studio import (
    DATA_KEY,
    MASK_KEY,
    Thing,
    config_xml,
    fingerprint,
    labels_of,
    region_id,
    result_of,
)
from exporters.label_studio_regions import Shape
from exporters.masks import MaskError, from_coco
from labelers.frames import Frame, decide
from labelers.photos import PhotoError, read_header

Kind = Literal["annotations", "predictions"]


@dataclass
class Exported:
    """Counts, and what could not be exported: image or annotation, and why."""

    tasks: int = 0
    regions: int = 0
    problems: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """Where the photos are.

    Attributes:
        images: folder of the photos, None: they are not looked at, and boxes are taken as upright.
        address: what a task says of a photo, made from its file name.
    """

    images: Path | None
    address: Callable[[str], str]


def local_files_address(images: Path, root: Path) -> Callable[[str], str]:
    """Addresses of local files that Label Studio serves below ``root``. Raises ValueError: ``images`` is not in it."""
    inside = images.resolve().relative_to(root.resolve())
    return lambda name: "/data/local-files/?d=" + quote((inside / name).as_posix())


def prefixed_address(prefix: str) -> Callable[[str], str]:
    """Addresses of photos on a web server or in a bucket."""
    return lambda name: prefix + quote(name)


def export_tasks(
    document: CocoDocument,
    output: Path,
    *,
    places: Places,
    shape: Shape,
    kind: Kind,
    on_image: Callable[[int], object] = lambda count: None,
) -> Exported:
    """Write ``output`` (tasks) and the labeling config beside it (``output`` with the suffix .xml).

    Raises OSError: they can't be written.
    """
    done = Exported()
    labels = labels_of(document.categories)
    with replacing(output) as out:
        out.write(b"[")
        for task in _tasks(document, labels, places=places, shape=shape, kind=kind, done=done):
            out.write((b",\n" if done.tasks else b"\n") + json.dumps(task, ensure_ascii=False).encode())
            done.tasks += 1
            on_image(1)
        out.write(b"\n]\n")
    with replacing(output.with_suffix(".xml")) as out:
        shapes: list[Shape] = [shape, "rectangle"] if shape != "rectangle" else ["rectangle"]
        out.write(config_xml(labels, shapes).encode())
    return done


def _tasks(
    document: CocoDocument, labels: list[str], *, places: Places, shape: Shape, kind: Kind, done: Exported
) -> Iterator[dict[str, Any]]:
    for image in document.images:
        told = f"image {image.key} ({image.file_name})"
        try:
            frame = _frame(image, places.images)
        except (PhotoError, ValueError) as error:
            done.problems.append((told, str(error)))
            continue
        height, width = (
            (frame.width, frame.height) if frame.orientation in (5, 6, 7, 8) else (frame.height, frame.width)
        )
        found = document.annotations(image.row)
        things = list(_things(document, image, found, frame, labels, done))
        result = result_of(things, height=height, width=width, shape=shape)
        done.regions += len(result)
        data = {
            "image": places.address(image.file_name),
            DATA_KEY: {
                "image": json.loads(document.image_text(image.row)),
                "orientation": frame.orientation,
                "annotations": _rest(document, found, things),
                "categories": _categories(document, found, labels),
            },
        }
        holder: dict[str, Any] = {"result": result}
        if kind == "predictions":
            holder["model_version"] = "imported"
        yield {"data": data, kind: [holder]}


def _frame(image: ImageRow, images: Path | None) -> Frame:
    if images is not None:
        return decide(read_header(images, image.file_name), image.width, image.height)
    if image.width is None or image.height is None:
        raise ValueError("the JSON has no width and height for it; give the folder of the photos with --images")
    return Frame(1, image.height, image.width)


def _things(
    document: CocoDocument, image: ImageRow, found: Annotations, frame: Frame, labels: list[str], done: Exported
) -> Iterator[Thing]:
    for k, (row, key) in enumerate(zip(found.rows.tolist(), found.keys, strict=True)):
        category = int(found.category_rows[k])
        if category < 0:
            done.problems.append((f"annotation {key}", "its category is not in the file"))
            continue
        x, y, w, h = found.xywh[k].tolist()
        usable = np.isfinite([x, y, w, h]).all() and w > 0 and h > 0
        box = None
        if usable:
            x0, y0, x1, y1 = frame.boxes_to_upright(np.array([[x, y, x + w, y + h]]))[0].tolist()
            box = (x0, y0, x1, y1)
        mask = None
        try:
            if found.has_mask[k]:
                mask = from_coco(document.segmentation(row), frame.height, frame.width)
        except MaskError as error:
            done.problems.append((f"annotation {key}", str(error)))
            continue
        if mask is None and box is None:
            done.problems.append((f"annotation {key}", "it has neither a mask nor a box"))
            continue
        upright = frame.mask_to_upright(mask) if mask is not None else None
        yield Thing(key, region_id(key), labels[category], upright, box)


def _rest(document: CocoDocument, found: Annotations, things: list[Thing]) -> Mapping[str, Any]:
    """For each annotation that was exported all but its segmentation, and the mask's fingerprint instead."""
    masks = {thing.key: fingerprint(thing.mask) for thing in things}
    rest: dict[str, Any] = {}
    for row, key in zip(found.rows.tolist(), found.keys, strict=True):
        if key in masks:
            raw = document.raw_annotation(row)
            raw.pop("segmentation", None)
            rest[key] = {**raw, MASK_KEY: masks[key]}
    return rest


def _categories(document: CocoDocument, found: Annotations, labels: list[str]) -> Mapping[str, Any]:
    """The categories of a photo's annotations by their labels, as written."""
    rows = sorted({row for row in found.category_rows.tolist() if row >= 0})
    return {labels[row]: json.loads(document.category_text(row)) for row in rows}
