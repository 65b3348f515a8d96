"""Protocol ``semantic``: one class for each pixel. Mean IoU, mean accuracy, pixel accuracy, IoU by frequency.

Truth comes from PNGs whose value is the class, or from whatever ``app.evaluation.panoptic`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from app.evaluation.panoptic import Segmented
from app.evaluation.task import Answer, Need, PhotoAt, Result, Source
from labelers.frames import ExifMode, decide
from labelers.orientation import array_to_upright
from labelers.paths import find_photo
from labelers.photos import MAX_PIXELS, PhotoError, PhotoHeader
from labelers.vocabulary import Vocabulary

IGNORED = -1
"""In a true map: nobody knows what is there; the pixel doesn't count."""

Labels = NDArray[np.int32]


@dataclass
class Confusion:
    """Pixels by true and found label. The last column counts pixels for which no class was found."""

    classes: int
    pixels: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.pixels = np.zeros((self.classes, self.classes + 1), np.int64)

    def add(self, true: Labels, found: Labels) -> None:
        """Two maps [H, W]. Raises ValueError for different sizes."""
        if true.shape != found.shape:
            raise ValueError(f"the true map is {true.shape}, the found one {found.shape}")
        counts = true >= 0
        given = found[counts].astype(np.int64)
        given[(given < 0) | (given >= self.classes)] = self.classes
        width = self.classes + 1
        pairs = np.bincount(true[counts].astype(np.int64) * width + given, minlength=self.classes * width)
        self.pixels += pairs.reshape(self.classes, width)

    def numbers(self) -> tuple[dict[str, float | None], NDArray[np.float64], NDArray[np.float64]]:
        """Over all classes, and IoU and accuracy by class, float64 [classes]; NaN where a class never was true.

        A class that was found but never true counts as IoU 0 in the mean.
        """
        right = np.diagonal(self.pixels).astype(np.float64)
        true, found = self.pixels.sum(axis=1), self.pixels.sum(axis=0)[:-1]
        union = true + found - right
        total = float(true.sum())
        if not total:
            nothing = np.full(self.classes, np.nan)
            return dict.fromkeys(("mIoU", "mean accuracy", "pixel accuracy", "IoU by frequency")), nothing, nothing
        iou = np.where(true > 0, right / np.maximum(union, 1), np.nan)
        accuracy = np.where(true > 0, right / np.maximum(true, 1), np.nan)
        numbers: dict[str, float | None] = {
            "mIoU": float(np.nansum(iou) / (union > 0).sum()),
            "mean accuracy": float(np.nanmean(accuracy)),
            "pixel accuracy": float(right.sum() / total),
            "IoU by frequency": float(np.nansum(iou * true) / total),
        }
        return numbers, iou, accuracy


@dataclass
class SemanticTask:
    """mIoU and its relatives."""

    source: Source[Labels]
    vocabulary: Vocabulary
    name: str = "semantic"
    notes: tuple[str, ...] = ()
    _counts: Confusion = field(init=False)
    _photos: int = 0

    needs = frozenset[Need]({"semantic"})
    top = 1

    def __post_init__(self) -> None:
        self._counts = Confusion(len(self.vocabulary.entries))

    @property
    def photos(self) -> tuple[PhotoAt, ...]:
        return self.source.photos

    def add(self, index: int, header: PhotoHeader, answer: Answer) -> None:
        true = self.source.read(index, header)
        assert answer.scene is not None
        assert answer.scene.semantic is not None
        try:
            self._counts.add(true, answer.scene.semantic)
        except ValueError as error:
            raise PhotoError(header.source, str(error), "give the photo that was annotated") from error
        self._photos += 1

    def result(self) -> Result:
        numbers, iou, accuracy = self._counts.numbers()
        true = self._counts.pixels.sum(axis=1)
        share = true / max(float(true.sum()), 1.0)
        by_class: dict[str, dict[str, float | None]] = {
            self.vocabulary.names[k]: {"IoU": float(iou[k]), "accuracy": float(accuracy[k]), "share": float(share[k])}
            for k in np.argsort(-true, kind="stable").tolist()
            if true[k]
        }
        return Result(self.name, self._photos, numbers, by_class, self.notes)


def labels_of(source: Source[Segmented]) -> Source[Labels]:
    """A panoptic truth as classes; void is ignored, a crowd is of its class."""

    def read(index: int, header: PhotoHeader) -> Labels:
        true = source.read(index, header)
        made = np.full(true.ids.shape, IGNORED, np.int32)
        for key, label in true.labels.items():
            made[true.ids == key] = label
        return made

    return Source(source.photos, read)


def label_pngs(
    photos: Sequence[PhotoAt],
    pngs: Sequence[tuple[Path, str]],
    *,
    labels: Mapping[int, int],
    exif: ExifMode = "auto",
    fit: bool = False,
) -> Source[Labels]:
    """One PNG for each photo; its pixel values are classes.

    Args:
        pngs: folder and file name for each photo.
        labels: pixel value -> place in the vocabulary; other values are ignored.
        fit: stretch labels of another size to the photo's, each pixel taking the nearest value.
    """
    table = np.full(65536, IGNORED, np.int32)
    for value, label in labels.items():
        table[value] = label

    def read(index: int, header: PhotoHeader) -> Labels:
        values = read_values(*pngs[index])
        if fit and values.shape != (header.height, header.width):
            rows = (np.arange(header.height) + 0.5) * values.shape[0] / header.height
            columns = (np.arange(header.width) + 0.5) * values.shape[1] / header.width
            return table[values[rows.astype(np.intp)[:, None], columns.astype(np.intp)[None]]]
        frame = decide(header, values.shape[1], values.shape[0], exif)
        if values.shape != (frame.height, frame.width):
            raise PhotoError(
                header.source,
                f"the photo is {frame.width} x {frame.height}, its labels {values.shape[1]} x {values.shape[0]}",
                "give the photo that was annotated",
            )
        return np.ascontiguousarray(array_to_upright(table[values], frame.orientation))

    return Source(tuple(photos), read)


def read_values(folder: Path, file_name: str) -> NDArray[np.int64]:
    """The values of a PNG of one channel (8 or 16 bits, or a palette), [H, W]. Raises PhotoError."""
    source, remedy = str(folder / file_name), "give PNGs of one channel whose values are classes"
    try:
        path = find_photo(folder, file_name)
    except PhotoError as error:
        raise PhotoError(source, error.reason, "check the folder of the label PNGs") from error
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PhotoError(source, f"{image.width} x {image.height} pixels are too many", "shrink it")
            if image.mode not in ("L", "P", "I", "I;16", "1"):
                raise PhotoError(source, f"mode {image.mode} is no map of classes", remedy)
            values = np.asarray(image).astype(np.int64)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise PhotoError(source, f"it can't be read as PNG ({error})", remedy) from error
    if values.size and (values.min() < 0 or values.max() > 65535):
        raise PhotoError(source, "values beyond 65535", remedy)
    return values
