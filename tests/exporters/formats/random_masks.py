"""Hypothesis strategies that the tests of all formats draw from: masks with everything that goes wrong, data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from exporters.dataset import Dataset, Item, Label, Picture
from exporters.masks import box_xyxy, decode, encode
from labelers.records import RLE

LABELS = (Label("cat", 1), Label("Straße mit Bäumen", 2, is_thing=False, supercategory="stuff"), Label("日本 犬", 7))
"""Names with spaces and letters beyond ASCII, ids with gaps."""

FILE_NAMES = ("a.jpg", "b c.png", "sub/a.jpg", "sub/deep er/größe.jpg", "other/a.jpg", "写真.jpg")
"""Equal base names in different folders, spaces, unicode."""


@st.composite
def masks(draw: st.DrawFn, height: int, width: int) -> RLE:
    """A mask with at least one pixel: discs with holes and islands, noise, one pixel, all, a frame at the border."""
    kind = draw(st.sampled_from(("discs", "discs", "noise", "pixel", "full", "frame", "islands in holes")))
    mask = np.zeros((height, width), bool)
    y, x = np.mgrid[:height, :width]
    if kind == "discs":
        for number in range(draw(st.integers(1, 5))):
            cx, cy = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            disc = (x - cx) ** 2 + (y - cy) ** 2 <= draw(st.integers(0, max(height, width) // 2)) ** 2
            mask = mask & ~disc if number % 3 == 2 else mask | disc
    elif kind == "noise":
        mask = draw(hnp.arrays(bool, (height, width)))
    elif kind == "full":
        mask[:] = True
    elif kind == "frame":
        mask[:] = True
        mask[1:-1, 1:-1] = False
    elif kind == "islands in holes":
        mask = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) % 2 == 0
    if kind == "pixel" or not mask.any():
        mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
    return encode(mask)


def box_of(mask: RLE) -> tuple[float, float, float, float]:
    """The tight box, xyxy."""
    x0, y0, x1, y1 = (float(v) for v in box_xyxy(mask))
    return x0, y0, x1, y1


@st.composite
def datasets(
    draw: st.DrawFn, *, overlap: bool = True, most: int = 3, splits: tuple[str, ...] = ("train", "val")
) -> Dataset:
    """Up to ``most`` pictures with up to four objects each: masks with their boxes, boxes alone, crowds, scores.

    Args:
        overlap: whether the masks of a picture may share pixels.
        splits: drawn from for each picture; ("",) for none.
    """
    names = draw(st.lists(st.sampled_from(FILE_NAMES), min_size=1, max_size=most, unique=True))
    pictures = []
    number = 0
    for index, name in enumerate(names):
        height, width = draw(st.integers(4, 24)), draw(st.integers(4, 24))
        items: list[Item] = []
        taken = np.zeros((height, width), bool)
        for _ in range(draw(st.integers(0, 4))):
            number += 1
            label = draw(st.sampled_from(LABELS)).name
            score = draw(st.none() | st.integers(0, 1000).map(lambda n: n / 1000))
            if draw(st.integers(0, 4)) == 0:
                box = draw(_boxes(height, width))
                items.append(Item(label, box=box, id=number, score=score))
                continue
            mask = draw(masks(height, width))
            if not overlap:
                free = decode(mask) & ~taken
                if not free.any():
                    continue
                taken |= free
                mask = encode(free)
            items.append(Item(label, box_of(mask), mask, id=number, score=score, crowd=draw(st.integers(0, 9)) == 0))
        pictures.append(Picture(name, width, height, tuple(items), id=index + 1, split=draw(st.sampled_from(splits))))

    def walk() -> Iterator[Picture]:
        return iter(pictures)

    return Dataset("random", LABELS, len(pictures), walk)


@st.composite
def _boxes(draw: st.DrawFn, height: int, width: int) -> tuple[float, float, float, float]:
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return float(x0), float(y0), float(x1), float(y1)


def save_photos(dataset: Dataset, folder: Path) -> Dataset:
    """The same data set with its photos, plain grey ones, saved in ``folder``."""
    for picture in dataset:
        path = folder / picture.file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (picture.width, picture.height), (90, 90, 90)).save(path)
    return Dataset(dataset.source, dataset.labels, dataset.count, dataset.pictures, folder, dataset.info)
