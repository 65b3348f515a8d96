"""The honest floor: the mask of a box is the box itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.protocol import CannotPropose, LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.rows import Window, label_each
from labelers.vocabulary import Vocabulary
from labelers.windows import covered

_SCORE = 0.5  # a rectangle knows nothing about how well it fits, so all rows get the same


@dataclass(frozen=True)
class RectangleLabeler:
    """Fills each box. Decodes nothing: only the size of the photo matters."""

    @property
    def spec(self) -> LabelerSpec:
        return LabelerSpec("rectangle", "1")

    def open(self, photo: Photo) -> RectangleOpened:
        return RectangleOpened(photo.height, photo.width)


@dataclass(frozen=True)
class RectangleOpened:
    height: int
    width: int

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        """The pixels whose centre lies in the box, at least one."""

        def fill(box: NDArray[np.float32], name: str) -> Window:
            window = covered(box, height=self.height, width=self.width)
            full = np.ones((window.y1 - window.y0, window.x1 - window.x0), bool)
            return Window(full, window.x0, window.y0, _SCORE)

        return label_each(boxes, height=self.height, width=self.width, label=fill)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        raise CannotPropose("the rectangle labeler needs boxes")
