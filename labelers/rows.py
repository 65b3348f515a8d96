"""The contract of ``labelers.protocol`` for labelers that work box by box.

Row k stays row k; boxes that can't be labelled get their status; a box that breaks the labeler breaks
its own row only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exporters.masks import paste
from labelers.records import RLE, Boxes, Instances, Status


class Window(NamedTuple):
    """A mask that is False outside a rectangle of the photo.

    Attributes:
        mask: bool [h, w].
        x0, y0: where its top-left pixel lies in the photo.
        score: float in [0, 1].
    """

    mask: NDArray[np.bool_]
    x0: int
    y0: int
    score: float


def label_each(
    boxes: Boxes, *, height: int, width: int, label: Callable[[NDArray[np.float32], str], Window | None]
) -> Instances:
    """Ask ``label(xyxy, name)`` for each usable box, cut to the photo; None or an all-False mask means empty."""
    masks: list[RLE | None] = []
    scores: list[float] = []
    status: list[Status] = []
    reasons: list[str] = []
    cut = boxes.clamped(height=height, width=width)
    for k, problem in enumerate(boxes.problems(height=height, width=width)):
        mask, score = None, 0.0
        state, reason = problem or (Status.OK, "")
        if problem is None:
            try:
                window = label(cut.xyxy[k], boxes.names[k])
                if window is None or not window.mask.any():
                    state, reason = Status.EMPTY, "the labeler found no pixel in this box"
                else:
                    mask, score = paste(window.mask, window.x0, window.y0, height, width), window.score
            except Exception as error:
                state, reason = Status.FAILED, describe(error)
        masks.append(mask)
        scores.append(score)
        status.append(state)
        reasons.append(reason)
    return Instances(boxes, tuple(masks), np.array(scores, np.float32), tuple(status), tuple(reasons))


def describe(error: BaseException) -> str:
    """One line for a report: what kind of error, and what it says."""
    if isinstance(error, MemoryError):
        return "not enough memory"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
