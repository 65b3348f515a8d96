"""EXIF orientation 1-8 as one table: how stored pixels become the upright picture, and back.

Each orientation is "swap the axes, then mirror x, then mirror y". Photos, masks and boxes all read this
table, so they can't disagree. "Raw" is the frame of the stored pixels, "upright" what a viewer shows.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Float = TypeVar("Float", bound=np.floating)


class _Turn(NamedTuple):
    swap: bool
    mirror_x: bool
    mirror_y: bool


_TURNS = {
    1: _Turn(False, False, False),
    2: _Turn(False, True, False),
    3: _Turn(False, True, True),
    4: _Turn(False, False, True),
    5: _Turn(True, False, False),
    6: _Turn(True, True, False),
    7: _Turn(True, True, True),
    8: _Turn(True, False, True),
}


def _turn(orientation: int) -> _Turn:
    if orientation not in _TURNS:
        raise ValueError(f"EXIF orientation {orientation} does not exist; it is 1 to 8")
    return _TURNS[orientation]


def swaps_sides(orientation: int) -> bool:
    """True if height and width trade places between raw and upright (5-8)."""
    return _turn(orientation).swap


def array_to_upright(raw: NDArray[Scalar], orientation: int) -> NDArray[Scalar]:
    """A view of ``raw`` [H, W, ...] turned upright: [H, W, ...] or [W, H, ...]."""
    turn = _turn(orientation)
    upright = raw.swapaxes(0, 1) if turn.swap else raw
    upright = upright[:, ::-1] if turn.mirror_x else upright
    return upright[::-1] if turn.mirror_y else upright


def array_to_raw(upright: NDArray[Scalar], orientation: int) -> NDArray[Scalar]:
    """The inverse of ``array_to_upright``."""
    turn = _turn(orientation)
    raw = upright[::-1] if turn.mirror_y else upright
    raw = raw[:, ::-1] if turn.mirror_x else raw
    return raw.swapaxes(0, 1) if turn.swap else raw


def boxes_to_upright(xyxy: NDArray[Float], orientation: int, *, raw_height: int, raw_width: int) -> NDArray[Float]:
    """Boxes [N, 4] (x0, y0, x1, y1) of the stored pixels, in pixels of the upright picture. NaN stays NaN."""
    turn = _turn(orientation)
    width, height = (raw_height, raw_width) if turn.swap else (raw_width, raw_height)
    boxes = xyxy[:, [1, 0, 3, 2]] if turn.swap else xyxy.copy()
    return _mirror(boxes, turn, height=height, width=width)


def boxes_to_raw(xyxy: NDArray[Float], orientation: int, *, raw_height: int, raw_width: int) -> NDArray[Float]:
    """The inverse of ``boxes_to_upright`` (exact where the coordinates are whole or half pixels)."""
    turn = _turn(orientation)
    width, height = (raw_height, raw_width) if turn.swap else (raw_width, raw_height)
    boxes = _mirror(xyxy.copy(), turn, height=height, width=width)
    return boxes[:, [1, 0, 3, 2]] if turn.swap else boxes


def _mirror(boxes: NDArray[Float], turn: _Turn, *, height: int, width: int) -> NDArray[Float]:
    if turn.mirror_x:
        boxes[:, [0, 2]] = width - boxes[:, [2, 0]]
    if turn.mirror_y:
        boxes[:, [1, 3]] = height - boxes[:, [3, 1]]
    return boxes
