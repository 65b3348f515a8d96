"""LVIS: what is known of a photo beyond its objects stays."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from random_masks import LABELS, datasets

from exporters import coco_dataset, lvis
from exporters.dataset import Dataset, FormatError, Item, Label, Picture


def document() -> dict[str, Any]:
    """As the v1 files are: no file_name, no iscrowd."""
    image = {"license": 4, "flickr_url": "http://f/1.jpg", "date_captured": "2013", "width": 12, "height": 10}
    url = "http://images.cocodataset.org/val2017/000000397133.jpg"
    category = {"synonyms": ["aerosol_can"], "def": "a can", "image_count": 64, "instance_count": 109, "frequency": "c"}
    return {
        "info": {"version": "v1"},
        "licenses": [],
        "images": [
            image | {"id": 397133, "coco_url": url, "neg_category_ids": [2, 3], "not_exhaustive_category_ids": [3]},
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 397133,
                "category_id": 1,
                "segmentation": [[2.25, 2, 6, 2, 6.5, 6, 2, 6]],
                "area": 16.5,
                "bbox": [2, 2, 4.5, 4],
            }
        ],
        "categories": [
            {"id": key, "name": f"can_{key}", "synset": f"aerosol.n.0{key}", **category} for key in (1, 2, 3)
        ],
    }


def test_lvis_to_lvis_keeps_every_field(tmp_path: Path) -> None:
    source = tmp_path / "lvis_v1_val.json"
    source.write_text(json.dumps(document()))
    assert lvis.matches(source)
    dataset = lvis.read(source)
    (picture,) = dataset
    assert picture.file_name == "val2017/000000397133.jpg"
    written = lvis.write(dataset, tmp_path / "out.json")
    assert (written.notes, written.dropped) == ([], {})
    wanted = document()
    wanted["images"][0]["file_name"] = "val2017/000000397133.jpg"
    assert json.loads((tmp_path / "out.json").read_text()) == wanted


def test_through_coco_and_back(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps(document()))
    coco_dataset.write(lvis.read(tmp_path / "in.json"), tmp_path / "coco.json")
    lvis.write(coco_dataset.read(tmp_path / "coco.json"), tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["categories"] == document()["categories"]
    assert {**found["images"][0], "file_name": None} == {**document()["images"][0], "file_name": None}


def test_crowds_become_classes_that_are_not_exhaustive(tmp_path: Path) -> None:
    items = (Item("cat", (0, 0, 2, 2), id=1), Item("dog", (1, 1, 3, 3), id=2, crowd=True))
    labels = (Label("cat", 5), Label("dog", 6))
    dataset = Dataset("test", labels, 1, lambda: iter([Picture("a.jpg", 9, 9, items, id=3)]))
    written = lvis.write(dataset, tmp_path / "out.json")
    value = json.loads((tmp_path / "out.json").read_text())
    assert value["images"][0]["not_exhaustive_category_ids"] == [6]
    assert value["images"][0]["neg_category_ids"] == []
    assert ["iscrowd" in one for one in value["annotations"]] == [False]
    assert list(written.dropped.values()) == [1]
    assert "which classes are not on them" in written.notes[0]
    counts = [(one["frequency"], one["image_count"], one["instance_count"]) for one in value["categories"]]
    assert counts == [("r", 1, 1), ("r", 0, 0)]


def test_frequencies_follow_the_number_of_pictures(tmp_path: Path) -> None:
    def picture(number: int) -> Picture:
        names = [label.name for label, most in zip(LABELS, (10, 100, 101), strict=True) if number < most]
        return Picture(f"{number}.jpg", 9, 9, tuple(Item(name, (0, 0, 1, 1)) for name in names))

    lvis.write(Dataset("test", LABELS, 101, lambda: map(picture, range(101))), tmp_path / "out.json")
    value = json.loads((tmp_path / "out.json").read_text())
    assert [one["frequency"] for one in value["categories"]] == ["r", "c", "f"]


def test_ids_of_classes_that_are_gone_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text(json.dumps(document()))
    dataset = lvis.read(tmp_path / "in.json")
    written = lvis.write(replace(dataset, labels=dataset.labels[:2]), tmp_path / "out.json")
    value = json.loads((tmp_path / "out.json").read_text())
    assert value["images"][0]["neg_category_ids"] == [2]
    assert "2 ids in neg_category_ids or" in written.notes[0]


@pytest.mark.parametrize("url", [None, 5, "", "http://x/../../etc/passwd", "http://[::1"])
def test_a_photo_without_a_usable_name_is_reported(tmp_path: Path, url: Any) -> None:
    value = document()
    value["images"][0]["coco_url"] = url
    (tmp_path / "in.json").write_text(json.dumps(value))
    problems: list[str] = []
    found = list(lvis.read(tmp_path / "in.json", on_problem=problems.append))
    names = [picture.file_name for picture in found]
    assert names == (["etc/passwd"] if problems == [] else [])  # only the last two parts of an address count
    if problems:
        with pytest.raises(FormatError, match="file name"):
            list(lvis.read(tmp_path / "in.json"))


@given(dataset=datasets())
@settings(max_examples=25)
def test_any_data_set_comes_back_without_its_crowds(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lvis.write(dataset, Path(folder) / "out.json")
        for mine, theirs in zip(lvis.read(Path(folder) / "out.json"), dataset, strict=True):
            assert (mine.file_name, mine.id, mine.split) == (theirs.file_name, theirs.id, theirs.split)
            assert list(mine.items) == [item for item in theirs.items if not item.crowd]
