"""A labeler for tests: real masks by a fixed rule, and failures on demand."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

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
