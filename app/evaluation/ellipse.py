"""A baseline for evaluation: the ellipse inscribed in each box. What a mask is worth that never looks at the photo."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.protocol import CannotPropose, LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.rows import Window, label_each
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class EllipseLabeler:
    """Every pixel whose centre lies in the ellipse; the score is the ellipse's share of its box, pi / 4."""

    @property
    def spec(self) -> LabelerSpec:
        return LabelerSpec("ellipse", "1")

    def open(self, photo: Photo) -> _Opened:
        return _Opened(photo.height, photo.width)


@dataclass(frozen=True)
class _Opened:
    height: int
    width: int

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        return label_each(boxes, height=self.height, width=self.width, label=_ellipse)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        raise CannotPropose("an ellipse needs a box to be inscribed in")


def _ellipse(xyxy: NDArray[np.float32], name: str) -> Window:
    x0, y0, x1, y1 = (float(value) for value in xyxy)
    left, top = math.floor(x0), math.floor(y0)
    ys, xs = np.ogrid[top : math.ceil(y1), left : math.ceil(x1)]
    across = (xs + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
    down = (ys + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
    return Window(across**2 + down**2 <= 1, left, top, math.pi / 4)
