"""The house rule on frames: which frame the boxes are in, and that masks return to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from exporters.masks import box_xyxy, decode, encode
from labelers.frames import Frame, decide
from labelers.orientation import array_to_upright
from labelers.photos import PhotoHeader, read_header

orientations = st.integers(1, 8)


def header(orientation: int, *, raw_height: int = 30, raw_width: int = 40) -> PhotoHeader:
    return PhotoHeader("x.jpg", raw_height, raw_width, orientation, Path("x.jpg"))


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_auto_believes_the_sizes(orientation: int) -> None:
    raw = decide(header(orientation), 40, 30)
    assert raw == Frame(orientation, 30, 40, None)
    upright = decide(header(orientation), 30, 40)
    assert upright == Frame(1, 40, 30, None)


@pytest.mark.parametrize("mode", ["auto", "raw", "upright"])
def test_photos_without_orientation_need_no_word(mode: str) -> None:
    assert decide(header(1), 40, 30, mode) == Frame(1, 30, 40, None)
    assert decide(header(1), None, None, mode) == Frame(1, 30, 40, None)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(40, 30), (30, 40), (None, None), (7, 7)])
def test_raw_and_upright_are_obeyed(orientation: int, size: tuple[int | None, int | None]) -> None:
    raw = decide(header(orientation), *size, "raw")
    assert (raw.orientation, raw.height, raw.width) == (orientation, 30, 40)
    upright = decide(header(orientation), *size, "upright")
    assert (upright.orientation, upright.height, upright.width) == ((1, 40, 30) if orientation >= 5 else (1, 30, 40))


@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_half_turns_are_taken_as_upright_and_reported(orientation: int) -> None:
    frame = decide(header(orientation), 40, 30)
    assert frame.orientation == 1
    assert frame.note is not None
    assert "--exif raw" in frame.note


def test_square_photos_are_reported() -> None:
    frame = decide(header(6, raw_height=40), 40, 40)
    assert (frame.orientation, frame.height, frame.width) == (1, 40, 40)
    assert "equal" in (frame.note or "")


def test_a_missing_size_is_reported_only_where_it_matters() -> None:
    assert "no width and height" in (decide(header(6), None, None).note or "")
    assert "no width and height" in (decide(header(6), 40, None).note or "")
    assert decide(header(6), None, None, "raw").note is None


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_sizes_that_fit_neither_frame_are_named(orientation: int) -> None:
    frame = decide(header(orientation), 41, 99)
    assert frame.orientation == 1
    assert frame.note is not None
    assert "41 x 99" in frame.note
    assert "40 x 30" in frame.note
    assert "scaled" not in frame.note


@pytest.mark.parametrize(("size", "factor"), [((20, 15), "0.5"), ((120, 90), "3"), ((27, 20), "0.675")])
def test_a_scaled_copy_is_guessed(size: tuple[int, int], factor: str) -> None:
    frame = decide(header(1), *size)
    assert (frame.height, frame.width) == (30, 40)
    assert f"scaled by {factor}" in (frame.note or "")


def test_overruling_the_sizes_is_reported() -> None:
    assert "--exif" in (decide(header(6), 40, 30, "upright").note or "")
    assert "--exif" in (decide(header(6), 30, 40, "raw").note or "")


def test_zero_sizes_are_no_crash() -> None:
    assert "0 x 0" in (decide(header(1), 0, 0).note or "")


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="auto, raw, upright"):
        decide(header(1), 40, 30, "sideways")


@given(orientations, st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_masks_return(orientation: int, height: int, width: int, seed: int) -> None:
    frame = Frame(orientation, height, width)
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    upright = frame.mask_to_upright(encode(mask))
    np.testing.assert_array_equal(decode(upright), array_to_upright(mask, orientation))
    back = frame.mask_from_upright(upright)
    assert back["size"] == [height, width]
    np.testing.assert_array_equal(decode(back), mask)


@given(orientations, st.integers(2, 50), st.integers(2, 50), st.data())
def test_a_boxs_mask_returns_into_the_box(orientation: int, height: int, width: int, data: st.DataObject) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    box = np.array(
        [[x0, y0, data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))]], np.float64
    )
    frame = Frame(orientation, height, width)
    upright = frame.boxes_to_upright(box)
    assert upright.dtype == np.float32
    left, top, right, bottom = upright[0].astype(int)
    shape = (width, height) if orientation >= 5 else (height, width)
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    np.testing.assert_array_equal(box_xyxy(frame.mask_from_upright(encode(mask))), box[0].astype(np.float32))
    np.testing.assert_array_equal(frame.boxes_from_upright(upright), box)


@given(orientations, st.lists(st.floats(0, 5000, width=32), min_size=4, max_size=4))
def test_boxes_return_within_float32(orientation: int, box: list[float]) -> None:
    frame = Frame(orientation, 4000, 5000)
    back = frame.boxes_from_upright(frame.boxes_to_upright(np.array([box])))
    np.testing.assert_allclose(back[0], box, atol=1e-3)


def test_no_boxes() -> None:
    assert Frame(6, 3, 4).boxes_to_upright(np.zeros((0, 4))).shape == (0, 4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_from_the_file_to_the_mask_and_back(tmp_path: Path, orientation: int) -> None:
    """A red patch in the stored pixels: its box, turned upright, covers the patch in the upright photo."""
    raw = np.zeros((20, 30, 3), np.uint8)
    raw[3:9, 5:25, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(raw).save(tmp_path / "a.png", exif=exif)
    found = read_header(tmp_path, "a.png")
    frame = decide(found, 30, 20, "raw")
    left, top, right, bottom = frame.boxes_to_upright(np.array([[5, 3, 25, 9]]))[0].astype(int)
    red = found.photo("1").pixels()[..., 0] == 255
    assert red[top:bottom, left:right].all()
    assert red.sum() == (bottom - top) * (right - left)
    np.testing.assert_array_equal(decode(frame.mask_from_upright(encode(red))), raw[..., 0] == 255)
