"""Label Studio's JSON as a data set, and a data set as tasks that Label Studio imports.

Of a task counts what a person said last (ground truth first, cancelled ones never), else the newest prediction.
Masks are written as brush regions, which hold every pixel; where outlines may be simplified (``tolerance``), as
polygons, one for each island, with bridges to their holes. What Label Studio has no field for rides in the task's data
under ``openseed_label`` and comes back with the ids of the regions, also after annotators have corrected them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from exporters.coco_dataset import place, placed
from exporters.coco_elements import (
    dump,
    item_json,
    label_ids,
    label_json,
    picture_json,
)
from exporters.coco_sniff import ends_of
from exporters.dataset import Dataset, FormatError, Holds, Item, Picture, WriteOptions, Written
from exporters.files import replacing
from exporters.label_studio import DATA_KEY, MASK_KEY, config_xml, fingerprint, region_id, things_in
from exporters.label_studio_regions import Shape, rectangle_region, regions_of
from exporters.label_studio_tasks import DATA_ATTRIBUTE, Tasks, address
from exporters.masks import area
from exporters.outlines import iou
from exporters.problems import OnProblem

HOLDS = Holds()

FILE, CONFIG = "tasks.json", "label_config.xml"
_DEFAULTS = WriteOptions()
_OWN_ID = re.compile(r"(?!coco-|new-)[A-Za-z0-9_-]{1,40}")


def matches(path: Path) -> bool:
    head, _tail = ends_of(path / FILE if path.is_dir() else path)
    if path.is_dir() and (path / CONFIG).is_file() and re.fullmatch(rb"\[\s*\]\s*", head):
        return True  # our folder without a task
    if not re.match(rb"\[\s*\{", head):
        return False
    return b'"from_name"' in head or (b'"data"' in head and (b'"annotations"' in head or b'"predictions"' in head))


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open the JSON that Label Studio exports ("JSON", not "JSON-MIN"), or a folder with ``tasks.json``.

    The file is read once for the labels, and again task by task while walking.

    Args:
        images: folder of the photos; needed for tasks that say nothing of their photo's size.

    Raises:
        FormatError: no list of tasks; without ``on_problem`` also for every bad task or region, while walking.
    """
    tasks = Tasks(path / FILE if path.is_dir() else path, images, on_problem)
    return Dataset(str(tasks.path), tuple(tasks.labels.values()), len(tasks.spans), tasks.pictures, images)


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULTS) -> Written:
    """Write tasks (``out`` ends in .json) with the labeling config beside them (.xml), or a folder with both.

    Pictures whose objects all have scores become predictions, others annotations.

    Raises:
        FormatError: photos are to be copied beside a single file; an object's label is unknown.
        OSError: the output can't be written.
    """
    written = Written()
    shape: Shape = "polygon" if options.tolerance > 0 else "brush"
    ids = label_ids(dataset.labels)
    labels = {label.name: {"id": ids[label.name], **label_json(label)} for label in dataset.labels}
    config = config_xml(list(labels), [shape, "rectangle"]).encode()
    with placed(out, options, FILE) as (file, folder):
        file.write(b"[")
        for picture in dataset:
            task = _task(picture, labels, shape, options, written, first=written.pictures == 0)
            file.write((b",\n" if written.pictures else b"\n") + dump(task))
            place(picture, dataset, folder, options, written)
            written.pictures += 1
            options.on_picture()
        file.write(b"\n]\n")
        if folder is not None:
            (folder / CONFIG).write_bytes(config)
    if out.suffix.lower() == ".json":
        with replacing(out.with_suffix(".xml")) as beside:
            beside.write(config)
    written.notes.append(
        "photos are addressed as local files (/data/local-files/?d=NAME): set LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT "
        f"to their folder; use the config in {out.with_suffix('.xml').name if out.suffix else CONFIG} for the project"
    )
    return written


def _task(
    picture: Picture,
    labels: Mapping[str, Mapping[str, Any]],
    shape: Shape,
    options: WriteOptions,
    written: Written,
    *,
    first: bool,
) -> dict[str, Any]:
    regions: list[dict[str, Any]] = []
    rides: dict[str, Any] = {}
    used: set[str] = set()
    for k, item in enumerate(picture.items):
        if item.label not in labels:
            raise FormatError(f"{picture.file_name}: the label {item.label!r} is not among the labels")
        key, region = _names(item, k, used)
        drawn = _regions(item, region, picture, shape, options, written)
        if not drawn:
            continue
        used.add(region)
        mask = things_in(drawn, height=picture.height, width=picture.width).things[0].mask
        if shape == "polygon" and item.mask is not None:
            written.iou(iou(item.mask, mask) if mask is not None else 0.0)
        ride = item_json(replace(item, mask=None)) if item.box is not None else item_json(item)
        ride.pop("segmentation"), ride.pop("area")
        rides[key] = {"id": item.id, **ride, MASK_KEY: fingerprint(mask)}
        regions += drawn
        written.items += 1
    own = picture.attributes.get(DATA_ATTRIBUTE)
    data = dict(own) if isinstance(own, Mapping) and own else {"image": address(picture.file_name)}
    image = {"id": picture.id, **picture_json(picture)}
    image.pop(DATA_ATTRIBUTE, None)
    # Where all classes are, also those without an object: with the first task.
    there = labels if first else {item.label: labels[item.label] for item in picture.items}
    data[DATA_KEY] = {"image": image, "orientation": 1, "annotations": rides, "categories": there}
    scores = [item.score for item in picture.items if item.score is not None]
    if picture.items and len(scores) == len(picture.items):
        mean = sum(scores) / len(scores)
        return {"data": data, "predictions": [{"model_version": "imported", "score": mean, "result": regions}]}
    return {"data": data, "annotations": [{"result": regions}]}


def _names(item: Item, number: int, used: set[str]) -> tuple[str, str]:
    """The key of what rides along, and the id of the region. Ids of Label Studio's own stay as they are."""
    if isinstance(item.id, str) and _OWN_ID.fullmatch(item.id) and item.id not in used:
        return str(item.id), str(item.id)
    if item.id is not None:
        key = json.dumps(item.id)
        if region_id(key) not in used:
            return key, region_id(key)
    return f"new-{number}", f"new-{number}"


def _regions(
    item: Item, region: str, picture: Picture, shape: Shape, options: WriteOptions, written: Written
) -> list[dict[str, Any]]:
    height, width = picture.height, picture.width
    if item.mask is not None and area(item.mask) > 0:
        if list(item.mask["size"]) != [height, width]:
            raise FormatError(f"{picture.file_name}: a mask has the size {item.mask['size']}, not that of the picture")
        drawn = regions_of(
            item.mask,
            shape=shape,
            label=item.label,
            from_name=shape,
            to_name="image",
            region_id=region,
            score=item.score,
            simplify=options.tolerance,
        )
        for one in drawn:
            del one["origin"]
        return drawn
    x0, y0, x1, y1 = item.box or (0.0, 0.0, 0.0, 0.0)
    if min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
        written.drop("objects without a mask whose box has no size or lies outside the photo")
        return []
    drawn_box = rectangle_region(
        (x0, y0, x1, y1),
        height=height,
        width=width,
        label=item.label,
        from_name="rectangle",
        to_name="image",
        region_id=region,
    )
    return [drawn_box if item.score is None else {**drawn_box, "score": item.score}]
