"""Crops for int8: the same each time, of the network's size, from every photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from labelers.paths import PhotoError

pytest.importorskip("torch")

from labelers.calibration import crops


def _photo(path: Path, colour: int, width: int = 200, height: int = 120) -> None:
    Image.fromarray(np.full((height, width, 3), colour, np.uint8)).save(path)


def test_every_photo_gives_the_same_crops_each_time(tmp_path: Path) -> None:
    _photo(tmp_path / "a.png", 50)
    _photo(tmp_path / "b.png", 90, width=30, height=20)  # smaller than the smallest window
    (tmp_path / "notes.txt").write_text("no photo")
    first, again = (crops(tmp_path, 64, each=5) for _ in range(2))
    assert len(first) == 10
    for (pixels, size), (same, same_size) in zip(first, again, strict=True):
        assert pixels.shape == (64, 64, 3)
        assert size == same_size
        assert np.array_equal(pixels, same)
    assert {int(pixels.max()) for pixels, _ in first} == {50, 90}


def test_a_folder_without_photos_is_said(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="no JPEG or PNG"):
        crops(tmp_path, 64)
