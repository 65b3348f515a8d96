"""The seam between whoever needs masks and whatever makes them.

A labeler works in two steps, because the first is expensive and the second is not:

* ``open(photo)`` looks at the photo once (decoding, encoding) and returns an ``Opened``;
* ``opened.masks(boxes, vocabulary)`` answers any number of box requests;
* ``opened.propose(vocabulary)`` finds objects by itself, if the labeler can.

Contract, for every implementation:

* row k of the result is row k of the boxes, whatever happens; nothing is dropped or reordered;
* a box that can't be labelled gets a ``Status`` other than ``OK`` with a reason, not an exception;
* the result depends on the photo, the box, its name and the settings only: not on the other boxes,
  the other photos, or what was asked before;
* an ``Opened`` may be kept in a cache and used from several threads at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from labelers.records import Boxes, Instances, Photo
from labelers.scene import Scene
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class LabelerSpec:
    """What a labeler is and can do.

    ``name`` and ``version`` go into provenance and into the journal's fingerprint: change the version
    whenever the same photo and box could give another mask. ``photos_at_once``: how many photos keep it busy, each
    asked about in a thread of its own; no mask depends on it.
    """

    name: str
    version: str
    needs_boxes: bool = True
    makes_boxes: bool = False
    uses_names: bool = False
    photos_at_once: int = 1


class Opened(Protocol):
    """A photo that the labeler has looked at."""

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        """One mask for each box."""
        ...

    def propose(self, vocabulary: Vocabulary) -> Instances:
        """Objects found without boxes. Raises ``CannotPropose`` if ``spec.makes_boxes`` is false."""
        ...


@dataclass(frozen=True)
class Hint:
    """What a labeler thinks of the surroundings of one object, seen from one point. Coarser than the photo.

    Attributes:
        logits: float32 [h, w], how sure it is that a place belongs to the object: above 0 it does, below it doesn't.
        likeness: float32 [h, w], how alike a place looks to the point: 1 the same, -1 the opposite.
        window: x0, y0, x1, y1 of the photo that both maps cover, pixels; it may reach a little beyond the photo.
    """

    logits: NDArray[np.float32]
    likeness: NDArray[np.float32]
    window: tuple[float, float, float, float]


@runtime_checkable
class Hinting(Protocol):
    """An ``Opened`` that gives hints. Optional: ``labelers.repair`` makes more of a click then."""

    def hint(
        self, box: NDArray[np.float32], name: str, vocabulary: Vocabulary, *, at: tuple[float, float]
    ) -> Hint | None:
        """For one box, xyxy float32 [4], and a point (x, y); None for a box that ``masks`` can't label."""
        ...


@runtime_checkable
class SceneOpened(Protocol):
    """An ``Opened`` that sees the whole photo, given a vocabulary. Optional, as ``spec.makes_boxes`` says."""

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances: ...

    def propose(self, vocabulary: Vocabulary) -> Instances:
        """What is worth showing to a person: above the thresholds, each object once, stuff as one region a class."""
        ...

    def scene(
        self, vocabulary: Vocabulary, *, panoptic: bool = False, semantic: bool = False, top: int | None = None
    ) -> Scene:
        """All there is, unthresholded: ``top`` (object, class) pairs, and maps if asked for."""
        ...

    def detections(self, vocabulary: Vocabulary, *, top: int | None = None) -> tuple[Boxes, NDArray[np.float32]]:
        """Boxes of thing classes without masks, best first, and their scores in [0, 1]."""
        ...

    def rank_names(self, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
        """How well each class of the vocabulary fits each box: float32 [N, K] in [0, 1]; NaN for unusable boxes.

        The names of the boxes are not looked at.
        """
        ...


class Labeler(Protocol):
    """Photos in, labels out."""

    @property
    def spec(self) -> LabelerSpec: ...

    def open(self, photo: Photo) -> Opened:
        """Look at the photo. Raises whatever reading the photo raises (see ``labelers.photos``)."""
        ...


class CannotPropose(TypeError):
    """This labeler needs boxes; choose one whose spec says ``makes_boxes``."""


def label_boxes(labeler: Labeler, photo: Photo, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
    """The one-shot form: open and ask once."""
    return labeler.open(photo).masks(boxes, vocabulary)
