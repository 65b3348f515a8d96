"""The JSON that Label Studio exports -> COCO, with the ids that it went out with.

A mask or box that is still the same leaves its annotation as it was. What was drawn in Label Studio gets a new id.
What was deleted there is left out, but only what had been exported: an annotation that never was in Label Studio stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from app.errors import UsageError
from exporters.label_studio import DATA_KEY, MASK_KEY, Thing, fingerprint, things_in
from exporters.masks import Form, area, box_xyxy, to_coco
from labelers.frames import Frame
from labelers.orientation import swaps_sides

Which = Literal["latest", "all"]
_NEAR = 0.51
"""Pixels by which a box may come back elsewhere without having been moved."""


@dataclass
class Imported:
    """One import.

    Attributes:
        images, categories: elements of a COCO file, by id as JSON text and by label.
        annotations: those of each image, in the order of its regions: the id as JSON text or None, whether something
            has changed, and the element (without an id where it is new).
        exported: for each image the ids that had been exported with it.
        problems: image or region, and why it could not be read.
    """

    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    categories: dict[str, dict[str, Any]] = field(default_factory=dict)
    annotations: dict[str, list[Entry]] = field(default_factory=dict)
    exported: dict[str, list[str]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)
    tasks: int = 0


@dataclass(frozen=True)
class Entry:
    """One annotation that came back.

    Attributes:
        key: its id as JSON text, None for a new one.
        label: its class.
        changed: its mask or box is another one than went out.
        values: its members, but for ``id`` and ``category_id`` of a new one.
    """

    key: str | None
    label: str
    changed: bool
    values: dict[str, Any]


def read_tasks(path: Path) -> list[Any]:
    """The list of tasks in a file that Label Studio exported. Raises UsageError: it is something else."""
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not readable as JSON ({error}); export again as JSON") from error
    if isinstance(found, dict) and "annotations" in found and "images" in found:
        raise UsageError(f"{path}: this is a COCO file already; give the file that Label Studio exported as JSON")
    if not isinstance(found, list):
        raise UsageError(f"{path}: no list of tasks; in Label Studio choose Export, JSON")
    if found and all(isinstance(task, dict) and "annotations" not in task and "data" not in task for task in found):
        raise UsageError(f"{path}: this is JSON-MIN, which lacks ids; in Label Studio choose Export, JSON")
    return found


def import_tasks(tasks: Sequence[Any], *, which: Which, predictions: bool, form: Form) -> Imported:
    """Read the tasks.

    Args:
        which: of several annotations of a task the one that counts (ground truth, else the newest), or all.
        predictions: take those of tasks that have no annotation.
        form: of segmentations, see ``exporters.masks.to_coco``.
    """
    done = Imported()
    for number, task in enumerate(tasks):
        named = f"task {task.get('id', number)}" if isinstance(task, dict) else f"element {number}"
        try:
            _task(task, named, done, which=which, predictions=predictions, form=form)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            done.problems.append((named, f"it is not as Label Studio writes tasks ({type(error).__name__}: {error})"))
    return done


def _task(task: Any, named: str, done: Imported, *, which: Which, predictions: bool, form: Form) -> None:
    ours = task["data"].get(DATA_KEY)
    ours = ours if isinstance(ours, Mapping) else {}
    results = list(_results(task, which=which, predictions=predictions))
    size = _size(results, ours)
    image = ours.get("image")
    if not isinstance(image, dict):
        image = {"id": task.get("id"), "file_name": file_name_of(task["data"])}
        if size is not None:
            image |= {"height": size[0], "width": size[1]}
    key = json.dumps(image.get("id"), ensure_ascii=False)
    if key in done.images:
        done.problems.append((named, f"image {key} has come before; export each task once"))
        return
    done.images[key] = image
    done.tasks += 1
    for label, category in (ours.get("categories") or {}).items():
        done.categories.setdefault(label, category)
    known: Mapping[str, Any] = ours.get("annotations") or {}
    entries: list[Entry] = []
    if results and size is not None:
        height, width = size
        orientation = int(ours.get("orientation") or 1)
        raw_height, raw_width = (width, height) if swaps_sides(orientation) else (height, width)
        frame = Frame(orientation, raw_height, raw_width)
        for result in results:
            read = things_in(result, height=height, width=width)
            done.problems += [(named, problem) for problem in read.problems]
            entries += [_entry(thing, frame, known, image.get("id"), form) for thing in read.things]
    # without an annotation nobody has looked at the task, so nothing was deleted
    done.exported[key] = list(known) if results else []
    done.annotations[key] = entries


def _entry(thing: Thing, frame: Frame, known: Mapping[str, Any], image_id: Any, form: Form) -> Entry:
    rest = dict(known.get(thing.key) or {}) if thing.key is not None else {}
    was = rest.pop(MASK_KEY, None)
    mask = frame.mask_from_upright(thing.mask) if thing.mask is not None else None
    box = frame.boxes_from_upright(np.array([thing.box]))[0] if thing.box is not None else None
    same = was == fingerprint(thing.mask) and (mask is not None or _is_near(box, rest.get("bbox")))
    values = {**rest, "image_id": image_id}
    if mask is not None:
        values["segmentation"] = to_coco(mask, form=form)
        if not same:
            x0, y0, x1, y1 = (float(v) for v in box_xyxy(mask))
            values |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": area(mask)}
    elif box is not None and not same:
        x0, y0, x1, y1 = box.tolist()
        values |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0), "segmentation": []}
    values.setdefault("iscrowd", 0)
    return Entry(thing.key if thing.key in known else None, thing.label, not same, values)


def _is_near(box: Any, xywh: Any) -> bool:
    if box is None or not (isinstance(xywh, list) and len(xywh) == 4):
        return False
    x, y, w, h = (float(v) for v in xywh)
    return bool(np.abs(np.asarray(box) - [x, y, x + w, y + h]).max() <= _NEAR)


def _results(task: Mapping[str, Any], *, which: Which, predictions: bool) -> Iterator[list[Any]]:
    usable = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    usable.sort(
        key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or one.get("created_at") or ""))
    )
    if which == "latest":
        usable = usable[-1:]
    if not usable and predictions:
        usable = sorted(task.get("predictions") or [], key=lambda one: str(one.get("created_at") or ""))[-1:]
    for one in usable:
        yield one["result"]


def _size(results: Sequence[Sequence[Any]], ours: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the upright photo: as a region says it, else as the COCO file did."""
    for result in results:
        for region in result:
            height, width = region.get("original_height"), region.get("original_width")
            if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
                return height, width
    image = ours.get("image") or {}
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return (width, height) if swaps_sides(int(ours.get("orientation") or 1)) else (height, width)
    return None


def file_name_of(data: Mapping[str, Any]) -> str:
    """The name of the photo in the first address that a task holds."""
    for value in data.values():
        if isinstance(value, str) and ("/" in value or "." in value):
            parts = urlsplit(value)
            local = parse_qs(parts.query).get("d")
            if local:
                return local[-1]
            return unquote(parts.path.rpartition("/")[2] or value)
    return ""
