"""supervision's Detections: exact both ways, and what models and its own loaders make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from hypothesis import given, settings
from random_masks import LABELS, datasets, save_photos

from exporters.dataset import Dataset, FormatError, Item, Label, Picture
from exporters.masks import decode, encode
from exporters.supervision_detections import (
    dataset_of,
    detection_dataset_of,
    detections_of,
    matches,
    picture_of,
    read,
    write,
)

MASK = np.zeros((20, 30), bool)
MASK[2:9, 3:12] = True
MASK[4:6, 5:9] = False
MASK[19, 29] = True
PICTURE = Picture(
    "sub/a.png",
    30,
    20,
    (
        Item(
            "cat", (3, 2, 30, 20), encode(MASK), id="x", crowd=True, score=0.5, group=4, attributes={"occluded": True}
        ),
        Item("日本 犬", (0.5, 0, 4, 4.25), id=9),
        Item("cat", (10, 10, 12, 12), encode(MASK), id=10),
    ),
    id=3,
    split="val",
    attributes={"licence": 1},
)


@settings(max_examples=60)
@given(datasets())
def test_everything_comes_back(found: Dataset) -> None:
    for picture in found:
        for compact in (False, True):
            assert picture_of(detections_of(picture, found.labels, compact=compact)) == picture


@pytest.mark.parametrize("compact", [False, True])
def test_fields(compact: bool) -> None:
    found = detections_of(PICTURE, LABELS, compact=compact)
    assert isinstance(found, sv.Detections)
    assert found.class_id is not None
    assert found.confidence is not None
    assert found.mask is not None
    assert found.class_id.tolist() == [0, 2, 0]
    assert found["class_name"].tolist() == ["cat", "日本 犬", "cat"]
    assert found.confidence[0] == 0.5
    assert np.isnan(found.confidence[1:]).all()
    # the third item's mask lies outside of its box: nothing is cut off
    assert [int(np.asarray(found.mask[k]).sum()) for k in range(3)] == [MASK.sum(), 0, MASK.sum()]
    assert picture_of(found) == PICTURE
    assert picture_of(found[[2, 0]]).items == (PICTURE.items[2], PICTURE.items[0])


def test_supervisions_own_tools_go_on_with_it() -> None:
    found = detections_of(PICTURE, LABELS)
    big = found[found.area > 20]
    assert len(picture_of(big).items) == 2
    photo = np.zeros((20, 30, 3), np.uint8)
    assert sv.MaskAnnotator().annotate(photo.copy(), found).any()
    assert sv.LabelAnnotator().annotate(photo.copy(), found).any()
    merged = sv.Detections.merge([found[:1], found[1:]])
    assert picture_of(merged) == PICTURE


def test_what_a_model_returns() -> None:
    found = sv.Detections(
        xyxy=np.array([[3, 2, 12, 9]], np.float32),
        mask=MASK[None],
        confidence=np.array([0.25], np.float32),
        class_id=np.array([1]),
        tracker_id=np.array([7]),
    )
    picture = picture_of(found, [Label("a"), Label("b")], file_name="x.jpg")
    assert (picture.file_name, picture.width, picture.height) == ("x.jpg", 30, 20)
    assert picture.items == (Item("b", (3, 2, 12, 9), encode(MASK), score=0.25, attributes={"tracker_id": 7}),)


def test_what_is_unknown_is_asked_for() -> None:
    found = sv.Detections(xyxy=np.array([[3, 2, 12, 9]], np.float32), class_id=np.array([1]))
    with pytest.raises(FormatError, match="file_name"):
        picture_of(found)
    with pytest.raises(FormatError, match="width"):
        picture_of(found, file_name="x.jpg")
    with pytest.raises(FormatError, match="labels"):
        picture_of(found, file_name="x.jpg", width=30, height=20)
    with pytest.raises(FormatError, match="30 x 20"):
        picture_of(replace(found, mask=MASK[None]), file_name="x.jpg", width=3, height=2)
    with pytest.raises(FormatError, match="'cat'"):
        detections_of(PICTURE, [])
    with pytest.raises(FormatError, match="neither box nor mask"):
        detections_of(Picture("a", 4, 4, (Item("cat"),)), LABELS)


def test_whole_data_sets(tmp_path: Path) -> None:
    empty = Picture("other/a.png", 8, 8, id=4)
    ours = save_photos(Dataset("test", LABELS, 2, lambda: iter((PICTURE, empty))), tmp_path)
    theirs = detection_dataset_of(ours)
    assert len(theirs) == 2
    path, photo, detections = theirs[0]
    assert Path(path) == tmp_path / "sub" / "a.png"
    assert photo.shape == (20, 30, 3)
    assert len(detections) == 3
    again = dataset_of(theirs, images=tmp_path)
    assert [label.name for label in again.labels] == [label.name for label in LABELS]
    assert list(again) == [PICTURE, empty]
    with pytest.raises(FormatError, match="not in"):
        list(dataset_of(theirs, images=tmp_path / "sub"))


def test_what_supervision_loads(tmp_path: Path) -> None:
    """Its own COCO loader, of a file without our keys."""
    save_photos(Dataset("test", LABELS, 1, lambda: iter((PICTURE,))), tmp_path)
    rle = encode(MASK)
    one = {"id": 1, "image_id": 1, "category_id": 5, "bbox": [3, 2, 27, 18], "area": int(MASK.sum()), "iscrowd": 1}
    one["segmentation"] = {"size": rle["size"], "counts": rle["counts"].decode()}
    coco = {
        "images": [{"id": 1, "file_name": "sub/a.png", "width": 30, "height": 20}],
        "categories": [{"id": 5, "name": "dog"}],
        "annotations": [one],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    theirs = sv.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "coco.json"), force_masks=True)
    (picture,) = dataset_of(theirs, images=tmp_path)
    (item,) = picture.items
    assert (item.label, item.box, item.crowd) == ("dog", (3, 2, 30, 20), True)
    assert item.mask is not None
    assert (decode(item.mask) == MASK).all()


def test_there_are_no_files(tmp_path: Path) -> None:
    assert not matches(tmp_path)
    for call in (lambda: read(tmp_path), lambda: write(Dataset("x", (), 0, lambda: iter(())), tmp_path)):
        with pytest.raises(FormatError, match="from_coco"):
            call()
