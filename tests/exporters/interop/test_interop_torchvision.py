"""torchvision's readers of VOC and Cityscapes on our folders (its CocoDetection is with COCO)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from interop_set import everything, without_crowds

from exporters.dataset import Dataset, Picture, WriteOptions
from exporters.formats import load
from exporters.masks import area, decode

WITH_PHOTOS = WriteOptions(copy_images="link")


def apart(picture: Picture) -> Picture:
    """Only objects that share no pixel, because id maps hold one for each pixel."""
    taken = np.zeros((picture.height, picture.width), bool)
    kept = []
    for item in picture.items:
        assert item.mask is not None
        mask = decode(item.mask)
        if not (mask & taken).any():
            taken |= mask
            kept.append(item)
    return replace(picture, items=tuple(kept))


@pytest.fixture
def ours(tmp_path: Path) -> Dataset:
    found = without_crowds(everything(tmp_path / "photos", flat=True))
    pictures = tuple(map(apart, found))
    return replace(found, pictures=lambda: iter(pictures))


def areas_of(picture: Picture) -> list[int]:
    return sorted(area(item.mask) for item in picture.items if item.mask is not None)


def test_voc(ours: Dataset, tmp_path: Path) -> None:
    from torchvision.datasets import VOCDetection, VOCSegmentation

    root = tmp_path / "VOCdevkit" / "VOC2012"
    load("voc").write(ours, root, WITH_PHOTOS)
    numbers = {label.name: k for k, label in enumerate(ours.labels, 1)}
    for split in ("train", "val"):
        pictures = {picture.file_name: picture for picture in ours if picture.split == split}
        boxes = VOCDetection(str(tmp_path), image_set=split)
        assert len(boxes) == len(pictures)
        for photo, target in boxes:
            picture = pictures[target["annotation"]["filename"]]
            assert photo.size == (picture.width, picture.height)
            found = [
                (x["name"], *(int(x["bndbox"][key]) for key in ("xmin", "ymin", "xmax", "ymax")))
                for x in target["annotation"].get("object", [])
            ]
            # the first pixel of VOC is number 1, and its last one is inside
            expected = [(x.label, box[0] + 1, box[1] + 1, *box[2:]) for x in picture.items if (box := x.box)]
            assert found == expected
        segmented = VOCSegmentation(str(tmp_path), image_set=split)
        with_objects = [picture for picture in pictures.values() if picture.items]
        assert len(segmented) == len(with_objects)
        for path, (photo, classes) in zip(segmented.images, segmented, strict=True):
            picture = pictures[Path(path).name]
            assert photo.size == (picture.width, picture.height)
            expected_map = np.zeros((picture.height, picture.width), int)
            for item in picture.items:
                assert item.mask is not None
                expected_map[decode(item.mask)] = numbers[item.label]
            assert (np.asarray(classes) == expected_map).all()


def test_cityscapes(ours: Dataset, tmp_path: Path) -> None:
    from torchvision.datasets import Cityscapes

    load("cityscapes").write(ours, tmp_path / "out", WITH_PHOTOS)
    seen = 0
    for split in ("train", "val"):
        found = Cityscapes(str(tmp_path / "out"), split=split, target_type=["instance", "polygon"])
        for path, (photo, (ids, polygons)) in zip(found.images, found, strict=True):
            name = Path(path).name.removesuffix("_leftImg8bit.jpg") + ".jpg"
            (picture,) = [picture for picture in ours if picture.file_name == name]
            assert picture.split == split
            assert photo.size == (picture.width, picture.height) == (polygons["imgWidth"], polygons["imgHeight"])
            values, counts = np.unique(np.asarray(ids), return_counts=True)
            assert sorted(counts[values >= 1000].tolist()) == areas_of(picture)
            assert {x["label"] for x in polygons["objects"]} >= {item.label for item in picture.items}
            seen += 1
    assert seen == ours.count
