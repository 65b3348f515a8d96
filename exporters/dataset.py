"""What every format reads into and writes from: photos with objects, one photo at a time.

A ``Dataset`` is a list of labels and a stream of ``Picture``; nothing of the size of the whole data set is held. Boxes
are xyxy float pixels of the picture's own frame (``width`` x ``height`` as the file says); masks are COCO RLEs at that
size. A format module has ``HOLDS`` (what it can carry), ``read`` and ``write``; ``exporters.formats`` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelers.records import RLE


class FormatError(ValueError):
    """A file can't be read or written; the message names file, place and remedy."""


@dataclass(frozen=True)
class Label:
    """One class.

    Attributes:
        name: as the file writes it; unique within a data set.
        id: its number or text there; None where the format has none.
        is_thing: countable; False for stuff.
        supercategory: empty where there is none.
        extra: what else the file says of it, kept for the same format.
    """

    name: str
    id: int | str | None = None
    is_thing: bool = True
    supercategory: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One object on one picture.

    Attributes:
        label: a label's name.
        box: x0, y0, x1, y1; None where only the mask is known.
        mask: at the picture's size; None where only the box is known.
        id: of the annotation, as the file has it.
        crowd: a group that could not be taken apart (COCO ``iscrowd``).
        score: in [0, 1], of a prediction; None for what a person drew.
        group: objects (islands) with the same group belong together; None where the format knows none.
        attributes: what else the file says (occluded, state, ...).
    """

    label: str
    box: tuple[float, float, float, float] | None = None
    mask: RLE | None = None
    id: int | str | None = None
    crowd: bool = False
    score: float | None = None
    group: int | str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """One photo.

    Attributes:
        file_name: relative to the folder of the photos, with ``/``; sub-folders are kept.
        width, height: pixels of the frame of boxes and masks.
        items: its objects, in file order.
        id: as the file has it.
        split: ``train``, ``val``, ``test`` or another name; empty where the data set has no splits.
        attributes: what else the file says of it.
    """

    file_name: str
    width: int
    height: int
    items: tuple[Item, ...] = ()
    id: int | str | None = None
    split: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A data set, read when it is walked through.

    Attributes:
        source: where it came from, for messages.
        labels: all classes, in the file's order.
        count: number of pictures, for progress; -1 where unknown.
        pictures: returns a new walk through all pictures. Raises FormatError on a picture that can't be read, unless
            ``on_problem`` was given to ``read``.
        images: folder of the photos; None where it isn't known.
        info: what the file says of the whole set (licences, description).
    """

    source: str
    labels: tuple[Label, ...]
    count: int
    pictures: Callable[[], Iterator[Picture]]
    images: Path | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Picture]:
        return self.pictures()


@dataclass(frozen=True)
class Holds:
    """What a format can carry. False means: lost on the way, and counted before writing.

    Attributes:
        boxes: a box of its own, beside the mask; False: it is the mask's.
        masks: regions at all.
        exact: every pixel of a mask; False: outlines (``outline_iou`` says how near).
        holes, islands: masks with holes; masks of several parts as one object.
        overlap: pixels that belong to two objects.
        instances: single objects; False: classes of pixels only.
        crowds, scores, ids, stuff, attributes, splits, subfolders, empty: as their names say; ``stuff``: the difference
            between things and stuff; ``empty``: pictures without objects.
        label_ids: numbers of classes; False: they are counted anew from ``first_label_id``.
        supercategories, picture_ids: as their names say.
    """

    boxes: bool = True
    masks: bool = True
    exact: bool = True
    holes: bool = True
    islands: bool = True
    overlap: bool = True
    instances: bool = True
    crowds: bool = True
    scores: bool = True
    ids: bool = True
    stuff: bool = True
    attributes: bool = True
    splits: bool = True
    subfolders: bool = True
    empty: bool = True
    label_ids: bool = True
    supercategories: bool = True
    picture_ids: bool = True
    first_label_id: int = 0


@dataclass(frozen=True)
class WriteOptions:
    """How a data set is written.

    Attributes:
        copy_images: put the photos into the output folder (``link``: hard links where possible; ``none``).
        tolerance: outlines are simplified by at most so many pixels; 0 = not at all.
        on_picture: called after each picture, for progress.
    """

    copy_images: str = "none"
    tolerance: float = 0.0
    on_picture: Callable[[], object] = lambda: None


@dataclass
class Written:
    """What was written, and what it cost.

    Attributes:
        pictures, items: numbers.
        dropped: reason -> how many items or pictures could not be written at all.
        ious: IoU of masks that were written as outlines, as (sum, number, smallest).
        notes: what the reader of the files has to know.
    """

    pictures: int = 0
    items: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    ious: tuple[float, int, float] = (0.0, 0, 1.0)
    notes: list[str] = field(default_factory=list)

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def iou(self, value: float) -> None:
        """Count the IoU between a mask and the outline that was written for it."""
        total, number, least = self.ious
        self.ious = (total + value, number + 1, min(least, value))
