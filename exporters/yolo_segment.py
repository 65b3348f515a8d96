"""YOLO outlines: ``class x0 y0 x1 y1 ...``, shares of the picture's size, in the layout of Ultralytics.

A line is one ring and one object. Holes and islands therefore hang on bridges of no width (``exporters.outlines``):
filled by the even-odd or the non-zero rule, the ring covers exactly the mask's pixels. A mask in several lines would be
several objects to every trainer. Measured, with the reason for the choice, in docs/formats.md.

An object without a mask is left out: Ultralytics refuses pictures that mix boxes and outlines. Crowds are left out, as
its own converter does. Lines of five numbers are read as boxes; an even number of columns ends with a score.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters import yolo_labels
from exporters.dataset import Dataset, Holds, Item, Picture, WriteOptions, Written
from exporters.masks import area
from exporters.outlines import bridged, has_holes, iou, islands, mask_of, outlines, simplified

HOLDS = Holds(
    boxes=False,
    crowds=False,
    scores=False,
    ids=False,
    stuff=False,
    attributes=False,
    label_ids=False,
    supercategories=False,
    picture_ids=False,
)

_DEFAULT = WriteOptions()


def matches(path: Path) -> bool:
    return yolo_labels.has_outlines(path) is True


def read(path: Path, *, images: Path | None = None, on_problem: Callable[[str], object] | None = None) -> Dataset:
    """Open ``data.yaml`` or its folder. Raises FormatError."""
    return yolo_labels.read(path, masks=True, images=images, on_problem=on_problem)


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULT) -> Written:
    """Write the folder ``out``. Raises FormatError and OSError."""
    joined = [0]

    def outline(item: Item, picture: Picture, written: Written) -> NDArray[np.float64] | str:
        if item.crowd:
            return "crowds, which YOLO has no place for"
        if item.mask is None:
            return "objects without a mask (use yolo-detect for boxes)"
        if item.mask["size"] != [picture.height, picture.width]:
            return "masks of another size than their picture"
        if area(item.mask) == 0:
            return "masks without a pixel"
        rings = simplified(outlines(item.mask), options.tolerance)
        joined[0] += has_holes(rings) or islands(rings) > 1
        ring = bridged(rings)
        written.iou(iou(item.mask, mask_of([ring], *item.mask["size"])) if options.tolerance > 0 else 1.0)
        return yolo_labels.shares(ring, picture)

    written = yolo_labels.write(dataset, out, options, outline)
    if joined[0]:
        written.notes.append(
            f"{joined[0]} masks with holes or islands are one ring each, joined by bridges of no width; programs that "
            "draw a polygon's line as well as its inside show a bridge one pixel wide"
        )
    return written
