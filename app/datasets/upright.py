"""Labels in the frame of a rotated photo's stored pixels, turned into the frame that viewers and trainers show."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from app.errors import UsageError
from exporters.dataset import Dataset, Item, Picture
from labelers.frames import Frame, decide
from labelers.photos import PhotoError, read_header


@dataclass
class Turned:
    """What one walk did.

    Attributes:
        pictures: whose labels were turned.
        unclear: rotated photos whose size doesn't tell the frame (squares, half turns): left as they are.
        unseen: photos that could not be looked at: left as they are.
    """

    pictures: int = 0
    unclear: int = 0
    unseen: int = 0

    def notes(self) -> Iterator[str]:
        yield f"the labels of {self.pictures:,} rotated photos were turned upright"
        if self.unclear:
            yield f"{self.unclear:,} rotated photos of a size that tells no frame: their labels were left as they are"
        if self.unseen:
            yield f"{self.unseen:,} photos could not be opened: their labels were left as they are"


def upright(dataset: Dataset) -> tuple[Dataset, Turned]:
    """The data set with every picture in the frame of the upright photo, and counts of its latest walk.

    Width and height tell: labels of the size of the stored pixels, where that isn't the upright size, are turned.

    Raises:
        UsageError: the folder of the photos isn't known.
    """
    images = dataset.images
    if images is None:
        raise UsageError("--upright looks at the photos: give their folder with --images")
    turned = Turned()

    def pictures() -> Iterator[Picture]:
        turned.pictures = turned.unclear = turned.unseen = 0
        for picture in dataset:
            try:
                header = read_header(images, picture.file_name)
            except PhotoError:
                turned.unseen += 1
                yield picture
                continue
            frame = decide(header, picture.width, picture.height)
            if frame.orientation == 1:
                turned.unclear += header.orientation != 1 and (header.width, header.height) == (
                    header.raw_width,
                    header.raw_height,
                )
                yield picture
                continue
            turned.pictures += 1
            items = tuple(_item(item, frame) for item in picture.items)
            yield dataclasses.replace(picture, width=header.width, height=header.height, items=items)

    return dataclasses.replace(dataset, pictures=pictures), turned


def _item(item: Item, frame: Frame) -> Item:
    mask, box = item.mask, item.box
    if mask is not None and list(mask["size"]) == [frame.height, frame.width]:
        mask = frame.mask_to_upright(mask)
    if box is not None:
        x0, y0, x1, y1 = frame.boxes_to_upright(np.array([box]))[0].tolist()
        box = (x0, y0, x1, y1)
    return dataclasses.replace(item, mask=mask, box=box)
