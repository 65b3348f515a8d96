"""A PNG for each object: everything comes back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import datasets, save_photos

from exporters import instance_pngs, mask_pngs
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions


@settings(max_examples=30)
@given(datasets(splits=("train", "val", "")))
def test_everything_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = instance_pngs.write(save_photos(dataset, Path(folder) / "i"), out, WriteOptions(copy_images="link"))
        assert instance_pngs.matches(out)
        assert not mask_pngs.matches(out)
        found = instance_pngs.read(out)
        assert found.labels == dataset.labels
        assert list(found) == list(dataset)
        assert (found.count, written.dropped) == (dataset.count, {})
        assert found.images is not None
        assert all((found.images / picture.file_name).is_file() for picture in found)


def test_groups_attributes_and_odd_names(tmp_path: Path) -> None:
    item = Item("x", (0.5, 0, 1, 1), id="i", crowd=True, score=0.125, group="g", attributes={"a": {"b": [1]}})
    pictures = [Picture(name, 2, 2, (item,), id="p", attributes={"c": 1}) for name in ("a .jpg", "a.png", "A.jpg")]
    dataset = Dataset("x", (Label("x", extra={"d": 2}),), 3, lambda: iter(pictures), info={"year": 2024})
    instance_pngs.write(dataset, tmp_path / "o")
    found = instance_pngs.read(tmp_path / "o")
    assert list(found) == pictures
    assert (found.labels, found.info) == (dataset.labels, dataset.info)


def test_hostile_listings(tmp_path: Path) -> None:
    Image.new("L", (3, 2), 255).save(tmp_path / "a.png")
    bad: list[Any] = [
        {"label": "x", "png": "../a.png"},
        {"label": "x", "png": "/a.png"},
        {"label": "x", "png": "missing.png"},
        {"label": "y", "png": "a.png"},
        {"label": "x"},
        {"label": "x", "box": [1, 2, 3]},
        {"label": "x", "box": [1, 2, 3, 1e999]},
        {"label": "x", "png": "a.png", "score": 3},
        7,
    ]
    picture = {"file_name": "a.jpg", "width": 3, "height": 2, "instances": [*bad, {"label": "x", "png": "a.png"}]}
    document = {"format": "instance-pngs", "classes": [{"name": "x"}], "pictures": [picture, picture | {"height": 9}]}
    (tmp_path / "instances.json").write_text(json.dumps(document))
    heard: list[str] = []
    first, second = instance_pngs.read(tmp_path, on_problem=heard.append)
    assert [item.box for item in first.items] == [(0, 0, 3, 2)]
    assert second.items == ()
    assert len(heard) == 2 * len(bad) + 1
    with pytest.raises(FormatError, match="leads out"):
        list(instance_pngs.read(tmp_path))
    (tmp_path / "instances.json").write_text('{"classes": [], "pictures": [')
    with pytest.raises(FormatError, match=r"instances\.json"):
        instance_pngs.read(tmp_path)
