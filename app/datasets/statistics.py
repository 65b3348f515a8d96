"""What a data set is made of: classes, sizes, the shape of its masks. One walk, numbers only."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.datasets.opening import Opened
from exporters.dataset import Dataset, Item, Picture
from exporters.mask_shape import parts_and_holes
from exporters.masks import area, box_xyxy
from labelers.windows import box_iou

SIZES = (("small", 32**2), ("medium", 96**2), ("large", float("inf")))
"""COCO's sizes: area in pixels below which an object is small or medium."""

TINY = 16
"""Pixels below which a mask is hardly an object."""

_APART = 0.8  # IoU of box and mask's box below which they are about different things


@dataclass
class LabelCount:
    """One class: photos that show it, objects, objects with a mask, and the sum of their areas in pixels."""

    photos: int = 0
    items: int = 0
    masks: int = 0
    area: float = 0.0


@dataclass
class Statistics:
    """The numbers of a data set.

    Attributes:
        source, format: what was counted.
        labels: class -> its numbers, in the data set's order.
        counts: pictures, items, masks, boxes only, neither, crowds, scored, empty pictures.
        sizes: small, medium, large -> objects.
        splits: split -> pictures.
        frames: (width, height) -> pictures.
        quality: about the masks, see ``QUALITY``.
        sides: square root of each object's area, pixels.
        per_photo: objects of each picture.
        fill: of each mask, its area over that of its own box.
        scores: of predictions.
        problems: what could not be read.
    """

    source: str
    format: str
    labels: dict[str, LabelCount]
    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    frames: Counter[tuple[int, int]] = field(default_factory=Counter)
    quality: Counter[str] = field(default_factory=Counter)
    sides: array[float] = field(default_factory=lambda: array("f"))
    per_photo: array[int] = field(default_factory=lambda: array("l"))
    fill: array[float] = field(default_factory=lambda: array("f"))
    scores: array[float] = field(default_factory=lambda: array("f"))
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def as_json(self) -> dict[str, Any]:
        """All but the single objects, ready for ``json.dump``."""
        return {
            "source": self.source,
            "format": self.format,
            **self.counts,
            "objects_per_photo": self.counts["items"] / max(self.counts["pictures"], 1),
            "classes": {name: vars(found) for name, found in self.labels.items()},
            "sizes": dict(self.sizes),
            "splits": dict(self.splits),
            "frames": [[*frame, number] for frame, number in self.frames.most_common(20)],
            "mask_quality": {**self.quality, "mean_fill": mean(self.fill)},
            "mean_score": mean(self.scores),
            "problems": {"count": self.problem_count, "messages": self.problems},
        }


QUALITY: Mapping[str, str] = {
    "several_parts": "of several parts",
    "with_holes": "with holes",
    "tiny": f"below {TINY} pixels",
    "empty": "without a pixel",
    "fills_its_box": "that fill their box: probably boxes, no masks",
    "apart_from_box": "that lie elsewhere than their box",
    "at_the_border": "that touch the border of the photo",
}


def mean(values: array[float]) -> float | None:
    return sum(values) / len(values) if len(values) else None


def count(opened: Opened, *, on_picture: Callable[[], object] = lambda: None) -> Statistics:
    """Walk through the data set once."""
    dataset: Dataset = opened.dataset
    found = Statistics(dataset.source, opened.format, {label.name: LabelCount() for label in dataset.labels})
    for key in ("pictures", "items", "masks", "boxes_only", "neither", "crowds", "scored", "empty_pictures"):
        found.counts[key] = 0
    for name, _ in SIZES:
        found.sizes[name] = 0
    for key in QUALITY:
        found.quality[key] = 0
    for picture in dataset:
        _add_picture(found, picture)
        on_picture()
    found.problems, found.problem_count = opened.problems.messages, opened.problems.count
    return found


def _add_picture(found: Statistics, picture: Picture) -> None:
    found.counts["pictures"] += 1
    found.counts["empty_pictures"] += not picture.items
    found.frames[picture.width, picture.height] += 1
    if picture.split:
        found.splits[picture.split] += 1
    found.per_photo.append(len(picture.items))
    for name in {item.label for item in picture.items}:
        found.labels.setdefault(name, LabelCount()).photos += 1
    for item in picture.items:
        _add_item(found, item, picture)


def _add_item(found: Statistics, item: Item, picture: Picture) -> None:
    label = found.labels[item.label]
    label.items += 1
    found.counts["items"] += 1
    found.counts["crowds"] += item.crowd
    if item.score is not None:
        found.counts["scored"] += 1
        found.scores.append(item.score)
    size = 0.0
    if item.mask is not None:
        found.counts["masks"] += 1
        label.masks += 1
        size = float(area(item.mask))
        _add_mask(found, item, picture, size)
    elif item.box is not None:
        found.counts["boxes_only"] += 1
        x0, y0, x1, y1 = item.box
        size = max(x1 - x0, 0.0) * max(y1 - y0, 0.0)
    else:
        found.counts["neither"] += 1
        return
    label.area += size
    found.sides.append(size**0.5)
    found.sizes[next(name for name, limit in SIZES if size < limit)] += 1


def _add_mask(found: Statistics, item: Item, picture: Picture, size: float) -> None:
    mask = item.mask
    assert mask is not None
    if not size:
        found.quality["empty"] += 1
        return
    parts, holes = parts_and_holes(mask)
    x0, y0, x1, y1 = own = tuple(box_xyxy(mask).tolist())
    fill = size / ((x1 - x0) * (y1 - y0))
    found.fill.append(fill)
    found.quality["several_parts"] += parts > 1
    found.quality["with_holes"] += holes > 0
    found.quality["tiny"] += size < TINY
    found.quality["fills_its_box"] += fill == 1.0 and size >= TINY
    found.quality["at_the_border"] += x0 <= 0 or y0 <= 0 or x1 >= picture.width or y1 >= picture.height
    found.quality["apart_from_box"] += item.box is not None and box_iou(item.box, own) < _APART
