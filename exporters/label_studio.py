"""Label Studio's JSON: tasks with regions <-> objects with ids, labels, masks and boxes.

Regions have ids, and Label Studio keeps them when annotators correct regions. So the id of a COCO annotation rides in
the id of its region (``coco-12``; islands of a polygon ``coco-12.1``, ...), and what Label Studio has no field for in
the task's data, which nobody edits, under ``openseed_label``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

from exporters.coco_records import PROVENANCE_KEY, Category
from exporters.label_studio_regions import RegionError, Shape, box_of, mask_of, rectangle_region, regions_of
from exporters.runs import union
from labelers.records import RLE

DATA_KEY = PROVENANCE_KEY
"""Ours among the keys of a task's data."""

MASK_KEY = "mask"
"""There, in what rides along of an annotation: the fingerprint of its mask."""

TAGS: Mapping[Shape, str] = {
    "brush": "BrushLabels",
    "bitmask": "BitmaskLabels",
    "polygon": "PolygonLabels",
    "rectangle": "RectangleLabels",
}
_ID = re.compile(r"coco-(?:(-?\d+)|x([A-Za-z0-9_-]+))(?:\.\d+)?")
_ISLAND = re.compile(r"(.+)\.\d+")


@dataclass(frozen=True)
class Thing:
    """One object on one photo.

    Attributes:
        key: id of the COCO annotation as JSON text; None for what was drawn in Label Studio.
        region: id of the region, without an island's number.
        label: its class.
        mask: at the size of the upright photo, None where there is only a box.
        box: xyxy pixels of the upright photo, None where there is only a mask.
    """

    key: str | None
    region: str
    label: str
    mask: RLE | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass
class Read:
    """What a task holds: the things, and one sentence for each region that could not be read."""

    things: list[Thing] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def labels_of(categories: Sequence[Category]) -> list[str]:
    """One label for each category: its name, with the id behind it where another category has the same."""
    names = [category.name for category in categories]
    return [
        category.name
        if names.count(category.name) == 1 and category.name
        else f"{category.name} ({category.id})".strip()
        for category in categories
    ]


def config_xml(labels: Sequence[str], shapes: Sequence[Shape]) -> str:
    """A labeling config with a control for each shape, named after it, on an image tag called ``image``."""
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    for shape in shapes:
        smart = ' smart="true"' if shape == "rectangle" else ""
        lines.append(f'  <{TAGS[shape]} name="{shape}" toName="image"{smart}>')
        lines += [f"    <Label value={quoteattr(label)}/>" for label in labels]
        lines.append(f"  </{TAGS[shape]}>")
    return "\n".join([*lines, "</View>"]) + "\n"


def region_id(key: str) -> str:
    """The id of the region of a COCO annotation. ``key``: its id as JSON text."""
    if re.fullmatch(r"-?\d+", key):
        return f"coco-{key}"
    return "coco-x" + base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def key_of(region: str) -> str | None:
    """The other way round: the annotation's id as JSON text, None for a region that has none."""
    match = _ID.fullmatch(region)
    if match is None:
        return None
    if match[1] is not None:
        return match[1]
    try:
        key = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4)).decode()
        json.loads(key)
    except ValueError:
        return None
    return key


def fingerprint(mask: RLE | None) -> str:
    """Tells whether a mask came back as it went out; empty for none."""
    return hashlib.sha256(mask["counts"]).hexdigest()[:16] if mask is not None else ""


def result_of(things: Sequence[Thing], *, height: int, width: int, shape: Shape) -> list[dict[str, Any]]:
    """The regions of a photo: masks in the given shape, boxes without a mask as rectangles.

    Polygons keep every corner, so that they are the same masks when they come back.
    """
    result: list[dict[str, Any]] = []
    for thing in things:
        if thing.mask is not None:
            regions = regions_of(
                thing.mask, shape=shape, label=thing.label, from_name=shape, to_name="image", region_id=thing.region
            )
            for region in regions:
                del region["origin"]
            result += regions
        elif thing.box is not None:
            result.append(
                rectangle_region(
                    thing.box,
                    height=height,
                    width=width,
                    label=thing.label,
                    from_name="rectangle",
                    to_name="image",
                    region_id=thing.region,
                )
            )
    return result


def things_in(result: Sequence[Any], *, height: int, width: int) -> Read:
    """What the regions are: islands joined, a box beside a mask of the same id merged into it.

    Regions of other kinds (key points, texts, choices) are passed over.
    """
    found: dict[str, Thing] = {}
    read = Read()
    for region in result:
        kind = str(region.get("type", "")) if isinstance(region, Mapping) else ""
        if kind.removesuffix("labels") not in ("brush", "bitmask", "polygon", "rectangle", "ellipse"):
            continue
        try:
            thing = _thing(region, kind, height=height, width=width)
        except RegionError as error:
            read.problems.append(str(error))
            continue
        if thing is None:
            read.problems.append(f"region {str(region.get('id', ''))!r}: it covers no pixel")
            continue
        known = found.get(thing.region)
        found[thing.region] = thing if known is None else _merged(known, thing)
    read.things += found.values()
    return read


def _thing(region: Mapping[str, Any], kind: str, *, height: int, width: int) -> Thing | None:
    name = str(region.get("id", ""))
    labels = region["value"].get(kind) if isinstance(region.get("value"), Mapping) else None
    label = labels[0] if isinstance(labels, list) and labels and isinstance(labels[0], str) else ""
    if not label:
        raise RegionError(f"region {name[:40]!r}: it has no label")
    match = _ISLAND.fullmatch(name)
    base = match[1] if match is not None and kind == "polygonlabels" else name
    if kind == "rectanglelabels" and not region["value"].get("rotation"):
        return Thing(key_of(name), name, label, box=box_of(region, height=height, width=width))
    mask = mask_of(region, height=height, width=width)
    return None if mask is None else Thing(key_of(name), base, label, mask=mask)


def _merged(first: Thing, second: Thing) -> Thing:
    if first.mask is not None and second.mask is not None:
        return Thing(first.key, first.region, first.label, union(first.mask, second.mask), first.box or second.box)
    return Thing(first.key, first.region, first.label, first.mask or second.mask, first.box or second.box)
