"""Label Studio's brush masks: a bit stream of runs over a height x width x 4 picture, row by row.

The stream, most significant bit first: 32 bits number of values, 5 bits word size - 1, four times 4 bits the sizes of
run lengths - 1; then records: 1 bit "all the same", 2 bits which size, length - 1 in that size, and one value, or as
many values as the length says. Values are the channels of RGBA in turn; the mask is where the last one is above 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exporters.masks import MaskError, compressed_counts, encode, paste, window
from labelers.records import RLE

_CHANNELS = 4
_SIZES = (3, 4, 8, 16)
"""Bits of run lengths, as label-studio-sdk writes them."""

_LONGEST = 1 << _SIZES[-1]
_HEADER_BITS = 32 + 5 + 4 * len(_SIZES)


def encode_brush(rle: RLE) -> list[int]:
    """RLE -> bytes as whole numbers 0 to 255, what ``value.rle`` of a brush region holds.

    Costs what the runs cost, not the photo: nothing of the photo's size is made.
    """
    height, width = rle["size"]
    crop, x0, y0 = window(rle)
    # the column-major runs of the turned photo are the row-major runs of the photo
    turned = paste(crop.T, y0, x0, width, height)
    counts = np.array(compressed_counts(turned["counts"]), np.int64) * _CHANNELS
    values = (np.arange(len(counts)) % 2 * 255)[counts > 0]
    counts = counts[counts > 0]
    # a run longer than the largest size is several records
    pieces = -(-counts // _LONGEST)
    last = np.cumsum(pieces) - 1
    lengths = np.full(int(pieces.sum()), _LONGEST, np.int64)
    lengths[last] = counts - (pieces - 1) * _LONGEST
    code, bits = _records(lengths, np.repeat(values, pieces))
    header = (height * width * _CHANNELS) << (_HEADER_BITS - 32) | 7 << (4 * len(_SIZES))
    for place, size in enumerate(_SIZES):
        header |= (size - 1) << (4 * (len(_SIZES) - 1 - place))
    return _packed(header, code, bits)


def _records(lengths: NDArray[np.int64], values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each run as a record: its bits as a number, and how many bits."""
    which = np.searchsorted(1 << np.array(_SIZES), lengths)
    size = np.array(_SIZES)[which]
    code = (((4 | which) << size | (lengths - 1)) << 8) | values
    return code, 3 + size + 8


def _packed(header: int, code: NDArray[np.int64], bits: NDArray[np.int64]) -> list[int]:
    """The header and the records, each with its most significant bit first, filled up with zeros."""
    ends = _HEADER_BITS + np.cumsum(bits)
    total = int(ends[-1]) if len(ends) else _HEADER_BITS
    stream = np.zeros(total + 8 - total % 8, np.uint8)  # a whole byte of zeros where nothing is left over, as the SDK
    stream[:_HEADER_BITS] = [header >> (_HEADER_BITS - 1 - bit) & 1 for bit in range(_HEADER_BITS)]
    for bit in range(int(bits.max(initial=0))):
        has = bits > bit
        stream[ends[has] - 1 - bit] = code[has] >> bit & 1
    return [int(byte) for byte in np.packbits(stream)]


def decode_brush(data: Sequence[int], *, height: int, width: int) -> RLE | None:
    """Bytes of a brush region -> RLE; None where the mask has no pixel.

    Args:
        data: whole numbers 0 to 255, with any table of sizes, and literals as well as runs.
        height, width: size of the photo in pixels.

    Raises:
        MaskError: the stream is cut off or damaged, or codes a picture of another size.
    """
    alpha = _alpha(_bytes(data), height * width)
    if not alpha.any():
        return None
    return encode(alpha.reshape(height, width))


def _bytes(data: Sequence[int]) -> bytes:
    try:
        return bytes(list(data))
    except (TypeError, ValueError) as error:
        raise MaskError("brush rle must be a list of whole numbers 0 to 255") from error


def _alpha(data: bytes, pixels: int) -> NDArray[np.bool_]:
    """Whether the fourth channel of each pixel is above 0, bool [pixels]."""
    reader = _Bits(data)
    count = reader.read(32)
    if count != pixels * _CHANNELS:
        raise MaskError(f"brush rle codes {count} values, but the photo has {pixels} pixels with {_CHANNELS} each")
    word = reader.read(5) + 1
    sizes = [reader.read(4) + 1 for _ in range(4)]
    alpha = np.zeros(pixels, bool)
    at = 0
    while at < count:
        same = reader.read(1)
        length = reader.read(sizes[reader.read(2)]) + 1
        end = min(at + length, count)
        # pixel p has its alpha at place 4 p + 3
        first, last = at // _CHANNELS, end // _CHANNELS
        if same:
            if reader.read(word):
                alpha[first:last] = True
        else:
            values = reader.array(end - at, word)
            alpha[first:last] = values[first * _CHANNELS + 3 - at :: _CHANNELS] > 0
        at = end
    return alpha


class _Bits:
    """Reads numbers of any width from bytes, most significant bit first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, bits: int) -> int:
        start, end = self._at, self._at + bits
        if end > len(self._data) * 8:
            raise MaskError("brush rle is cut off")
        self._at = end
        chunk = int.from_bytes(self._data[start // 8 : -(-end // 8)], "big")
        return chunk >> (-end % 8) & ((1 << bits) - 1)

    def array(self, count: int, bits: int) -> NDArray[np.int64]:
        """``count`` numbers of ``bits`` bits each."""
        start, end = self._at, self._at + count * bits
        if end > len(self._data) * 8:
            raise MaskError("brush rle is cut off")
        self._at = end
        raw = np.unpackbits(np.frombuffer(self._data[start // 8 : -(-end // 8)], np.uint8))
        table = raw[start % 8 : start % 8 + count * bits].reshape(count, bits)
        return table @ (1 << np.arange(bits - 1, -1, -1, dtype=np.int64))
