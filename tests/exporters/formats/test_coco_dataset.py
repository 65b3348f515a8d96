"""COCO instances through the record and back: nothing is lost, and what is wrong is named."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from pycocotools.coco import COCO
from random_masks import box_of, datasets, masks, save_photos

from exporters import coco_dataset as coco
from exporters import lvis, panoptic_dataset
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import area, encode, from_coco

SQUARE = [2.25, 2, 6, 2, 6.5, 6, 2, 6]


def document(**changes: Any) -> dict[str, Any]:
    """A COCO file with fields of its own everywhere."""
    return {
        "info": {"description": "über", "year": 2020},
        "licenses": [{"id": 1, "name": "CC"}],
        "images": [
            {"id": 9, "file_name": "sub/a b.jpg", "width": 12, "height": 10, "license": 1, "date_captured": "x"},
            {"id": 4, "file_name": "ö.jpg", "width": 8, "height": 8},
        ],
        "annotations": [
            {
                "id": 70,
                "image_id": 9,
                "category_id": 18,
                "segmentation": [SQUARE],
                "area": 16.5,
                "bbox": [2.1, 2.2, 4.3, 4],
                "iscrowd": 0,
                "attributes": {"occluded": True},
                "track": [1, 2],
            },
            {
                "id": 71,
                "image_id": 9,
                "category_id": 1,
                "segmentation": {"size": [10, 12], "counts": [10, 30, 80]},
                "area": 30,
                "bbox": [1, 0, 3, 10],
                "iscrowd": 1,
                "score": 0.25,
            },
            {
                "id": 5,
                "image_id": 4,
                "category_id": 1,
                "segmentation": [],
                "area": 4,
                "bbox": [1, 1, 2, 2],
                "iscrowd": 0,
            },
        ],
        "categories": [
            {"id": 18, "name": "dog", "supercategory": "animal", "color": [1, 2, 3]},
            {"id": 1, "name": "日本 犬", "supercategory": "animal"},
            {"id": 2, "name": "never seen", "isthing": 0},
        ],
    } | changes


def save(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def same_pictures(found: Dataset, wanted: Dataset) -> None:
    assert [label.name for label in found.labels] == [label.name for label in wanted.labels]
    for mine, theirs in zip(found, wanted, strict=True):
        assert replace(mine, items=()) == replace(theirs, items=())
        assert list(mine.items) == list(theirs.items)


def test_coco_to_coco_keeps_every_field_and_number(tmp_path: Path) -> None:
    source = save(tmp_path / "in.json", document())
    dataset = coco.read(source)
    assert coco.matches(source)
    assert (dataset.count, dataset.labels[0].id, dataset.labels[2].is_thing) == (2, 18, False)
    written = coco.write(dataset, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == document()
    assert (written.pictures, written.items, written.dropped, written.notes) == (2, 3, {}, [])
    same_pictures(coco.read(tmp_path / "out.json"), dataset)


def test_what_items_say(tmp_path: Path) -> None:
    first, second = coco.read(save(tmp_path / "in.json", document()))
    dog, crowd = first.items
    assert dog.mask == from_coco([SQUARE], 10, 12)
    assert dog.box == (2.1, 2.2, 2.1 + 4.3, 6.2)
    assert dog.attributes == {"occluded": True, "track": [1, 2]}
    assert (crowd.crowd, crowd.score, area(crowd.mask or encode(np.zeros((1, 1))))) == (True, 0.25, 30)
    assert first.attributes == {"license": 1, "date_captured": "x"}
    assert second.items == (Item("日本 犬", (1, 1, 3, 3), id=5),)


def test_changed_masks_are_written_anew(tmp_path: Path) -> None:
    dataset = coco.read(save(tmp_path / "in.json", document()))
    mask = encode(np.eye(10, 12) > 0)

    def changed() -> Iterator[Picture]:
        for picture in dataset:
            yield replace(picture, items=tuple(replace(item, mask=mask, box=None) for item in picture.items[:1]))

    coco.write(replace(dataset, pictures=changed, count=1), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert from_coco(found["segmentation"], 10, 12) == mask
    assert (found["area"], found["bbox"], found["track"]) == (10, [0, 0, 10, 10], [1, 2])


@given(dataset=datasets())
@settings(max_examples=40)
def test_any_data_set_comes_back_equal(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        coco.write(dataset, Path(folder) / "out.json")
        same_pictures(coco.read(Path(folder) / "out.json"), dataset)


@given(mask=masks(9, 14))
def test_any_mask_is_the_same_for_pycocotools(mask: Any) -> None:
    items = (Item("cat", mask=mask), Item("cat", box_of(mask), mask, crowd=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.json"
        coco.write(_one(items, width=14, height=9), path)
        with redirect_stdout(io.StringIO()):
            theirs = COCO(str(path))
        for annotation in theirs.loadAnns(theirs.getAnnIds()):
            assert encode(theirs.annToMask(annotation)) == mask
            assert annotation["area"] == area(mask)


def _one(items: tuple[Item, ...], *, width: int = 12, height: int = 10, **changes: Any) -> Dataset:
    picture = Picture("a.jpg", width, height, items, **changes)
    return Dataset("test", (Label("cat"),), 1, lambda: iter([picture]))


def test_ids_that_coco_cannot_have_get_numbers_and_come_back(tmp_path: Path) -> None:
    keys: list[int | str | None] = ["Zk9-ab", 7, None, 7, "8"]
    box = (0.0, 0.0, 1.0, 1.0)
    written = coco.write(_one(tuple(Item("cat", box, id=key) for key in keys), id="photo 1"), tmp_path / "a.json")
    value = json.loads((tmp_path / "a.json").read_text())
    assert [one["id"] for one in value["annotations"]] == [8, 7, 9, 10, 11]
    assert value["images"][0]["id"] == 1
    assert {one["image_id"] for one in value["annotations"]} == {1}
    assert written.notes == ["1 annotation ids were used twice: the later ones got new numbers"]
    (picture,) = coco.read(tmp_path / "a.json")
    assert picture.id == "photo 1"
    assert [item.id for item in picture.items] == ["Zk9-ab", 7, 9, 10, "8"]


def test_text_ids_of_a_coco_file_stay(tmp_path: Path) -> None:
    value = document()
    value["images"][1]["id"] = value["annotations"][2]["image_id"] = "four"
    value["annotations"][2]["id"] = "five"
    value["categories"][0]["id"] = value["annotations"][0]["category_id"] = "eighteen"
    coco.write(coco.read(save(tmp_path / "in.json", value)), tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == value


def test_classes_of_one_name_are_told_apart_and_keep_it(tmp_path: Path) -> None:
    value = document(categories=[{"id": 18, "name": "dog"}, {"id": 1, "name": "dog"}, {"id": 3, "name": "dog (1)"}])
    dataset = coco.read(save(tmp_path / "in.json", value))
    assert [label.name for label in dataset.labels] == ["dog (18)", "dog (1)'", "dog (1)"]
    coco.write(dataset, tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == value


def test_attributes_splits_and_groups_of_other_formats(tmp_path: Path) -> None:
    attributes = {"occluded": False, "id": "theirs", "area": np.float32(0.5), "bad": float("nan")}
    item = Item("cat", (0, 0, 2, 2), id=1, group="g", attributes=attributes)
    coco.write(_one((item,), split="val", attributes={"video": 3}, id=2), tmp_path / "out.json")
    (found,) = coco.read(tmp_path / "out.json")
    assert (found.split, found.attributes, found.items[0].group) == ("val", {"video": 3}, "g")
    assert found.items[0].attributes == {"occluded": False, "id": "theirs", "area": 0.5, "bad": None}


def test_tolerance_costs_a_counted_iou(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80]
    disc = encode((x - 40) ** 2 + (y - 30) ** 2 < 600)
    options = WriteOptions(tolerance=1.5)
    dataset = _one((Item("cat", mask=disc),), width=80, height=60)
    written = coco.write(dataset, tmp_path / "out.json", options)
    total, number, least = written.ious
    assert number == 1
    assert 0.9 < least == total < 1
    exact = coco.write(dataset, tmp_path / "exact.json")
    assert exact.ious[1] == 0
    assert (tmp_path / "out.json").stat().st_size < (tmp_path / "exact.json").stat().st_size


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("annotations", {"image_id": 12345}, "is no id of an image"),
    ("annotations", {"category_id": 77}, "category_id 77 is not among the categories"),
    ("annotations", {"bbox": [1, 2, 3]}, "four numbers are needed"),
    ("annotations", {"bbox": [1, 2, -3, 4]}, "four numbers are needed"),
    ("annotations", {"bbox": [1, 2, 1e999, 4]}, "four numbers are needed"),
    ("annotations", {"bbox": None, "segmentation": []}, "neither a mask nor a box"),
    ("annotations", {"segmentation": {"size": [9, 9], "counts": [81]}}, "RLE size"),
    ("annotations", {"segmentation": [[1, 2, 3, 1e300, 5, 6]]}, "far outside"),
    ("annotations", {"segmentation": "x"}, "segmentation is a str"),
    ("images", {"file_name": "../../etc/passwd"}, "leads out of the folder"),
    ("images", {"file_name": "/etc/passwd"}, "absolute"),
    ("images", {"file_name": "C:\\a.jpg"}, "absolute"),
    ("images", {"file_name": None}, "file name is empty"),
    ("images", {"width": 10**400}, "no usable width and height"),
    ("images", {"width": 2**20, "height": 2**20}, "too many"),
    ("categories", {"id": 1}, "came before"),
]


@pytest.mark.parametrize(("name", "change", "message"), BAD)
def test_bad_elements_are_named_and_left_out(tmp_path: Path, name: str, change: dict[str, Any], message: str) -> None:
    value = document()
    value[name][0] |= change
    source = save(tmp_path / "in.json", value)
    with pytest.raises(FormatError, match=message) as error:
        list(coco.read(source))
    assert str(source) in str(error.value)
    problems: list[str] = []
    pictures = list(coco.read(source, on_problem=problems.append))
    assert any(message in problem for problem in problems)
    assert pictures[-1].items[-1].id == 5  # the rest goes on


def test_of_images_with_one_id_the_last_counts(tmp_path: Path) -> None:
    value = document()
    value["images"].append(dict(value["images"][0], file_name="later.jpg"))
    source = save(tmp_path / "in.json", value)
    with pytest.raises(FormatError, match=r"images\[0\]: a later image has the same id 9"):
        list(coco.read(source))
    problems: list[str] = []
    found = [(picture.file_name, len(picture.items)) for picture in coco.read(source, on_problem=problems.append)]
    assert found == [("ö.jpg", 1), ("later.jpg", 2)]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": 3, "annotations": []}', "\x00\x01", '{"a": ' + "[" * 9999])
def test_no_coco_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text)
    assert not coco.matches(tmp_path / "in.json")
    with pytest.raises(FormatError, match=r"in\.json"):
        coco.read(tmp_path / "in.json")


def test_missing_file(tmp_path: Path) -> None:
    assert not coco.matches(tmp_path / "no.json")
    with pytest.raises(FormatError, match="can't be opened"):
        coco.read(tmp_path / "no.json")


def test_size_comes_from_the_photo_where_the_file_has_none(tmp_path: Path) -> None:
    value = document()
    for name in ("width", "height"):
        del value["images"][0][name]
    (tmp_path / "images" / "sub").mkdir(parents=True)
    Image.new("RGB", (12, 10)).save(tmp_path / "images" / "sub" / "a b.jpg")
    dataset = coco.read(save(tmp_path / "in.json", value))
    assert dataset.images == tmp_path / "images"
    assert [(picture.width, picture.height) for picture in dataset] == [(12, 10), (8, 8)]


def test_folder_with_photos(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "photos" / folder).mkdir(parents=True)
    pictures = [Picture(f"{folder}/x y.png", 6, 5, (), id=k) for k, folder in enumerate("ab", 1)]
    pictures.append(Picture("gone.png", 6, 5, (), id=3))
    dataset = Dataset("test", (Label("cat"),), 3, lambda: iter(pictures[:2]))
    dataset = replace(save_photos(dataset, tmp_path / "photos"), pictures=lambda: iter(pictures))
    written = coco.write(dataset, tmp_path / "out", WriteOptions(copy_images="link"))
    assert sum(written.dropped.values()) == 1
    assert (tmp_path / "out" / "images" / "b" / "x y.png").is_file()
    assert coco.matches(tmp_path / "out")
    found = coco.read(tmp_path / "out")
    assert found.images == tmp_path / "out" / "images"
    assert list(found) == pictures
    with pytest.raises(FormatError, match="not empty"):
        coco.write(dataset, tmp_path / "out")
    with pytest.raises(FormatError, match="no room for photos"):
        coco.write(dataset, tmp_path / "out.json", WriteOptions(copy_images="copy"))


def test_a_folder_with_splits(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        value = document(images=[{"id": 9, "file_name": "x.jpg", "width": 12, "height": 10}], annotations=[])
        save(tmp_path / "annotations" / f"instances_{split}2017.json", value)
        save(tmp_path / "annotations" / f"captions_{split}2017.json", {})
        (tmp_path / f"{split}2017").mkdir()
        Image.new("RGB", (12, 10)).save(tmp_path / f"{split}2017" / "x.jpg")
    assert coco.matches(tmp_path)
    dataset = coco.read(tmp_path)
    assert (dataset.images, dataset.count) == (tmp_path, 2)
    found = [(picture.file_name, picture.split) for picture in dataset]
    assert found == [("train2017/x.jpg", "train"), ("val2017/x.jpg", "val")]
    written = coco.write(dataset, tmp_path / "out", WriteOptions(copy_images="link"))
    assert written.dropped == {}
    again = [(picture.file_name, picture.split) for picture in coco.read(tmp_path / "out")]
    assert again == found
    save(tmp_path / "annotations" / "instances_val2017.json", document(categories=[], annotations=[]))
    with pytest.raises(FormatError, match="classes of 'val'"):
        coco.read(tmp_path)


def test_nothing_is_left_when_reading_fails(tmp_path: Path) -> None:
    value = document()
    value["annotations"][2]["category_id"] = 99
    dataset = coco.read(save(tmp_path / "in.json", value))
    for out in ("out", "out.json"):
        with pytest.raises(FormatError, match="category_id 99"):
            coco.write(dataset, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]


def test_a_file_changed_while_walking_is_noticed(tmp_path: Path) -> None:
    source = save(tmp_path / "in.json", document())
    dataset = coco.read(source)
    source.write_text(source.read_text() + " ")
    with pytest.raises(FormatError, match="was changed"):
        list(dataset)


def test_relatives_are_told_apart(tmp_path: Path) -> None:
    plain = Dataset(
        "test", (Label("cat", 1), Label("sky", 2, is_thing=False)), 1, lambda: iter([Picture("a.jpg", 4, 4)])
    )
    coco.write(plain, tmp_path / "coco.json")
    lvis.write(plain, tmp_path / "other.json")
    panoptic_dataset.write(plain, tmp_path / "pan")
    places = (tmp_path / "coco.json", tmp_path / "other.json", tmp_path / "pan")
    table = [[module.matches(place) for place in places] for module in (coco, lvis, panoptic_dataset)]
    assert table == [[True, False, False], [False, True, False], [False, False, True]]
