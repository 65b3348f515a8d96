"""Datumaro's layout: everything comes back, Datumaro's own shapes are read, hostile files are refused."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from random_masks import datasets, save_photos

from exporters import datumaro_json
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import area, encode


def by_name(dataset: Dataset) -> dict[str, Picture]:
    return {f"{picture.split}:{picture.file_name}": picture for picture in dataset}


@settings(max_examples=40)
@given(datasets(splits=("train", "val", "")))
def test_everything_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = datumaro_json.write(dataset, out)
        assert datumaro_json.matches(out)
        found = datumaro_json.read(out)
        assert found.labels == dataset.labels
        assert by_name(found) == by_name(dataset)
        assert found.count == written.pictures


def dataset_of(*items: Item, **more: Any) -> Dataset:
    return Dataset("here", (Label("car"), Label("sky", is_thing=False)), 1, lambda: iter([picture(*items, **more)]))


def picture(*items: Item, name: str = "a.jpg", **more: Any) -> Picture:
    return Picture(name, 10, 8, items, **more)


def test_ids_groups_and_boxes_of_all_kinds(tmp_path: Path) -> None:
    mask = np.zeros((8, 10), bool)
    mask[2:5, 3:7] = True
    rle = encode(mask)
    tight, wide = (3.0, 2.0, 7.0, 5.0), (2.5, 2.0, 8.0, 5.5)
    items = [
        Item("car", wide, rle, id=5, group=5),
        Item("car", wide, rle, id=5, group="g", score=0.25),
        Item("car", wide, rle, id="five", group="g"),
        Item("car", wide, rle, attributes={"z_order": 3, "deep": {"a": [1]}}),
        Item("car", tight, rle, id=0),
        Item("sky", tight, rle, id=-4, group=0, crowd=True),
        Item("sky", wide, group=5),
        Item("sky", tight, rle, id=7, group=9),
    ]
    datumaro_json.write(dataset_of(*items, id="p", attributes={"weather": "rain"}), tmp_path / "o")
    assert list(datumaro_json.read(tmp_path / "o")) == [picture(*items, id="p", attributes={"weather": "rain"})]


def test_same_stem_twice_and_long_names(tmp_path: Path) -> None:
    names = ["a.jpg", "a.png", "A.jpg", "ü" * 120 + ".jpg", "sub/a.jpg"]
    pictures = [picture(name=name) for name in names]
    dataset = Dataset("here", (), 5, lambda: iter(pictures))
    datumaro_json.write(save_photos(dataset, tmp_path / "i"), tmp_path / "o", WriteOptions(copy_images="link"))
    found = list(datumaro_json.read(tmp_path / "o"))
    assert [p.file_name for p in found][:3] == names[:3]
    assert all((tmp_path / "o/images/default" / p.file_name).is_file() for p in found)
    items = json.loads((tmp_path / "o/annotations/default.json").read_text())["items"]
    assert len({item["id"] for item in items}) == 5
    assert all((tmp_path / "o/images/default" / item["image"]["path"]).is_file() for item in items)


def test_photos_of_several_subsets_are_found(tmp_path: Path) -> None:
    pictures = [picture(name="a.jpg", split="train"), picture(name="b/a.jpg", split="val")]
    dataset = save_photos(Dataset("here", (), 2, lambda: iter(pictures)), tmp_path / "i")
    datumaro_json.write(dataset, tmp_path / "o", WriteOptions(copy_images="copy"))
    assert sorted(p.file_name for p in datumaro_json.read(tmp_path / "o")) == ["train/a.jpg", "val/b/a.jpg"]
    assert [p.file_name for p in datumaro_json.read(tmp_path / "o/annotations/val.json")] == ["b/a.jpg"]
    assert sorted(p.file_name for p in datumaro_json.read(tmp_path / "o", images=tmp_path / "i")) == [
        "a.jpg",
        "b/a.jpg",
    ]


def foreign(folder: Path, *shapes: Any, **item: Any) -> Path:
    head = {"infos": {}, "categories": {"label": {"labels": [{"name": "car", "parent": ""}]}}}
    found = {"id": "a", "annotations": list(shapes), "image": {"path": "a.jpg", "size": [8, 10]}} | item
    (folder / "annotations").mkdir(exist_ok=True)
    path = folder / "annotations" / "train.json"
    path.write_text(json.dumps(head | {"items": [found]}))
    return path


def shape(**more: Any) -> dict[str, Any]:
    return {"id": 1, "group": 1, "label_id": 0, "attributes": {}, "type": "bbox", "bbox": [1, 2, 3, 4]} | more


def test_polygons_and_box_of_one_object(tmp_path: Path) -> None:
    left = shape(type="polygon", points=[0, 0, 2, 0, 2, 2, 0, 2])
    right = shape(type="polygon", points=[5, 5, 8, 5, 8, 8, 5, 8])
    other = shape(id=2, group=1)
    (found,) = datumaro_json.read(foreign(tmp_path, left, shape(attributes={"is_crowd": False}), right, other))
    first, second = found.items
    assert first.mask is not None
    assert area(first.mask) == 4 + 9
    assert first.box == (1, 2, 4, 6)
    assert (first.group, second.group, second.mask, found.split) == (1, 1, None, "train")


BAD = {
    "no region": shape(type="polyline", points=[1, 1, 2, 2]),
    "no index": shape(label_id=7),
    r"\[x, y, width": shape(bbox=[1, 2, 3]),
    "bbox is": shape(bbox=[1, 2, 3, 1e400]),
    "redraw": shape(type="mask", rle={"counts": "zz\x7f", "size": [8, 10]}),
    "RLE size": shape(type="mask", rle={"counts": "P1", "size": [9, 10]}),
    "covers no pixel": shape(type="polygon", points=[]),
    "score": shape(attributes={"score": "high"}),
    "int": 3,
}


@pytest.mark.parametrize("words", BAD)
def test_a_bad_shape_is_reported_and_the_rest_goes_on(words: str, tmp_path: Path) -> None:
    path = foreign(tmp_path, BAD[words], shape(id=4))
    with pytest.raises(FormatError, match=words):
        list(datumaro_json.read(path))
    heard: list[str] = []
    (found,) = datumaro_json.read(path, on_problem=heard.append)
    assert len(found.items) == len(heard) == 1
    assert "items[0]" in heard[0]


@pytest.mark.parametrize("name", ["../../x.jpg", "/x.jpg", "C:/x.jpg"])
def test_names_stay_inside(name: str, tmp_path: Path) -> None:
    heard: list[str] = []
    path = foreign(tmp_path, image={"path": name, "size": [8, 10]})
    assert list(datumaro_json.read(path, on_problem=heard.append)) == []
    assert len(heard) == 1
    with pytest.raises(FormatError):
        datumaro_json.write(dataset_of(name=name), tmp_path / "o")
    with pytest.raises(FormatError):
        datumaro_json.write(dataset_of(split="../" + name), tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_size_from_the_photo(tmp_path: Path) -> None:
    path = foreign(tmp_path, shape(), image={"path": "a.jpg"})
    with pytest.raises(FormatError, match="--images"):
        list(datumaro_json.read(path))
    save_photos(dataset_of(), tmp_path / "images" / "train")
    (found,) = datumaro_json.read(path)
    assert (found.width, found.height) == (10, 8)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"items": [1', '{"categories": {"label": {"labels": [1]}}}'])
def test_broken_files(text: str, tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.json").write_text(text)
    assert not datumaro_json.matches(tmp_path)
    with pytest.raises(FormatError, match=r"train\.json"):
        datumaro_json.read(tmp_path)
