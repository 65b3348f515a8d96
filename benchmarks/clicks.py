"""A simulated annotator: where people click to correct a mask, on which objects.

The click goes to the largest connected error, to its place farthest from the error's border. Nobody clicks that
exactly, so by default the place is drawn among those at least half as far from the border.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.convert.plan import photo_folder
from app.evaluation.truth import Truth, image_rows, photos
from exporters.coco import CocoDocument
from exporters.masks import area
from exporters.runs import intersection
from labelers.photos import PhotoHeader
from labelers.protocol import Labeler
from labelers.records import RLE, Boxes
from labelers.vocabulary import Vocabulary

MOST_PER_PHOTO = 2
LEAST_AREA = 150
"""Objects of fewer pixels are left out: there a click is as large as the object."""


@dataclass(frozen=True)
class Subject:
    """One object whose mask needs correction.

    Attributes:
        header: the photo.
        box: xyxy float32 [4].
        name: its class.
        truth: the true mask.
        mask: what the labeler made of the box.
        tuning: it belongs to the photos that settings were chosen on, not to those for reporting.
    """

    header: PhotoHeader
    box: NDArray[np.float32]
    name: str
    truth: RLE
    mask: RLE
    tuning: bool


def shuffled_truths(dataset: Path, images: Path | None, *, skipped: list[str]) -> Iterator[Truth]:
    """The photos of a COCO file in a fixed random order; ``skipped`` hears of those that can't be used.

    Raises CocoError, UsageError.
    """
    document = CocoDocument.open(dataset)
    rows = image_rows(document, None)
    named = [document.images[row].file_name for row in rows]
    folder, _ = photo_folder(images, dataset.resolve().parent, named)
    np.random.default_rng(0).shuffle(rows)
    return photos(document, folder, rows, skipped=skipped)


def iou(a: RLE, b: RLE) -> float:
    shared = area(intersection(a, b))
    return shared / max(area(a) + area(b) - shared, 1)


def subjects(
    labeler: Labeler, truths: Iterable[Truth], *, low: float, high: float, limit: int, tick: Callable[[int], None]
) -> Iterator[Subject]:
    """Objects whose mask has an IoU between low and high, at most two a photo and half of them persons."""
    found = persons = 0
    for truth in truths:
        answers = labeler.open(truth.header.photo(str(truth.image_row))).masks(truth.boxes, Vocabulary())
        taken = 0
        for k, mask in enumerate(answers.masks):
            name = truth.boxes.names[k]
            wanted = mask is not None and truth.areas[k] >= LEAST_AREA and low <= iou(mask, truth.masks[k]) <= high
            if mask is None or not wanted or (name == "person" and persons > found / 2):
                continue
            # by file name, so that both halves stay the same whatever else is measured
            tuning = zlib.crc32(Path(truth.header.source).name.encode()) % 2 == 0
            yield Subject(truth.header, truth.boxes.xyxy[k], name, truth.masks[k], mask, tuning)
            found, taken, persons = found + 1, taken + 1, persons + (name == "person")
            tick(found)
            if found == limit:
                return
            if taken == MOST_PER_PHOTO:
                break


def next_click(
    mask: NDArray[np.bool_], truth: NDArray[np.bool_], generator: np.random.Generator | None
) -> tuple[int, int, bool] | None:
    """The pixel (x, y) to click and whether to include it; None for a perfect mask.

    Args:
        mask, truth: bool [height, width].
        generator: draws the place; None takes the one farthest from the error's border.
    """
    largest: tuple[int, NDArray[np.bool_], bool] | None = None
    for wrong, include in ((truth & ~mask, True), (mask & ~truth, False)):
        count, labels, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
        if count > 1:
            label = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
            pixels = int(stats[label, cv2.CC_STAT_AREA])
            if largest is None or pixels > largest[0]:
                largest = pixels, labels == label, include
    if largest is None:
        return None
    _, piece, include = largest
    depth = cv2.distanceTransform(np.pad(piece.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    places = np.flatnonzero(depth >= depth.max() / 2)
    place = depth.argmax() if generator is None else generator.choice(places)
    y, x = np.unravel_index(int(place), depth.shape)
    return int(x), int(y), include


def one_box(subject: Subject) -> Boxes:
    return Boxes(subject.box[None], (subject.name,))
