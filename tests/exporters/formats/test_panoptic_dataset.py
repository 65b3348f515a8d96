"""COCO panoptic: every pixel that has one owner comes back, with its id."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import datasets, save_photos

from exporters import panoptic_dataset as panoptic
from exporters.coco_panoptic import read_ids, read_panoptic
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import area, decode, encode

LABELS = (Label("cat", 17, extra={"color": [1, 2, 3]}), Label("sky", 187, is_thing=False, supercategory="sky"))


def block(y0: int, y1: int, x0: int, x1: int) -> Any:
    mask = np.zeros((10, 12), bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def one(*items: Item, **changes: Any) -> Dataset:
    picture = Picture("sub/a b.jpg", 12, 10, items, **({"id": 5} | changes))
    return Dataset("test", LABELS, 1, lambda: iter([picture]))


@given(dataset=datasets(overlap=False))
@settings(max_examples=40)
def test_masks_without_overlap_come_back_equal(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = panoptic.write(dataset, out)
        assert panoptic.matches(out)
        assert written.notes == []
        found = panoptic.read(out)
        assert [label.is_thing for label in found.labels] == [label.is_thing for label in dataset.labels]
        for mine, theirs in zip(found, dataset, strict=True):
            assert replace(mine, items=()) == replace(theirs, items=())
            assert list(mine.items) == [item for item in theirs.items if item.mask is not None]


@given(dataset=datasets())
@settings(max_examples=25)
def test_overlaps_lose_only_what_others_took(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = panoptic.write(dataset, Path(folder) / "out")
        left = 0
        for mine, theirs in zip(panoptic.read(Path(folder) / "out"), dataset, strict=True):
            before = {item.id: item for item in theirs.items if item.mask is not None}
            after = {item.id: item for item in mine.items}
            left += len(after)
            assert after.keys() <= before.keys()
            for key, item in after.items():
                assert item.label == before[key].label
                assert area(item.mask or block(0, 0, 0, 0)) <= area(before[key].mask or block(0, 0, 0, 0))
            # all pixels that anyone had are still someone's
            covered = np.zeros((theirs.height, theirs.width), bool)
            for item in before.values():
                covered |= decoded(item)
            kept = np.zeros_like(covered)
            for item in mine.items:
                assert not (kept & decoded(item)).any()
                kept |= decoded(item)
            assert (kept == covered).all()
        assert written.items == left


def decoded(item: Item) -> Any:
    assert item.mask is not None
    return decode(item.mask)


def test_things_lie_above_stuff_and_small_above_large(tmp_path: Path) -> None:
    small = Item("cat", mask=block(0, 2, 0, 2), id=1)
    large = Item("cat", mask=block(0, 6, 0, 6), id=2)
    sky = Item("sky", mask=block(0, 1, 0, 1), id=3)
    lower = Item("sky", mask=block(5, 10, 0, 12), id=4)
    written = panoptic.write(one(small, large, sky, lower), tmp_path / "out")
    ids = read_ids(tmp_path / "out" / "panoptic" / "sub" / "a b.png", height=10, width=12)
    assert ids[0, 0] == 1
    assert ids[5, 5] == 2
    assert ids[9, 11] == 4
    assert 3 not in ids
    assert list(written.dropped.values()) == [1]
    assert written.notes[0].startswith("2 masks lost pixels")


def test_the_strict_reader_reads_it_and_extras_stay(tmp_path: Path) -> None:
    cat = Item("cat", mask=block(0, 2, 0, 2), id="Zk9", crowd=True, score=0.5, group=3, attributes={"occluded": True})
    sky = Item("sky", mask=block(5, 10, 0, 12), id=2**40)
    dataset = replace(one(cat, sky, split="val", attributes={"license": 2}), info={"info": {"year": 2020}})
    panoptic.write(dataset, tmp_path / "out")
    strict = read_panoptic(tmp_path / "out" / "panoptic.json")
    assert [(segment.id, segment.area, segment.iscrowd) for segment in strict.images[0].segments] == [
        (1, 4, True),
        (2, 60, False),
    ]
    found = panoptic.read(tmp_path / "out" / "panoptic.json")
    assert found.info == {"info": {"year": 2020}}
    (picture,) = found
    assert (picture.split, picture.attributes, picture.id) == ("val", {"license": 2}, 5)
    assert picture.items == (replace(cat, box=(0, 0, 2, 2)), replace(sky, box=(0, 5, 12, 10)))
    assert (found.labels[0].extra["color"], found.labels[1].supercategory) == ([1, 2, 3], "sky")


def test_photos_come_along_and_equal_base_names_stay_apart(tmp_path: Path) -> None:
    pictures = [Picture(name, 12, 10, (), id=k) for k, name in enumerate(("a/x.png", "b/x.png", "b/x.jpg"), 1)]
    dataset = save_photos(Dataset("test", LABELS, 3, lambda: iter(pictures)), tmp_path / "photos")
    panoptic.write(dataset, tmp_path / "out", WriteOptions(copy_images="copy"))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert [name for name in names if name.startswith("images")] == [
        "images/a/x.png",
        "images/b/x.jpg",
        "images/b/x.png",
    ]
    assert len([name for name in names if name.startswith("panoptic/")]) == 3
    assert list(panoptic.read(tmp_path / "out")) == pictures


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"file_name": "../a.png"}, {}, "leads out"),
    ({"file_name": "gone.png"}, {}, "no such file"),
    ({"segments_info": None}, {}, "segments_info"),
    ({}, {"id": 0}, "each segment needs its own"),
    ({}, {"id": 2**24}, "each segment needs its own"),
    ({}, {"id": 9}, "no pixel of the PNG"),
    ({}, {"category_id": 1}, "not among the categories"),
    ({}, {"category_id": [1]}, "not among the categories"),
]


@pytest.mark.parametrize(("annotation", "segment", "message"), BAD)
def test_bad_elements_are_named(
    tmp_path: Path, annotation: dict[str, Any], segment: dict[str, Any], message: str
) -> None:
    panoptic.write(one(Item("cat", mask=block(0, 2, 0, 2), id=1)), tmp_path / "out")
    path = tmp_path / "out" / "panoptic.json"
    value = json.loads(path.read_text())
    value["annotations"][0]["segments_info"][0] |= segment
    value["annotations"][0] |= annotation
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match=message):
        list(panoptic.read(path))
    problems: list[str] = []
    (picture,) = panoptic.read(path, on_problem=problems.append)
    assert picture.items == ()
    assert any(message in problem for problem in problems)


def test_a_broken_png_or_one_of_another_size_is_named(tmp_path: Path) -> None:
    panoptic.write(one(Item("cat", mask=block(0, 2, 0, 2), id=1)), tmp_path / "out")
    png = tmp_path / "out" / "panoptic" / "sub" / "a b.png"
    png.write_bytes(png.read_bytes()[:40])
    with pytest.raises(FormatError, match="can't be read"):
        list(panoptic.read(tmp_path / "out"))
    Image.new("RGB", (3, 3)).save(png)
    with pytest.raises(FormatError, match="3 x 3 pixels"):
        list(panoptic.read(tmp_path / "out"))


def test_segments_that_nobody_described_are_named(tmp_path: Path) -> None:
    panoptic.write(one(Item("cat", mask=block(0, 2, 0, 2), id=1)), tmp_path / "out")
    path = tmp_path / "out" / "panoptic.json"
    value = json.loads(path.read_text())
    value["annotations"][0]["segments_info"] = []
    path.write_text(json.dumps(value))
    with pytest.raises(FormatError, match="1 ids of the PNG"):
        list(panoptic.read(path))
