"""Label Studio's brush code, against label-studio-sdk's own."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle

from exporters.brush import decode_brush, encode_brush
from exporters.masks import MaskError, decode, encode

MASKS = st.tuples(st.integers(1, 24), st.integers(1, 24)).flatmap(lambda shape: arrays(bool, shape))


@given(MASKS)
def test_the_same_bytes_as_the_sdk(mask: np.ndarray) -> None:
    assert encode_brush(encode(mask)) == mask2rle(mask.astype(np.uint8) * 255)


@given(MASKS)
def test_round_trip(mask: np.ndarray) -> None:
    height, width = mask.shape
    found = decode_brush(encode_brush(encode(mask)), height=height, width=width)
    assert (found is not None) == mask.any()
    if found is not None:
        assert (decode(found) == mask).all()


@given(MASKS)
def test_the_sdk_reads_what_we_write(mask: np.ndarray) -> None:
    values = decode_rle(encode_brush(encode(mask))).reshape(*mask.shape, 4)
    assert (values == mask[..., None] * np.uint8(255)).all()


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda s: arrays(np.uint8, (*s, 4))))
def test_any_picture_the_sdk_writes(picture: np.ndarray) -> None:
    """Colours, single values, an alpha of its own: only the alpha counts."""
    height, width, _ = picture.shape
    found = decode_brush(encode_rle(picture.ravel()), height=height, width=width)
    wanted = picture[..., 3] > 0
    assert (found is not None) == wanted.any()
    if found is not None:
        assert (decode(found) == wanted).all()


def test_literals_and_other_sizes() -> None:
    """As the labeling page writes: runs of literal values, and a table of sizes of its own."""
    values = [0, 0, 0, 0, 1, 2, 3, 200, 9, 9, 9, 0]
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{size - 1:04b}" for size in (2, 5, 9, 12))
    bits += "1" + "00" + f"{3:02b}" + f"{0:08b}"  # four zeros
    bits += "0" + "10" + f"{7:09b}" + "".join(f"{value:08b}" for value in values[4:])  # eight literals
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]
    found = decode_brush(data, height=1, width=3)
    assert found is not None
    assert decode(found).tolist() == [[False, True, False]]


def test_a_run_longer_than_the_largest_size() -> None:
    mask = np.ones((300, 400), bool)
    mask[0, 0] = False
    assert encode_brush(encode(mask)) == mask2rle(mask.astype(np.uint8) * 255)
    found = decode_brush(encode_brush(encode(mask)), height=300, width=400)
    assert found is not None
    assert (decode(found) == mask).all()


def test_a_captured_mask() -> None:
    captured = json.loads((Path(__file__).parent / "label_studio_brush.json").read_text())
    found = decode_brush(captured["rle"], height=captured["height"], width=captured["width"])
    assert found is not None
    mask = decode(found)
    assert mask.any()
    assert encode_brush(found) == captured["rle"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-9], "cut off"),
        (lambda data: data[:4], "cut off"),
        (lambda data: [], "cut off"),
        (lambda data: [255, *data[1:]], "codes"),
        (lambda data: [*data[:5], 300], "whole numbers"),
        (lambda data: [*data[:5], -1], "whole numbers"),
        (lambda data: [*data[:5], "7"], "whole numbers"),
        (lambda data: 3, "whole numbers"),
    ],
)
def test_damaged_streams(change: object, said: str) -> None:
    rng = np.random.default_rng(0)
    data = encode_brush(encode(rng.random((20, 30)) > 0.5))
    with pytest.raises(MaskError, match=said):
        decode_brush(change(data), height=20, width=30)  # type: ignore[operator]


@given(st.lists(st.integers(0, 255), max_size=60))
def test_noise_never_breaks_anything_else(data: list[int]) -> None:
    head = [0, 0, 0, 3 * 4 * 4]
    with contextlib.suppress(MaskError):
        decode_brush(head + data, height=3, width=4)
