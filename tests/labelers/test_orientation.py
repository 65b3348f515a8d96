"""The table of EXIF orientations, against Pillow and against itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from labelers.orientation import array_to_raw, array_to_upright, boxes_to_raw, boxes_to_upright, swaps_sides

ORIENTATIONS = range(1, 9)
orientations = st.integers(1, 8)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_table_equals_pillows_transpose(orientation: int) -> None:
    raw = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    image = Image.fromarray(raw)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    upright = array_to_upright(raw, orientation)
    np.testing.assert_array_equal(upright, expected)
    assert (upright.shape[:2] == (7, 5)) is swaps_sides(orientation)


@given(orientations, st.integers(1, 9), st.integers(1, 9))
def test_arrays_return(orientation: int, height: int, width: int) -> None:
    raw = np.arange(height * width).reshape(height, width)
    np.testing.assert_array_equal(array_to_raw(array_to_upright(raw, orientation), orientation), raw)


@given(orientations, st.integers(2, 40), st.integers(2, 40), st.data())
def test_boxes_follow_their_pixels(orientation: int, height: int, width: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    raw = np.zeros((height, width), bool)
    raw[y0:y1, x0:x1] = True
    box = np.array([[x0, y0, x1, y1]], np.float64)
    (left, top, right, bottom) = boxes_to_upright(box, orientation, raw_height=height, raw_width=width)[0].astype(int)
    upright = np.zeros_like(array_to_upright(raw, orientation))
    upright[top:bottom, left:right] = True
    np.testing.assert_array_equal(upright, array_to_upright(raw, orientation))
    turned = boxes_to_upright(box, orientation, raw_height=height, raw_width=width)
    np.testing.assert_array_equal(boxes_to_raw(turned, orientation, raw_height=height, raw_width=width), box)


@given(orientations, st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=4))
def test_fractional_boxes_return_within_rounding(orientation: int, box: list[float]) -> None:
    boxes = np.array([box])
    turned = boxes_to_upright(boxes, orientation, raw_height=31, raw_width=57)
    np.testing.assert_allclose(boxes_to_raw(turned, orientation, raw_height=31, raw_width=57), boxes, atol=1e-9)
    for start, end in ((0, 2), (1, 3)):  # a side that is clearly positive stays so
        if boxes[0, end] - boxes[0, start] > 1e-6:
            assert (turned[0, 2:] > turned[0, :2]).any()


def test_bad_boxes_stay_bad_and_inputs_stay_untouched() -> None:
    boxes = np.array([[np.nan, 1, 2, 3], [5, 5, 2, 2]])
    before = boxes.copy()
    for orientation in ORIENTATIONS:
        turned = boxes_to_upright(boxes, orientation, raw_height=10, raw_width=20)
        assert np.isnan(turned[0]).sum() == 1
        assert turned[1, 2] < turned[1, 0]
    np.testing.assert_array_equal(boxes, before)


@pytest.mark.parametrize("orientation", [0, 9, -1])
def test_other_numbers_are_refused(orientation: int) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        array_to_upright(np.zeros((1, 1)), orientation)
