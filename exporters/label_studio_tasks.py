"""The tasks of a Label Studio export, read one at a time into pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import numpy as np

from exporters.coco_elements import (
    is_score,
    item_of,
    labels_of,
    picture_attributes,
    side,
    source_id,
    split_of,
)
from exporters.coco_records import CocoError
from exporters.coco_tables import Source
from exporters.dataset import FormatError, Item, Label, Picture
from exporters.json_stream import JsonError, Kind, scan
from exporters.label_studio import DATA_KEY, MASK_KEY, Thing, fingerprint, things_in
from exporters.masks import box_xyxy
from exporters.photo_files import checked_name, photo_size
from exporters.problems import OnProblem, complain

DATA_ATTRIBUTE = "label_studio_data"
"""Attribute of a picture: the task's own data, where it holds more than the photo's address."""

_NEAR = 0.51
"""Pixels by which a box may come back elsewhere without having been moved."""


def address(name: str) -> str:
    """What a task says of a photo that Label Studio serves from a folder."""
    return "/data/local-files/?d=" + quote(name)


class Tasks:
    """An open file: where its tasks lie, its labels, and base names that several photos share."""

    def __init__(self, path: Path, images: Path | None, on_problem: OnProblem) -> None:
        self.path, self.images, self.on_problem = path, images, on_problem
        self.spans: list[tuple[int, int]] = []
        self.labels: dict[str, Label] = {}
        addresses: set[str] = set()
        try:
            self.source = Source(path)
            for item in scan(path, self.source.file):
                if item.kind is Kind.DOCUMENT and item.value is not list:
                    raise FormatError(f"{path}: no list of tasks; in Label Studio choose Export, JSON")
                if item.kind is Kind.ELEMENT and item.key is None:
                    self.spans.append((item.start, item.end))
                    self._look(item.value)
                    addresses.add(_photo_path(item.value)[0])
        except (CocoError, JsonError) as error:
            raise FormatError(f"{error}; export again from Label Studio as JSON") from error
        counts = Counter(address.rpartition("/")[2] for address in addresses)
        self.shared = {name for name, count in counts.items() if count > 1}

    def _look(self, task: Any) -> None:
        """Learn the labels of a task, in order of appearance."""
        for name, raw in _mapping(_ours(task).get("categories")).items():
            if isinstance(raw, Mapping) and name not in self.labels:
                self.labels[name] = replace(labels_of([raw])[0], name=name)
        for region in _result(task)[0]:
            value = _mapping(region.get("value")) if isinstance(region, Mapping) else {}
            found = value.get(str(region.get("type"))) if value else None
            if value and str(region.get("type")).endswith("labels") and isinstance(found, list):
                for name in found[:1]:
                    if isinstance(name, str) and name:
                        self.labels.setdefault(name, Label(name))

    def pictures(self) -> Iterator[Picture]:
        for number, span in enumerate(self.spans):
            where = f"{self.path}: task {number}"
            try:
                task = json.loads(self.source.read(*span))
                if not isinstance(task, dict) or not isinstance(task.get("data"), Mapping):
                    raise FormatError(f'{where}: it has no "data"; in Label Studio choose Export, JSON (not JSON-MIN)')
                picture = self._picture(task, where)
            except (FormatError, RecursionError, UnicodeDecodeError) as error:
                complain(self.on_problem, str(error))
                continue
            yield picture
        try:
            self.source.check_unchanged()
        except CocoError as error:
            raise FormatError(str(error)) from error

    def _picture(self, task: Mapping[str, Any], where: str) -> Picture:
        ours, data = _ours(task), task["data"]
        image = _mapping(ours.get("image"))
        result, predicted, score = _result(task)
        name = image.get("file_name") or self._file_name(task)
        name = checked_name(name, where=where)
        height, width = self._size(result, ours, name, where)
        rest = {key: value for key, value in data.items() if key != DATA_KEY}
        attributes = picture_attributes(image)
        if rest != {"image": address(name)}:
            attributes[DATA_ATTRIBUTE] = rest
        read = things_in(result, height=height, width=width)
        for problem in read.problems:
            complain(self.on_problem, f"{where}: {problem}")
        own = _details(result)
        upright = ours.get("orientation") in (None, 1)
        rides = _mapping(ours.get("annotations"))
        items = []
        for thing in read.things:
            ride = _mapping(rides.get(thing.key if thing.key is not None else thing.region))
            item = _item(thing, ride, own.get(thing.region, {}), upright=upright, height=height, width=width)
            items.append(replace(item, score=score) if predicted and item.score is None else item)
        key = source_id(image) if image else source_id(task)
        return Picture(name, width, height, tuple(items), key, split_of(image), attributes)

    def _file_name(self, task: Mapping[str, Any]) -> str:
        path, local = _photo_path(task)
        base = path.rpartition("/")[2]
        return path if local or base in self.shared else base

    def _size(self, result: Sequence[Any], ours: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
        """Height and width of the upright photo."""
        for region in result:
            if isinstance(region, Mapping):
                height, width = side(region.get("original_height")), side(region.get("original_width"))
                if height is not None and width is not None and height * width < 2**31:
                    return height, width
        image = _mapping(ours.get("image"))
        height, width = side(image.get("height")), side(image.get("width"))
        if height is not None and width is not None:
            return (width, height) if ours.get("orientation") in (5, 6, 7, 8) else (height, width)
        if self.images is None:
            raise FormatError(
                f"{where}: nothing tells the size of {name!r}; give the folder of the photos with --images"
            )
        return photo_size(self.images, name, where=where)


def _item(
    thing: Thing, ride: Mapping[str, Any], own: Mapping[str, Any], *, upright: bool, height: int, width: int
) -> Item:
    raw = {key: value for key, value in ride.items() if key not in (MASK_KEY, "segmentation")}
    try:
        base: Item = item_of(raw, thing.label, height=height, width=width)
    except ValueError:  # nothing rides along, or someone changed it
        base = Item(thing.label)
    box = base.box if upright else None
    if thing.mask is not None:
        unchanged = ride.get(MASK_KEY) == fingerprint(thing.mask)
        if box is None or not unchanged:
            x0, y0, x1, y1 = (float(v) for v in box_xyxy(thing.mask))
            box = thing.box or (x0, y0, x1, y1)
    elif box is None or thing.box is None or not _near(thing.box, box, height, width):
        box = thing.box
    key: Any = thing.region or None
    if "id" in ride:
        key = source_id(ride)
    elif thing.key is not None:
        key = source_id({"id": json.loads(thing.key)})
    return Item(
        label=thing.label,
        box=box,
        mask=thing.mask,
        id=key,
        crowd=base.crowd,
        score=own.get("score", base.score),
        group=own.get("group", base.group),
        attributes={**base.attributes, **own.get("attributes", {})},
    )


def _near(found: Sequence[float], before: Sequence[float], height: int, width: int) -> bool:
    """Whether a rectangle is the box that was written, which was cut to the photo."""
    limit = np.array([width, height, width, height])
    return bool(np.abs(np.asarray(found) - np.clip(before, 0, limit)).max() <= _NEAR)


def _details(result: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """By region: score, group (``parentID``) and attributes (``meta``, and what per-region controls say)."""
    found: dict[str, dict[str, Any]] = {}
    for region in result:
        if not isinstance(region, Mapping):
            continue
        one = found.setdefault(str(region.get("id", "")), {"attributes": {}})
        if is_score(region.get("score")):
            one["score"] = float(region["score"])
        if isinstance(region.get("parentID"), str):
            one["group"] = region["parentID"]
        if region.get("meta"):
            one["attributes"]["meta"] = region["meta"]
        kind, name = region.get("type"), region.get("from_name")
        if kind in ("choices", "textarea", "number", "rating", "taxonomy", "datetime") and isinstance(name, str):
            one["attributes"][name] = _mapping(region.get("value")).get("text" if kind == "textarea" else str(kind))
    return found


def _result(task: Any) -> tuple[Sequence[Any], bool, float | None]:
    """The regions that count, whether they are a prediction, and its score."""
    if not isinstance(task, Mapping):
        return [], False, None
    for kind in ("annotations", "predictions"):
        listed = task.get(kind)
        usable = [
            one
            for one in (listed if isinstance(listed, list) else [])
            if isinstance(one, Mapping) and isinstance(one.get("result"), list) and not one.get("was_cancelled")
        ]
        if usable:
            newest = max(usable, key=lambda one: (bool(one.get("ground_truth")), str(_time(one))))
            score = newest.get("score")
            return newest["result"], kind == "predictions", float(score) if is_score(score) else None
    return [], False, None


def _time(one: Mapping[str, Any]) -> Any:
    return one.get("updated_at") or one.get("created_at") or ""


def _ours(task: Any) -> Mapping[str, Any]:
    return _mapping(_mapping(_mapping(task).get("data")).get(DATA_KEY))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _photo_path(task: Any) -> tuple[str, bool]:
    """The path in the first address of the task's data, and whether it is below the root of local files.

    Of photos on a server or in a bucket only the base name is used, unless several photos have the same.
    """
    for key, value in _mapping(_mapping(task).get("data")).items():
        if key != DATA_KEY and isinstance(value, str) and ("/" in value or "." in value):
            try:
                parts = urlsplit(value)
                local = parse_qs(parts.query).get("d")
            except ValueError:
                continue
            if local:
                return local[-1].strip("/"), True
            return unquote(parts.path if parts.scheme or "%" in value else value).strip("/"), False
    return "", False
