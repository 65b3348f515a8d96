"""A labeler for tests: real masks by a fixed rule, and failures on demand."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelers.protocol import CannotPropose, LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.rows import Window, label_each
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class FakeLabeler:
    """The ellipse inscribed in each box (cut to the photo); the score is the box's share of the photo.

    Attributes:
        fail_on: keys of photos whose ``open`` raises RuntimeError.
        memory_on: keys of photos whose ``masks`` raises MemoryError.
        empty_names: class names whose boxes come out empty.
        delay: seconds that each ``masks`` takes.
        opened: keys in the order they were opened (the pixels are decoded, as a model would).
    """

    fail_on: Collection[str] = ()
    memory_on: Collection[str] = ()
    empty_names: Collection[str] = ()
    delay: float = 0.0
    spec: LabelerSpec = field(default_factory=lambda: LabelerSpec("fake", "1"))
    opened: list[str] = field(default_factory=list)

    def open(self, photo: Photo) -> FakeOpened:
        self.opened.append(photo.key)
        if photo.key in self.fail_on:
            raise RuntimeError(f"told to fail on {photo.key}")
        return FakeOpened(self, photo.key, photo.pixels())


@dataclass(frozen=True)
class FakeOpened:
    labeler: FakeLabeler
    key: str
    pixels: NDArray[np.uint8] = field(repr=False)

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        time.sleep(self.labeler.delay)
        if self.key in self.labeler.memory_on:
            raise MemoryError
        height, width = self.pixels.shape[:2]

        def ellipse(box: NDArray[np.float32], name: str) -> Window | None:
            if name in self.labeler.empty_names:
                return None
            x0, y0, x1, y1 = (float(value) for value in box)
            left, top = int(x0), int(y0)
            ys, xs = np.mgrid[top : int(np.ceil(y1)), left : int(np.ceil(x1))] + 0.5
            radius_x, radius_y = (x1 - x0) / 2, (y1 - y0) / 2
            inside = ((xs - x0 - radius_x) / radius_x) ** 2 + ((ys - y0 - radius_y) / radius_y) ** 2 <= 1
            return Window(inside, left, top, (x1 - x0) * (y1 - y0) / (height * width))

        return label_each(boxes, height=height, width=width, label=ellipse)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        raise CannotPropose("the fake labeler needs boxes")


@dataclass(frozen=True)
class FakeFinder(FakeLabeler):
    """Finds one region for each class by its place in the vocabulary.

    Class k of the things is the ellipse in column k of the upper half (four columns); class k of the stuff is column k
    of the lower half. Scores are 1 / (k + 1.25) for k = 0, 1, ... over all classes: 0.8, 0.44, 0.31, 0.24, ...
    The name of a box is the class whose share of the width, one after the other, its centre lies in.
    """

    spec: LabelerSpec = field(default_factory=lambda: LabelerSpec("finder", "1", makes_boxes=True, uses_names=True))

    def open(self, photo: Photo) -> FakeFound:
        opened = super().open(photo)
        return FakeFound(self, opened.key, opened.pixels)


@dataclass(frozen=True)
class FakeFound(FakeOpened):
    """See ``FakeFinder``; the methods are those of ``labelers.protocol.SceneOpened``."""

    def _all(self, vocabulary: Vocabulary) -> Instances:
        height, width = self.pixels.shape[:2]
        places = {False: 0, True: 0}
        boxes = []
        for entry in vocabulary.entries:
            column = places[entry.stuff] % 4
            places[entry.stuff] += 1
            top = height // 2 if entry.stuff else 0
            boxes.append((column * width // 4, top, (column + 1) * width // 4, top + height // 2))
        found = self.masks(Boxes(np.array(boxes, np.float32).reshape(-1, 4), vocabulary.names), vocabulary)
        scores = np.array([1 / (k + 1.25) for k in range(len(boxes))], np.float32)
        return Instances(found.boxes, found.masks, scores, found.status, found.reasons)

    def _rows(self, found: Instances, rows: list[int]) -> Instances:
        picked = (tuple(column[k] for k in rows) for column in (found.masks, found.status, found.reasons))
        masks, status, reasons = picked
        return Instances(found.boxes[rows], masks, found.scores[rows], status, reasons)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        found = self._all(vocabulary)
        lowest = [0.3 if entry.threshold is None else entry.threshold for entry in vocabulary.entries]
        return self._rows(found, [k for k, score in enumerate(found.scores.tolist()) if score >= lowest[k]])

    def detections(self, vocabulary: Vocabulary, *, top: int | None = None) -> tuple[Boxes, NDArray[np.float32]]:
        found = self._all(vocabulary)
        things = [k for k, entry in enumerate(vocabulary.entries) if not entry.stuff][:top]
        return found.boxes[things], found.scores[things]

    def scene(
        self, vocabulary: Vocabulary, *, panoptic: bool = False, semantic: bool = False, top: int | None = None
    ) -> Any:
        from exporters.masks import decode
        from labelers.scene import PanopticMap, Scene, Segment

        found, sure = self._all(vocabulary), self.propose(vocabulary)
        ids = np.zeros(self.pixels.shape[:2], np.int32)
        labels = np.zeros(self.pixels.shape[:2], np.int32)
        segments = []
        for number, (name, mask) in enumerate(zip(sure.boxes.names, sure.masks, strict=True), start=1):
            entry = vocabulary.get(name)
            if mask is None or entry is None:
                continue
            ids[decode(mask)] = number
            labels[decode(mask)] = vocabulary.names.index(name)
            segments.append(Segment(number, name, not entry.stuff, float(sure.scores[number - 1])))
        return Scene(
            self._rows(found, list(range(len(found)))[:top]),
            PanopticMap(ids, tuple(segments)) if panoptic else None,
            labels if semantic else None,
        )

    def rank_names(self, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
        height, width = self.pixels.shape[:2]
        scores = np.full((len(boxes), len(vocabulary.entries)), 0.1, np.float32)
        for row, problem in enumerate(boxes.problems(height=height, width=width)):
            if problem is not None:
                scores[row] = np.nan
                continue
            centre = min(max((boxes.xyxy[row, 0] + boxes.xyxy[row, 2]) / 2, 0), width - 1)
            scores[row, int(centre * len(vocabulary.entries) / width)] = 0.9
        return scores
