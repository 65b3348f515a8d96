"""YOLO as supervision and Ultralytics' own data-set loader read it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from interop_set import as_train, ask, best_matches, everything, foreign_python, without_crowds

from exporters.dataset import Dataset, WriteOptions
from exporters.formats import load
from exporters.masks import area

WITH_PHOTOS = WriteOptions(copy_images="link")

# OpenCV fills a polygon's line too. A mask of this many pixels keeps this much of its IoU; thinner ones may not.
LARGE, DRAWN = 400, 0.88


@pytest.fixture
def ours(tmp_path: Path) -> Dataset:
    return without_crowds(everything(tmp_path / "photos"))


def test_ultralytics_reads_outlines(ours: Dataset, tmp_path: Path) -> None:
    python = foreign_python("OPENSEED_LABEL_TEST_ULTRALYTICS", ".venv-ultralytics")
    out = tmp_path / "yolo"
    load("yolo-segment").write(ours, out, WITH_PHOTOS)
    found = ask(python, "with_ultralytics.py", "segment", out / "data.yaml", home=tmp_path)
    assert list(found["names"].values()) == [label.name for label in ours.labels]
    files = {Path(item["file"]).relative_to(out / "images").as_posix(): item for item in found["items"]}
    assert len(files) == ours.count
    for picture in ours:
        item = files[f"{picture.split}/{picture.file_name}"]
        assert (item["split"], item["height"], item["width"]) == (picture.split, picture.height, picture.width)
        assert min(best_matches(picture, item["objects"]), default=1) > 0.999  # the outlines that it holds
        drawn = [{**found, "rle": found["drawn"]} for found in item["objects"]]
        for ours_, iou in zip(picture.items, best_matches(picture, drawn), strict=True):
            assert ours_.mask is not None
            assert iou > (DRAWN if area(ours_.mask) >= LARGE else 0.1)


def test_ultralytics_reads_boxes(ours: Dataset, tmp_path: Path) -> None:
    python = foreign_python("OPENSEED_LABEL_TEST_ULTRALYTICS", ".venv-ultralytics")
    out = tmp_path / "yolo"
    load("yolo-detect").write(ours, out, WITH_PHOTOS)
    found = ask(python, "with_ultralytics.py", "detect", out / "data.yaml", home=tmp_path)
    files = {Path(item["file"]).relative_to(out / "images").as_posix(): item for item in found["items"]}
    assert len(files) == ours.count
    for picture in ours:
        objects = files[f"{picture.split}/{picture.file_name}"]["objects"]
        assert [x["label"] for x in objects] == [item.label for item in picture.items]
        for x, item in zip(objects, picture.items, strict=True):
            cx, cy, w, h = np.array(x["box"]) * np.tile([picture.width, picture.height], 2)
            assert [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] == pytest.approx(item.box, abs=1e-3)


def test_supervision(tmp_path: Path) -> None:
    """It has no sub-folders and no splits: one folder of photos, one of labels."""
    ours = as_train(without_crowds(everything(tmp_path / "photos", flat=True)), "train")
    out = tmp_path / "yolo"
    load("yolo-segment").write(ours, out, WITH_PHOTOS)
    folders = [str(out / name / "train") for name in ("images", "labels")]
    found = sv.DetectionDataset.from_yolo(*folders, str(out / "data.yaml"), force_masks=True)
    assert found.classes == [label.name for label in ours.labels]
    assert len(found) == ours.count
    for picture in ours:
        detections = found.annotations[str(out / "images" / "train" / picture.file_name)]
        assert len(detections) == len(picture.items)
        if not picture.items:
            continue
        assert [found.classes[k] for k in detections.class_id] == [item.label for item in picture.items]
        for mask, item in zip(detections.mask, picture.items, strict=True):
            assert item.mask is not None
            # one pixel more along the line, as OpenCV draws
            assert area(item.mask) <= mask.sum() <= 1.2 * area(item.mask) + 8
