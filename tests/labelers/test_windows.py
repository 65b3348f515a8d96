"""Fractional boxes to whole pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelers.windows import PixelWindow, box_iou, covered, touched


def box(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("xyxy", "margin", "window"),
    [
        (box(1, 2, 5, 6), 0, (1, 2, 5, 6)),
        (box(1.2, 2.9, 5.1, 6), 0, (1, 2, 6, 6)),
        (box(2, 2, 6, 6), 0.5, (0, 0, 8, 8)),
        (box(-5, -5, 3, 30), 0, (0, 0, 3, 8)),
        (box(4, 4, 5, 5), 0.25, (3, 3, 6, 6)),
        (box(20, 20, 30, 30), 0, (10, 8, 10, 8)),  # nothing
    ],
)
def test_touched(xyxy: np.ndarray, margin: float, window: tuple[int, ...]) -> None:
    assert touched(xyxy, height=8, width=10, margin=margin) == window


@pytest.mark.parametrize(
    ("xyxy", "window"),
    [
        (box(1, 2, 5, 6), (1, 2, 5, 6)),
        (box(1.4, 2.6, 5.4, 6.6), (1, 3, 5, 7)),
        (box(1.5, 1.5, 3.5, 3.5), (1, 1, 3, 3)),  # a centre on the left edge counts, on the right edge not
        (box(3.6, 3.6, 3.9, 3.9), (3, 3, 4, 4)),  # thinner than a pixel
        (box(9.9, 7.9, 10, 8), (9, 7, 10, 8)),
        (box(-5, -5, 0.1, 0.1), (0, 0, 1, 1)),
    ],
)
def test_covered(xyxy: np.ndarray, window: tuple[int, ...]) -> None:
    assert covered(xyxy, height=8, width=10) == window


@given(st.lists(st.floats(-20, 30, width=32), min_size=4, max_size=4))
def test_covered_is_never_empty_and_never_outside(values: list[float]) -> None:
    x0, x1 = sorted(values[:2])
    y0, y1 = sorted(values[2:])
    inner = covered(box(x0, y0, x1, y1), height=8, width=10)
    assert 0 <= inner.x0 < inner.x1 <= 10
    assert 0 <= inner.y0 < inner.y1 <= 8
    outer = touched(box(x0, y0, x1, y1), height=8, width=10)
    if x1 > 0 and y1 > 0 and x0 < 10 and y0 < 8 and x1 > x0 and y1 > y0:
        assert outer.x0 <= inner.x0
        assert outer.y0 <= inner.y0
        assert inner.x1 <= outer.x1
        assert inner.y1 <= outer.y1


def test_whole_boxes_are_themselves() -> None:
    assert covered(box(2, 3, 4, 7), height=8, width=10) == touched(box(2, 3, 4, 7), height=8, width=10)
    assert isinstance(covered(box(2, 3, 4, 7), height=8, width=10), PixelWindow)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        (box(0, 0, 2, 2), box(0, 0, 2, 2), 1.0),
        (box(0, 0, 2, 2), box(1, 0, 3, 2), 1 / 3),
        (box(0, 0, 1, 1), box(2, 2, 3, 3), 0.0),
        (box(0, 0, 0, 0), box(0, 0, 0, 0), 0.0),
    ],
)
def test_box_iou(a: np.ndarray, b: np.ndarray, iou: float) -> None:
    assert box_iou(a, b) == pytest.approx(iou)
    assert box_iou(b, a) == pytest.approx(iou)
