"""What a data set has that a format can't hold: counted in one walk, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pycocotools import mask as coco_mask

from exporters.dataset import Dataset, Holds, Item, Picture
from exporters.formats import FORMATS, STORED, load
from exporters.mask_shape import parts_and_holes
from exporters.masks import area, box_xyxy
from labelers.records import RLE

# A mask's own box and the one beside it may differ by rounding.
_SAME_BOX = 1.0

_WORDS = {
    "masks": ("mask becomes a box", "masks become boxes"),
    "boxes": ("box is replaced by that of its mask", "boxes are replaced by those of their masks"),
    "bare_boxes": ("object has a box but no mask: left out", "objects have a box but no mask: left out"),
    "exact": ("mask becomes an outline", "masks become outlines"),
    "holes": ("mask has holes, which outlines can only hint at", "masks have holes, which outlines can only hint at"),
    "islands": ("mask of several parts is taken apart or joined", "masks of several parts are taken apart or joined"),
    "overlap": ("picture has overlapping objects: one wins", "pictures have overlapping objects: one wins"),
    "instances": ("object is merged into its class", "objects are merged into their classes"),
    "crowds": ("crowd is left out or becomes a plain object", "crowds are left out or become plain objects"),
    "scores": ("score is lost", "scores are lost"),
    "ids": ("annotation id is lost", "annotation ids are lost"),
    "picture_ids": ("photo id is lost", "photo ids are lost"),
    "label_ids": ("class gets another number", "classes get other numbers"),
    "supercategories": ("class loses its supercategory", "classes lose their supercategories"),
    "stuff": ("class of stuff becomes a class of things", "classes of stuff become classes of things"),
    "attributes": ("object loses its attributes", "objects lose their attributes"),
    "splits": ("picture loses its split", "pictures lose their splits"),
    "subfolders": ("picture in a sub-folder is renamed", "pictures in sub-folders are renamed"),
    "empty": ("picture without objects is left out", "pictures without objects are left out"),
}


@dataclass(frozen=True)
class Loss:
    """One kind of thing that is lost.

    Attributes:
        kind: a field of ``Holds``, or ``bare_boxes``.
        count: how many.
        keep: a format that would keep it; empty where none does.
    """

    kind: str
    count: int
    keep: str = ""

    def __str__(self) -> str:
        words = _WORDS[self.kind][self.count != 1]
        hint = f": use --to {self.keep} to keep them" if self.keep else ""
        return f"{self.count:,} {words}{hint}"


@dataclass
class Census:
    """What a data set is made of, as far as one format is concerned.

    Attributes:
        pictures, items: numbers in it.
        counts: kind of loss -> number.
    """

    pictures: int = 0
    items: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, kind: str, number: int = 1) -> None:
        if number:
            self.counts[kind] = self.counts.get(kind, 0) + number


def take_census(dataset: Dataset, to: str, *, on_picture: Callable[[], object] = lambda: None) -> Census:
    """Walk through all pictures and count what the format ``to`` has no place for. Raises what the walk raises."""
    census = Census()
    holds, masks_only = load(to).HOLDS, FORMATS[to].masks_only
    if not holds.stuff:
        census.add("stuff", sum(1 for label in dataset.labels if not label.is_thing))
    if not holds.supercategories:
        census.add("supercategories", sum(1 for label in dataset.labels if label.supercategory))
    if not holds.label_ids:
        numbered = enumerate(dataset.labels, holds.first_label_id)
        census.add("label_ids", sum(1 for number, label in numbered if label.id not in (None, number)))
    for picture in dataset:
        census.pictures += 1
        census.items += len(picture.items)
        for kind in _of_picture(picture, holds):
            census.add(kind)
        for item in picture.items:
            if masks_only and item.mask is None and item.box is not None:
                census.add("bare_boxes")
            else:
                for kind in _of_item(item, holds):
                    census.add(kind)
        on_picture()
    return census


def losses(census: Census, *, to: str) -> tuple[Loss, ...]:
    """The census as losses, in the order of the table above, each with a format that would keep it."""
    return tuple(Loss(kind, census.counts[kind], _keeper(kind, to)) for kind in _WORDS if census.counts.get(kind))


def _of_picture(picture: Picture, holds: Holds) -> Iterator[str]:
    if not holds.picture_ids and picture.id is not None:
        yield "picture_ids"
    if not holds.splits and picture.split:
        yield "splits"
    if not holds.subfolders and "/" in picture.file_name:
        yield "subfolders"
    if not holds.empty and not picture.items:
        yield "empty"
    if holds.masks and not holds.overlap and _overlaps([item.mask for item in picture.items if item.mask is not None]):
        yield "overlap"


def _of_item(item: Item, holds: Holds) -> Iterator[str]:
    mask = item.mask
    if mask is not None and not holds.masks:
        yield "masks"
    elif mask is not None:
        yield from _of_mask(mask, holds)
    if item.box is not None and mask is not None and not holds.boxes and not _same_box(item.box, mask):
        yield "boxes"
    if item.crowd and not holds.crowds:
        yield "crowds"
    if item.score is not None and not holds.scores:
        yield "scores"
    if item.id is not None and not holds.ids:
        yield "ids"
    if item.attributes and not holds.attributes:
        yield "attributes"
    if not holds.instances:
        yield "instances"


def _of_mask(mask: RLE, holds: Holds) -> Iterator[str]:
    if not holds.exact:
        yield "exact"
    if holds.holes and holds.islands:
        return
    parts, holes = parts_and_holes(mask)
    if holes and not holds.holes:
        yield "holes"
    if parts > 1 and not holds.islands:
        yield "islands"


def _overlaps(masks: list[RLE]) -> bool:
    sizes = {tuple(mask["size"]) for mask in masks}
    if len(masks) < 2 or len(sizes) != 1:
        return False
    return bool(sum(map(area, masks)) > int(coco_mask.area(coco_mask.merge(masks))))


def _same_box(box: tuple[float, float, float, float], mask: RLE) -> bool:
    return all(abs(a - b) <= _SAME_BOX for a, b in zip(box, box_xyxy(mask).tolist(), strict=True))


def _keeper(kind: str, to: str) -> str:
    """The first format of the table that has a place for it."""
    for name in STORED:
        if name == to:
            continue
        try:
            if not FORMATS[name].masks_only if kind == "bare_boxes" else getattr(load(name).HOLDS, kind):
                return name
        except (ImportError, ValueError):  # not installed
            continue
    return ""
