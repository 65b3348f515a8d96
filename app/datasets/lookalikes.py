"""Photos that look alike, by a perceptual hash: frames of one video, the same photo twice, another size or quality."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.fft import dctn

from labelers.photos import PhotoError, open_photo

BITS = 64
DISTANCE = 6
"""Bits of 64 in which the hashes of two near-duplicates may differ."""

_SIDE = 32
_FLAT = 2.0  # grey levels of standard deviation below which a photo shows nothing that could be compared


def photo_hash(root: Path, file_name: str) -> int | None:
    """64 bits that change little when a photo is scaled, recompressed or brightened; None for a photo of one colour.

    The signs of the 8 x 8 lowest frequencies (DCT) of the grey photo at 32 x 32, against their median.

    Raises:
        PhotoError: the photo is missing, broken, or outside ``root``.
    """
    from PIL import Image

    pixels = open_photo(root, file_name, key=file_name).pixels()
    grey = np.asarray(
        Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX), dtype=np.float64
    )
    if grey.std() < _FLAT:
        return None
    low = dctn(grey, norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hash_or_none(root: Path, file_name: str) -> int | None:
    """``photo_hash``, None also for a photo that can't be read: it looks like no other."""
    try:
        return photo_hash(root, file_name)
    except PhotoError:
        return None


def alike(hashes: Sequence[int | None], *, distance: int = DISTANCE) -> list[int]:
    """A group number for each hash; groups are chains of hashes that differ in at most ``distance`` bits.

    Exact, without comparing all pairs: two hashes that differ in d bits agree in one of d + 1 pieces.
    """
    parent = list(range(len(hashes)))

    def root_of(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    same: dict[int, list[int]] = defaultdict(list)
    for at, value in enumerate(hashes):
        if value is not None:
            same[value].append(at)
    for members in same.values():
        for other in members[1:]:
            parent[root_of(other)] = root_of(members[0])
    for low, width in _pieces(distance + 1):
        buckets: dict[int, list[int]] = defaultdict(list)
        for value in same:
            buckets[value >> low & (1 << width) - 1].append(value)
        for bucket in buckets.values():
            values = np.array(bucket, np.uint64)
            for number in range(len(bucket) - 1):
                near = np.flatnonzero(np.bitwise_count(values[number + 1 :] ^ values[number]) <= distance)
                for other in near.tolist():
                    first, second = same[bucket[number]][0], same[bucket[number + 1 + other]][0]
                    parent[root_of(second)] = root_of(first)
    return [root_of(at) for at in range(len(hashes))]


def _pieces(number: int) -> list[tuple[int, int]]:
    """(lowest bit, width) of so many pieces of a hash."""
    edges = [BITS * k // number for k in range(number + 1)]
    return [(low, high - low) for low, high in itertools.pairwise(edges)]
