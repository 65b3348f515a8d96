"""COCO as the libraries around it read it: pycocotools, faster-coco-eval, torchvision, supervision."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from interop_set import areas, everything, items_by_id, mask_iou

from exporters.dataset import Dataset
from exporters.formats import load
from exporters.masks import decode, encode


@pytest.fixture
def ours(tmp_path: Path) -> Dataset:
    return everything(tmp_path / "photos")


@pytest.fixture
def file(ours: Dataset, tmp_path: Path) -> Path:
    load("coco").write(ours, tmp_path / "coco.json")
    return tmp_path / "coco.json"


def perfect_results(coco: Any) -> list[dict[str, Any]]:
    """Every object as a detection that is right."""
    return [
        {"image_id": x["image_id"], "category_id": x["category_id"], "score": 0.9, "segmentation": coco.annToRLE(x)}
        for x in coco.anns.values()
        if not x.get("iscrowd")
    ]


@pytest.mark.parametrize("library", ["pycocotools", "faster_coco_eval"])
def test_coco_apis(library: str, ours: Dataset, file: Path) -> None:
    if library == "pycocotools":
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    else:
        from faster_coco_eval import COCO
        from faster_coco_eval import COCOeval_faster as COCOeval
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(file))
        items = items_by_id(ours)
        assert sorted(coco.getImgIds()) == [1, 2, 3, 4]
        assert {x["id"]: x["name"] for x in coco.loadCats(coco.getCatIds())} == {x.id: x.name for x in ours.labels}
        assert {key: x["area"] for key, x in coco.anns.items()} == areas(ours)
        for key, annotation in coco.anns.items():
            assert items[key].mask is not None
            assert (coco.annToMask(annotation) == decode(items[key].mask)).all()
            x, y, w, h = annotation["bbox"]
            assert (x, y, x + w, y + h) == items[key].box
            assert bool(annotation["iscrowd"]) == items[key].crowd
        evaluation = COCOeval(coco, coco.loadRes(perfect_results(coco)), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_torchvision(ours: Dataset, file: Path) -> None:
    from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

    keys = ("boxes", "labels", "masks", "image_id", "iscrowd", "area")
    found = wrap_dataset_for_transforms_v2(CocoDetection(str(ours.images), str(file)), target_keys=keys)
    assert len(found) == ours.count
    ids = {label.name: label.id for label in ours.labels}
    for (photo, target), picture in zip(found, ours, strict=True):
        assert photo.size == (picture.width, picture.height)
        assert target["image_id"] == picture.id
        if not picture.items:
            continue
        assert target["boxes"].tolist() == [list(item.box or ()) for item in picture.items]
        assert target["labels"].tolist() == [ids[item.label] for item in picture.items]
        for mask, item in zip(target["masks"].numpy(), picture.items, strict=True):
            assert item.mask is not None
            assert (mask == decode(item.mask)).all()


def test_supervision(ours: Dataset, file: Path, tmp_path: Path) -> None:
    """Its loader draws polygons with OpenCV, line and inside: one pixel more to the right and below."""
    found = sv.DetectionDataset.from_coco(str(ours.images), str(file), force_masks=True)
    assert found.classes == [label.name for label in ours.labels]
    assert len(found) == ours.count
    segmentations = {x["id"]: x["segmentation"] for x in json.loads(file.read_text())["annotations"]}
    for picture in ours:
        detections = found.annotations[str(tmp_path / "photos" / picture.file_name)]
        assert len(detections) == len(picture.items)
        if not picture.items:
            continue
        assert [found.classes[k] for k in detections.class_id] == [item.label for item in picture.items]
        assert detections.xyxy.tolist() == [list(item.box or ()) for item in picture.items]
        assert detections.data["iscrowd"].tolist() == [int(item.crowd) for item in picture.items]
        assert detections.data["area"].tolist() == [areas(ours)[int(str(item.id))] for item in picture.items]
        for mask, item in zip(detections.mask, picture.items, strict=True):
            assert item.mask is not None
            if isinstance(segmentations[item.id], dict):
                assert (mask == decode(item.mask)).all()
            else:
                height, width = item.mask["size"]
                grown = np.zeros((height + 1, width + 1), bool)
                for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    grown[dy : dy + height, dx : dx + width] |= decode(item.mask)
                assert mask_iou(encode(mask), encode(grown[:-1, :-1])) > 0.97
