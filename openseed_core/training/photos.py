"""Whole photos for training, and large-scale jitter (spec 8.1). Numpy only: no files, no torch modules.

A photo is mirrored, scaled to a random size, cut out where it is too large and padded where it is too small. Image,
boxes and masks go through one ``_View``, so they stay on each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PADDING = 128
"""Grey value of all channels beyond the photo."""


@dataclass(frozen=True)
class PhotoRecord:
    """One annotated photo. Pixels and masks are decoded when they are drawn, so that a big set fits into memory.

    Attributes:
        key: for messages: ``file.json: image 17 (a.jpg)``.
        pixels: returns uint8 RGB [H, W, 3].
        boxes: float32 [N, 4] xyxy pixels; of panoptic data the tight half-open box of the mask.
        labels: int64 [N], indices into the data set's names.
        mask: returns the mask of object k, uint8 0/1 [H, W]; None where there are boxes only.
        ignored: returns uint8 0/1 [H, W], crowds and regions without a label; None where there are none.
        annotated: int64, the classes of which every object of the photo is annotated; None = all, empty = none.
        unmasked: (boxes, labels) of objects without a mask in a photo whose others have one. They are targets
            ``without_masks``; with masks, their boxes are ignored.
    """

    key: str
    pixels: Callable[[], NDArray[np.uint8]]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    mask: Callable[[int], NDArray[np.uint8]] | None
    ignored: Callable[[], NDArray[np.uint8]] | None = None
    annotated: NDArray[np.int64] | None = None
    unmasked: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.labels), 4):
            raise ValueError(f"{self.key}: {len(self.labels)} labels but boxes of shape {list(self.boxes.shape)}")

    def without_masks(self) -> PhotoRecord:
        """The same photo as detection data: boxes and names only."""
        if self.unmasked is None:
            return replace(self, mask=None)
        return replace(
            self,
            mask=None,
            boxes=np.concatenate((self.boxes, self.unmasked[0])),
            labels=np.concatenate((self.labels, self.unmasked[1])),
            unmasked=None,
        )


@dataclass(frozen=True)
class PhotoSample:
    """What one step sees of a photo.

    Attributes:
        image: uint8 RGB [S, S, 3], ``PADDING`` right of and below the photo.
        size: (height, width) of the part that shows the photo.
        boxes: float32 [n, 4] xyxy network pixels; where there are masks, the tight half-open box of each.
        labels: int64 [n].
        masks: uint8 0/1 [n, S, S], or None: boxes only.
        annotated: as in the record.
        ignored: uint8 0/1 [S, S] where predictions should not be punished, or None; padding is not ignored.
    """

    image: NDArray[np.uint8]
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    masks: NDArray[np.uint8] | None
    annotated: NDArray[np.int64] | None
    ignored: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Jitter:
    """Large-scale jitter.

    Attributes:
        size: side S of the square network input in pixels.
        scale: the photo's longer side is brought to S x a number drawn uniformly from this range.
        flip: probability of a mirror image.
        empty: keep objects with a mask that were cropped away, with an empty mask and the box 0, 0, 0, 0. Objects
            without a mask are always dropped then.
    """

    size: int = 1024
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    empty: bool = True

    def __post_init__(self) -> None:
        if self.size < 1 or not 0 < self.scale[0] <= self.scale[1] or not 0 <= self.flip <= 1:
            raise ValueError(f"{self}: size and scale must be above 0, scale in order, flip from 0 to 1")


@dataclass(frozen=True)
class _View:
    """What is shown of a photo: mirrored if asked, scaled to ``full``, then ``shown`` pixels cut out from ``offset``.

    All pairs are (vertical, horizontal) in pixels; ``photo`` is the size of the photo itself.
    """

    photo: tuple[int, int]
    flip: bool
    full: tuple[int, int]
    offset: tuple[int, int]
    shown: tuple[int, int]
    side: int

    def image(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] -> uint8 [S, S, 3], bilinear, antialiased. Only what is shown is computed."""
        (top, bottom), (left, right) = (
            (at * whole / full, (at + part) * whole / full)
            for at, part, whole, full in zip(self.offset, self.shown, self.photo, self.full, strict=True)
        )
        if self.flip:
            left, right = self.photo[1] - right, self.photo[1] - left
        box = (max(left, 0.0), max(top, 0.0), min(right, self.photo[1]), min(bottom, self.photo[0]))
        height, width = self.shown
        part = np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, box=box))
        out = np.full((self.side, self.side, 3), PADDING, np.uint8)
        out[:height, :width] = part[:, ::-1] if self.flip else part
        return out

    def region(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """0/1 [H, W] -> uint8 0/1 [S, S]: the photo's pixel under the centre of each network pixel."""
        rows, columns = (
            ((np.arange(part) + at + 0.5) * (whole / full)).astype(np.intp).clip(0, whole - 1)
            for at, part, whole, full in zip(self.offset, self.shown, self.photo, self.full, strict=True)
        )
        if self.flip:
            columns = self.photo[1] - 1 - columns
        out = np.zeros((self.side, self.side), np.uint8)
        out[: self.shown[0], : self.shown[1]] = mask[rows][:, columns] != 0
        return out

    def boxes(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """xyxy photo pixels [N, 4] -> xyxy network pixels, cut to what is shown."""
        moved = boxes.astype(np.float64)
        if self.flip:
            moved[:, [0, 2]] = self.photo[1] - moved[:, [2, 0]]
        down, right = (full / whole for full, whole in zip(self.full, self.photo, strict=True))
        moved = moved * [right, down, right, down] - [self.offset[1], self.offset[0]] * 2
        return np.clip(moved, 0, [self.shown[1], self.shown[0]] * 2).astype(np.float32)


def draw_photo(record: PhotoRecord, jitter: Jitter, rng: np.random.Generator) -> PhotoSample:
    """Mirror, scale, cut out and pad one photo at random; the same generator state gives the same sample.

    Raises:
        ValueError: a mask has another size than the photo; the message names the photo. And what decoding the
            pixels or a mask raises.
    """
    pixels = record.pixels()
    view = _drawn((pixels.shape[0], pixels.shape[1]), jitter, rng)
    boxes, masks = view.boxes(record.boxes), None
    if record.mask is not None:
        masks = np.zeros((len(boxes), jitter.size, jitter.size), np.uint8)
        for k in range(len(boxes)):
            masks[k] = view.region(_checked(record.mask(k), view.photo, f"{record.key}: mask of object {k}"))
        boxes = tight_boxes(masks)
    seen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept = np.flatnonzero(seen | (jitter.empty and masks is not None))
    ignored = _ignored(record, view.photo)
    return PhotoSample(
        image=view.image(pixels),
        size=view.shown,
        boxes=boxes[kept],
        labels=record.labels[kept],
        masks=None if masks is None else masks[kept],
        annotated=record.annotated,
        ignored=None if ignored is None else view.region(ignored),
    )


def tight_boxes(masks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Half-open xyxy boxes, float32 [n, 4], of masks [n, H, W]; 0, 0, 0, 0 where a mask is empty."""
    found = np.zeros((len(masks), 4), np.float32)
    for k, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            found[k] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return found


def _drawn(photo: tuple[int, int], jitter: Jitter, rng: np.random.Generator) -> _View:
    flip = bool(rng.random() < jitter.flip)
    target = jitter.size * rng.uniform(*jitter.scale)
    place = rng.random()  # one for both axes: cut-outs lie on the diagonal (spec 8.1)
    ratio = min(target / photo[0], target / photo[1])
    height, width = (max(round(side * ratio), 1) for side in photo)
    y, x = (round(max(side - jitter.size, 0) * place) for side in (height, width))
    shown = (min(height, jitter.size), min(width, jitter.size))
    return _View(photo, flip, (height, width), (y, x), shown, jitter.size)


def _ignored(record: PhotoRecord, photo: tuple[int, int]) -> NDArray[np.uint8] | None:
    """uint8 0/1 [H, W]: the record's ignored region, and the boxes of objects that lack a mask."""
    found = None if record.ignored is None else _checked(record.ignored(), photo, f"{record.key}: ignored region")
    if record.unmasked is not None and len(record.unmasked[0]):
        found = np.zeros(photo, np.uint8) if found is None else found.copy()
        for x0, y0, x1, y1 in record.unmasked[0].clip(0).tolist():
            found[int(y0) : int(np.ceil(y1)), int(x0) : int(np.ceil(x1))] = 1
    return found


def _checked(mask: NDArray[np.uint8], photo: tuple[int, int], what: str) -> NDArray[np.uint8]:
    if mask.shape != photo:
        raise ValueError(f"{what} is {list(mask.shape)}, the photo is {list(photo)} (height, width); make them agree")
    return mask
