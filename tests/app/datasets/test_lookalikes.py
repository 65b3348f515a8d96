"""Photos that look alike get near hashes; others do not; and pairs are found without comparing all."""

from __future__ import annotations

from pathlib import Path

from dataset_files import save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from app.datasets.lookalikes import alike, hash_or_none, photo_hash


def test_scaled_brighter_and_recompressed_photos_look_alike(tmp_path: Path) -> None:
    save(tmp_path / "a.png", width=320, height=240, seed=1)
    photo = Image.open(tmp_path / "a.png")
    photo.resize((160, 120)).save(tmp_path / "small.png")
    photo.save(tmp_path / "a.jpg", quality=40)
    ImageEnhance.Brightness(photo).enhance(1.15).save(tmp_path / "bright.png")
    for seed in range(2, 6):
        save(tmp_path / f"other{seed}.png", width=320, height=240, seed=seed)
    names = ["a.png", "small.png", "a.jpg", "bright.png", *(f"other{seed}.png" for seed in range(2, 6))]
    groups = alike([photo_hash(tmp_path, name) for name in names])
    assert len(set(groups[:4])) == 1
    assert len(set(groups)) == 5


def test_plain_and_missing_photos_look_like_nothing(tmp_path: Path) -> None:
    for name, grey in (("black.png", 0), ("white.png", 255)):
        Image.new("RGB", (32, 32), (grey,) * 3).save(tmp_path / name)
    hashes = [hash_or_none(tmp_path, name) for name in ("black.png", "white.png", "gone.png", "../x.png")]
    assert hashes == [None] * 4
    assert len(set(alike(hashes))) == 4


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.integers(0, 12), st.data())
def test_the_groups_are_those_of_all_pairs(values: list[int], distance: int, data: st.DataObject) -> None:
    hashes: list[int | None] = list(values)
    for value in values[:4]:  # neighbours at, within and beyond the distance
        bits = data.draw(st.lists(st.integers(0, 63), max_size=distance + 1, unique=True))
        for bit in bits:
            value ^= 1 << bit
        hashes.append(value)
    found = alike(hashes, distance=distance)
    expected = list(range(len(hashes)))
    for _ in hashes:
        for a, first in enumerate(hashes):
            for b, second in enumerate(hashes):
                if first is not None and second is not None and (first ^ second).bit_count() <= distance:
                    expected[a] = expected[b] = min(expected[a], expected[b])
    assert [found.index(n) for n in found] == [expected.index(n) for n in expected]
