"""The types of a COCO panoptic data set: what ``exporters.coco_panoptic`` reads and ``coco_panoptic_writer`` writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from exporters.coco import CocoError

MAX_PIXELS = 200_000_000
"""Of one PNG, as for photos."""

MAX_ID = 256**3 - 1


class PanopticError(CocoError):
    """The JSON or a PNG can't be used; the message names file, field and remedy."""


@dataclass(frozen=True, slots=True)
class PanopticCategory:
    """One class: its id in the file, its name, and whether it comes in instances."""

    id: int
    name: str
    isthing: bool


@dataclass(frozen=True, slots=True)
class PanopticSegment:
    """One region of one photo.

    Attributes:
        id: value of its pixels in the PNG, from 1.
        category_id: id of its class.
        iscrowd: a group whose members are not told apart.
        area: its pixels; 0 where the file doesn't say.
        bbox: x, y, width, height in pixels, as in the file.
        score: of predictions; None for truth.
    """

    id: int
    category_id: int
    iscrowd: bool
    area: int
    bbox: tuple[float, float, float, float]
    score: float | None = None


@dataclass(frozen=True, slots=True)
class PanopticImage:
    """One photo: its id, its file, the PNG with the ids, its size in pixels and the segments.

    Attributes:
        partial: not everything in the photo is marked.
        annotated: names of the classes that are marked completely; None where the file doesn't say.
    """

    image_id: int | str
    file_name: str
    png: str
    height: int
    width: int
    segments: tuple[PanopticSegment, ...]
    partial: bool = False
    annotated: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PanopticFile:
    """A whole JSON, images in file order. Images without an element in ``annotations`` are left out."""

    path: Path
    images: tuple[PanopticImage, ...]
    categories: tuple[PanopticCategory, ...]
