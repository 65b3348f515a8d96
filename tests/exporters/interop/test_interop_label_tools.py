"""Label Studio's validator and brush decoder, CVAT's mask decoder: what they make of our files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cvat_sdk.masks import decode_mask
from interop_set import everything, items_by_id
from label_studio_sdk.converter.brush import decode_rle
from label_studio_sdk.label_interface import LabelInterface

from exporters.dataset import Dataset, WriteOptions
from exporters.formats import load
from exporters.masks import decode


@pytest.fixture
def ours(tmp_path: Path) -> Dataset:
    return everything(tmp_path / "photos")


@pytest.mark.parametrize("tolerance", [0.0, 0.5])
def test_label_studio_accepts_the_tasks(ours: Dataset, tmp_path: Path, tolerance: float) -> None:
    load("label-studio").write(ours, tmp_path / "tasks.json", WriteOptions(tolerance=tolerance))
    config = LabelInterface((tmp_path / "tasks.xml").read_text())
    config.validate()
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert len(tasks) == ours.count
    for task in tasks:
        assert config.validate_task({"data": task["data"]})
        for annotation in task.get("annotations", []):
            assert config.validate_annotation(annotation)
            # the same rules, with the reasons; it asks for a score
            assert config.validate_prediction({**annotation, "score": 1.0}, return_errors=True) == []
        for prediction in task.get("predictions", []):
            assert config.validate_prediction(prediction, return_errors=True) == []


def test_label_studio_decodes_the_brushes(ours: Dataset, tmp_path: Path) -> None:
    load("label-studio").write(ours, tmp_path / "tasks.json")
    left = items_by_id(ours)
    for task in json.loads((tmp_path / "tasks.json").read_text()):
        for annotation in [*task.get("annotations", []), *task.get("predictions", [])]:
            for region in annotation["result"]:
                if region["type"] != "brushlabels":
                    continue
                item = left.pop(int(region["id"].removeprefix("coco-")))
                height, width = region["original_height"], region["original_width"]
                found = decode_rle(region["value"]["rle"]).reshape(height, width, 4)[..., 3] > 0
                assert item.mask is not None
                assert region["value"]["brushlabels"] == [item.label]
                assert (found == decode(item.mask)).all()
    assert not left


def test_cvat_decodes_the_masks(ours: Dataset, tmp_path: Path) -> None:
    load("cvat").write(ours, tmp_path / "cvat")
    images = ElementTree.parse(tmp_path / "cvat" / "annotations.xml").getroot().findall("image")
    assert [image.get("name") for image in images] == [picture.file_name for picture in ours]
    for image, picture in zip(images, ours, strict=True):
        masks = image.findall("mask")
        assert [mask.get("label") for mask in masks] == [item.label for item in picture.items]
        for mask, item in zip(masks, picture.items, strict=True):
            left, top, w, h = (int(mask.get(key, "")) for key in ("left", "top", "width", "height"))
            # the points of CVAT's API are the file's runs and the box, its last pixel included
            points = [float(run) for run in mask.get("rle", "").split(",")]
            points += [left, top, left + w - 1, top + h - 1]
            size = {"image_width": int(image.get("width", "")), "image_height": int(image.get("height", ""))}
            assert item.mask is not None
            assert np.array_equal(decode_mask(points, **size), decode(item.mask))
