"""PNGs of class numbers: pixels come back, other tools' folders are read."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import datasets, save_photos

from exporters import mask_pngs
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import decode, encode


def classes_of(picture: Picture, things: set[str]) -> np.ndarray:
    """Class under each pixel, as text."""
    found = np.full((picture.height, picture.width), "", object)
    for item in sorted(picture.items, key=lambda item: item.label in things):
        if item.mask is not None:
            found[decode(item.mask)] = item.label
    return found


@settings(max_examples=40)
@given(datasets(splits=("train", "val", "")))
def test_pixels_come_back(dataset: Dataset) -> None:
    things = {label.name for label in dataset.labels if label.is_thing}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = mask_pngs.write(save_photos(dataset, Path(folder) / "i"), out, WriteOptions(copy_images="link"))
        assert mask_pngs.matches(out)
        found = mask_pngs.read(out)
        assert found.labels == dataset.labels
        assert found.count == written.pictures
        for picture, back in zip(dataset, found, strict=True):
            assert (classes_of(back, things) == classes_of(picture, things)).all()
            assert replace(back, items=()) == replace(picture, items=())
            assert found.images is not None
            assert (found.images / back.file_name).is_file()
            assert len({item.label for item in back.items}) == len(back.items)


@pytest.mark.parametrize(("number", "kind"), [(254, np.uint8), (255, np.uint16), (300, np.uint16)])
def test_sixteen_bits_where_eight_are_too_few(number: int, kind: type, tmp_path: Path) -> None:
    labels = tuple(Label(f"class {k}") for k in range(number))
    item = Item(labels[-1].name, mask=encode(np.eye(4, dtype=bool)))
    dataset = Dataset("x", labels, 1, lambda: iter([Picture("a.b.jpg", 4, 4, (item,))]))
    mask_pngs.write(dataset, tmp_path / "o")
    values = np.asarray(Image.open(tmp_path / "o/masks/a.b.png"))
    assert values.dtype == kind
    assert np.unique(values).tolist() == [0, number]
    assert next(iter(mask_pngs.read(tmp_path / "o"))).items[0].mask == item.mask


FOREIGN = [
    ["background", "cat", "dog"],
    {"0": "background", "1": "cat", "2": "dog"},
    {"classes": ["_background_", "cat", "dog"]},
    {"classes": [{"name": "cat", "index": 1}, {"name": "dog", "index": 2}]},
    {"classes": {"0": "unlabeled", "1": "cat", "2": "dog", "255": "ignore"}},
]


@pytest.mark.parametrize("classes", FOREIGN)
def test_folders_of_other_tools(classes: object, tmp_path: Path) -> None:
    (tmp_path / "masks/train").mkdir(parents=True)
    (tmp_path / "images/train").mkdir(parents=True)
    (tmp_path / "classes.json").write_text(json.dumps(classes))
    Image.new("RGB", (3, 2)).save(tmp_path / "images/train/a b.jpg")
    Image.fromarray(np.array([[0, 1, 255], [2, 2, 9]], np.uint8)).save(tmp_path / "masks/train/a b.png")
    assert mask_pngs.matches(tmp_path)
    heard: list[str] = []
    dataset = mask_pngs.read(tmp_path, on_problem=heard.append)
    assert [label.name for label in dataset.labels] == ["cat", "dog"]
    (picture,) = dataset
    assert (picture.file_name, picture.split, dataset.count) == ("train/a b.jpg", "train", 1)
    assert [(item.label, item.box) for item in picture.items] == [("cat", (1, 0, 2, 1)), ("dog", (0, 1, 2, 2))]
    assert len(heard) == 1
    assert "class 9" in heard[0]


def test_hostile_folders(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"classes\.json"):
        mask_pngs.read(tmp_path)
    entry = {"file_name": "a.jpg", "width": 3, "height": 2}
    pictures = [
        entry | {"png": "../x.png"},
        entry | {"png": "a.png"},
        entry | {"png": "a.png", "file_name": "/x"},
        entry | {"png": "b.png"},
        entry | {"png": "c.png", "width": 1e300},
        4,
        entry | {"png": "c.png"},
    ]
    Image.new("L", (3, 3)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    Image.new("L", (3, 2)).save(tmp_path / "c.png")
    (tmp_path / "classes.json").write_text(json.dumps({"classes": ["x"], "pictures": pictures}))
    heard: list[str] = []
    assert len(list(mask_pngs.read(tmp_path, on_problem=heard.append))) == 1
    assert len(heard) == 6
    for classes in ({"classes": []}, ["a", "a"], {"classes": [3]}, {}):
        (tmp_path / "classes.json").write_text(json.dumps(classes))
        with pytest.raises(FormatError, match=r"classes\.json"):
            mask_pngs.read(tmp_path)
