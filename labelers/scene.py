"""What a labeler that needs no boxes sees in a photo: instances, a panoptic map, a label map. Numpy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.records import Instances


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: its value in the map.
        name: class, as the vocabulary writes it.
        is_thing: countable (one object), or stuff (all regions of the class are one segment).
        score: in [0, 1], how sure the labeler is of the class.
    """

    id: int
    name: str
    is_thing: bool
    score: float


@dataclass(frozen=True)
class PanopticMap:
    """Segments that don't overlap: ``ids`` int32 [H, W], 0 = no segment."""

    ids: NDArray[np.int32]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Scene:
    """One photo seen whole, at its own size.

    Attributes:
        instances: objects of the thing classes, best first, not thresholded: for measuring as well as for choosing.
        panoptic: None where it wasn't asked for.
        semantic: int32 [H, W], for each pixel the index of a class in ``vocabulary.names``; None if not asked for.
    """

    instances: Instances
    panoptic: PanopticMap | None = None
    semantic: NDArray[np.int32] | None = None
