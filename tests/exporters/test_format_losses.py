"""Each kind of loss is counted for a format that has no place for it, and only there."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from exporters import formats, losses
from exporters.dataset import Dataset, Holds, Item, Label, Picture
from exporters.losses import Loss, take_census
from exporters.masks import encode
from labelers.records import RLE


def drawn(*rows: str) -> RLE:
    return encode(np.array([[c == "#" for c in row] for row in rows]))


RING = drawn("###.", "#.#.", "###.", "....")
TWO = drawn("#..#", "#..#", "....", "....")
PLAIN = drawn("....", ".##.", ".##.", "....")

ITEMS = (
    Item("cat", mask=RING, id=1, score=0.5),
    Item("cat", (0.0, 0.0, 1.0, 1.0), TWO, id=2, crowd=True, attributes={"occluded": True}),
    Item("sky", (1.0, 1.0, 3.0, 3.0), PLAIN),
    Item("cat", (0.0, 0.0, 2.0, 2.0)),
)
PICTURES = (Picture("sub/a.jpg", 4, 4, ITEMS, split="train", id=7), Picture("b.jpg", 4, 4))
LABELS = (Label("cat", 0, supercategory="animal"), Label("sky", 187, is_thing=False), Label("new"))

EXPECTED = {
    "masks": 3, "boxes": 1, "exact": 3, "holes": 1, "islands": 1, "overlap": 1, "instances": 4, "crowds": 1,
    "scores": 1, "ids": 2, "stuff": 1, "attributes": 1, "splits": 1, "subfolders": 1, "empty": 1,
    "picture_ids": 1, "label_ids": 1, "supercategories": 1,
}  # fmt: skip


def walk() -> Iterator[Picture]:
    return iter(PICTURES)


DATASET = Dataset("made", LABELS, 2, walk)


def census(monkeypatch: pytest.MonkeyPatch, holds: Holds, *, masks_only: bool = False) -> dict[str, int]:
    class Made:
        HOLDS = holds

    monkeypatch.setattr(losses, "load", lambda name: Made)
    monkeypatch.setitem(formats.FORMATS, "made", formats.Format("made", "", masks_only=masks_only))
    return take_census(DATASET, "made").counts


@pytest.mark.parametrize("kind", EXPECTED)
def test_a_format_without_it_loses_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert census(monkeypatch, Holds(**{kind: False})) == {kind: EXPECTED[kind]}


def test_a_format_with_everything_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert census(monkeypatch, Holds()) == {}
    assert census(monkeypatch, Holds(), masks_only=True) == {"bare_boxes": 1}


def test_a_loss_names_a_format_that_keeps_it() -> None:
    assert str(Loss("holes", 312, "coco")).startswith("312 masks have holes")
    assert str(Loss("holes", 1, "coco")).endswith(": use --to coco to keep them")
