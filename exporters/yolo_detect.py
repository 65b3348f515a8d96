"""YOLO boxes: ``class cx cy w h``, shares of the picture's size, in the layout of Ultralytics.

An object with a mask and no box is written with the mask's box. Boxes are cut to the picture, because Ultralytics
leaves a picture out whose numbers exceed 1. Crowds are left out, as its own converter does: a box around a crowd would
be trained as one object. Lines with outlines are read as the boxes around them; a sixth number is a score.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exporters import yolo_labels
from exporters.dataset import Dataset, Holds, Item, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy

HOLDS = Holds(
    masks=False,
    exact=False,
    holes=False,
    islands=False,
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
    return yolo_labels.has_outlines(path) is not None


def read(path: Path, *, images: Path | None = None, on_problem: Callable[[str], object] | None = None) -> Dataset:
    """Open ``data.yaml`` or its folder. Raises FormatError."""
    return yolo_labels.read(path, masks=False, images=images, on_problem=on_problem)


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULT) -> Written:
    """Write the folder ``out``. Raises FormatError and OSError."""
    return yolo_labels.write(dataset, out, options, _box)


def _box(item: Item, picture: Picture, written: Written) -> NDArray[np.float64] | str:
    if item.crowd:
        return "crowds, which YOLO has no place for"
    if item.box is None and (item.mask is None or area(item.mask) == 0):
        return "objects without a box or a mask"
    box = item.box if item.box is not None or item.mask is None else box_xyxy(item.mask)
    corners: NDArray[np.float64] = np.array(box, np.float64).reshape(2, 2)
    if not np.isfinite(corners).all():
        return "boxes that are not finite"
    corners = yolo_labels.shares(corners, picture)
    size = corners[1] - corners[0]
    if not (size > 0).all():
        return "boxes without a size inside the picture"
    found: NDArray[np.float64] = np.concatenate([corners.mean(axis=0), size])
    return found
