"""Datumaro, from an environment of its own (it wants another pandas): what it finds in our files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from interop_set import areas, as_train, ask, best_matches, everything, foreign_python, items_by_id, without_crowds

from exporters.dataset import Dataset, Picture, WriteOptions
from exporters.formats import load

WITH_PHOTOS = WriteOptions(copy_images="link")


@pytest.fixture(scope="module")
def python() -> Path:
    return foreign_python("OPENSEED_LABEL_TEST_DATUMARO", ".venv-datumaro")


@pytest.fixture
def ours(tmp_path: Path) -> Dataset:
    return everything(tmp_path / "photos")


def found_by(python: Path, name: str, path: Path, home: Path, ours: Dataset) -> list[tuple[Picture, Any]]:
    """Our pictures with datumaro's items; every one of both is there, with its size and classes."""
    told = ask(python, "with_datumaro.py", name, path, home=home)
    assert set(told["names"]) >= {label.name for label in ours.labels}
    items = {item["id"]: item for item in told["items"]}
    assert sorted(items) == sorted(picture.file_name.removesuffix(".jpg") for picture in ours)
    pairs = [(picture, items[picture.file_name.removesuffix(".jpg")]) for picture in ours]
    for picture, item in pairs:
        assert (item["height"], item["width"]) == (picture.height, picture.width)
    return pairs


def masks_of(item: Any) -> list[dict[str, Any]]:
    return [x for x in item["annotations"] if x["rle"] is not None]


def test_coco(python: Path, ours: Dataset, tmp_path: Path) -> None:
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    load("coco").write(ours, root / "annotations" / "instances_train.json")
    (root / "images" / "train").symlink_to(tmp_path / "photos")
    items, found = items_by_id(ours), 0
    for picture, item in found_by(python, "coco_instances", root, tmp_path, ours):
        boxes = {x["id"]: x for x in item["annotations"] if x["type"] == "bbox"}
        masks: dict[int, list[dict[str, Any]]] = {}
        for x in masks_of(item):  # a polygon for each island; they share their id
            masks.setdefault(x["id"], []).append(x)
        assert set(boxes) == set(masks) == {x.id for x in picture.items}
        for key, parts in masks.items():
            assert sum(x["area"] for x in parts) == areas(ours)[key]
            assert {x["label"] for x in parts} == {items[key].label}
            assert {x["crowd"] for x in parts} == {items[key].crowd}
            x, y, w, h = boxes[key]["bbox"]
            assert (x, y, x + w, y + h) == items[key].box
            found += 1
    assert found == len(items)


def test_its_own_format(python: Path, ours: Dataset, tmp_path: Path) -> None:
    load("datumaro").write(ours, tmp_path / "out", WITH_PHOTOS)
    for picture, item in found_by(python, "datumaro", tmp_path / "out", tmp_path, ours):
        assert item["subset"] == picture.split
        assert {x["id"]: (x["area"], x["crowd"]) for x in masks_of(item)} == {
            x.id: (areas(ours)[int(str(x.id))], x.crowd) for x in picture.items
        }
        assert best_matches(picture, masks_of(item)) == [1.0] * len(picture.items)


def test_cvat(python: Path, ours: Dataset, tmp_path: Path) -> None:
    """Of a file it reads the pictures of one subset only, so there is none."""
    ours = as_train(ours)
    load("cvat").write(ours, tmp_path / "out", WITH_PHOTOS)
    for picture, item in found_by(python, "cvat", tmp_path / "out", tmp_path, ours):
        assert best_matches(picture, masks_of(item)) == [1.0] * len(picture.items)


def test_yolo(python: Path, tmp_path: Path) -> None:
    """It reads boxes, and no sub-folders."""
    ours = without_crowds(everything(tmp_path / "photos", flat=True))
    load("yolo-detect").write(ours, tmp_path / "out", WITH_PHOTOS)
    for picture, item in found_by(python, "yolo", tmp_path / "out", tmp_path, ours):
        assert item["subset"] == picture.split
        boxes = [(x["label"], *x["bbox"]) for x in item["annotations"]]
        assert len(boxes) == len(picture.items)
        for (label, x, y, w, h), ours_ in zip(boxes, picture.items, strict=True):
            assert label == ours_.label
            assert (x, y, x + w, y + h) == pytest.approx(ours_.box, abs=0.02)  # it rounds to a hundredth


def test_panoptic(python: Path, tmp_path: Path) -> None:
    ours = as_train(without_crowds(everything(tmp_path / "photos", flat=True)), "train")
    load("coco-panoptic").write(ours, tmp_path / "out")
    again = load("coco-panoptic").read(tmp_path / "out")  # what overlapped has been cut
    root = tmp_path / "coco"
    (root / "annotations").mkdir(parents=True)
    (root / "images").mkdir()
    (root / "images" / "train").symlink_to(tmp_path / "photos")
    shutil.copy(tmp_path / "out" / "panoptic.json", root / "annotations" / "panoptic_train.json")
    shutil.copytree(tmp_path / "out" / "panoptic", root / "annotations" / "panoptic_train")
    for picture, item in found_by(python, "coco_panoptic", root, tmp_path, again):
        assert best_matches(picture, masks_of(item)) == [1.0] * len(picture.items)


def test_voc(python: Path, tmp_path: Path) -> None:
    """It takes VOC's first pixel, which is number 1, as it stands."""
    ours = without_crowds(everything(tmp_path / "photos", flat=True))
    load("voc").write(ours, tmp_path / "out", WITH_PHOTOS)
    again = load("voc").read(tmp_path / "out")  # what overlapped has been cut
    pictures = {picture.file_name: picture for picture in again}
    for picture, item in found_by(python, "voc", tmp_path / "out", tmp_path, ours):
        assert item["subset"] == picture.split
        assert best_matches(pictures[picture.file_name], masks_of(item)) == [1.0] * len(picture.items)
        boxes = [x for x in item["annotations"] if x["type"] == "bbox"]
        assert [x["label"] for x in boxes] == [x.label for x in picture.items]
        for box, x in zip(boxes, picture.items, strict=True):
            left, top, width, height = box["bbox"]
            assert (left - 1, top - 1, left + width, top + height) == x.box
