"""Cityscapes' layout: masks come back pixel for pixel, and Pillow's drawing, which Cityscapes uses, gives the same."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from random_masks import datasets, save_photos

from exporters import cityscapes_polygons
from exporters.cityscapes_labels import OFFICIAL
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import decode, encode
from exporters.painting import layers, paint


@given(
    st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(np.int32, s, elements=st.integers(0, 3)))
)
def test_any_map_is_painted_exactly(index: np.ndarray) -> None:
    assert (paint(layers(index), *index.shape) == index).all()


def regions(picture: Picture) -> list[Item]:
    """What Cityscapes can hold of it, in an order that does not matter."""
    kept = [item for item in picture.items if item.mask is not None]
    return sorted((replace(item, box=None) for item in kept), key=lambda item: str(item.id))


@settings(max_examples=40)
@given(datasets(overlap=False, splits=("train", "val", "")))
def test_masks_come_back_pixel_for_pixel(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = cityscapes_polygons.write(dataset, out)
        assert cityscapes_polygons.matches(out)
        found = cityscapes_polygons.read(out)
        assert found.labels == dataset.labels
        pictures = {p.id: p for p in found}
        assert len(pictures) == found.count == written.pictures
        for picture in dataset:
            back = pictures[picture.id]
            assert regions(back) == regions(picture)
            assert replace(back, items=()) == replace(picture, items=())
        bare = sum(item.mask is None for picture in dataset for item in picture.items)
        assert written.dropped == ({"boxes without a mask": bare} if bare else {})


@settings(max_examples=10)
@given(datasets())
def test_overlap_goes_to_things_and_later_ones(dataset: Dataset) -> None:
    things = {label.name for label in dataset.labels if label.is_thing}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        cityscapes_polygons.write(dataset, out)
        pictures = {p.id: p for p in cityscapes_polygons.read(out)}
    for picture in dataset:
        wanted = np.zeros((picture.height, picture.width), object)
        for item in sorted(picture.items, key=lambda i: 0 if i.label not in things else 1 if i.crowd else 2):
            if item.mask is not None:
                wanted[decode(item.mask)] = item.id
        got = np.zeros_like(wanted)
        for item in pictures[picture.id].items:
            assert item.mask is not None
            got[decode(item.mask)] = item.id
        assert (got == wanted).all()


def official(folder: Path, *objects: Any, name: str = "train/ulm/ulm_1") -> Path:
    path = folder / "gtFine" / f"{name}_gtFine_polygons.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"imgHeight": 8, "imgWidth": 10, "objects": list(objects)}))
    return folder


def square(label: str, x0: int = 0, y0: int = 0, x1: int = 9, y1: int = 7, **more: Any) -> dict[str, Any]:
    return {"label": label, "polygon": [[x0, y0], [x1, y0], [x1, y1], [x0, y1]], **more}


def test_files_of_cityscapes(tmp_path: Path) -> None:
    path = official(
        tmp_path,
        square("road"),
        square("cargroup", 0, 0, 1, 1),
        square("polegroup", 5, 0, 5, 4),
        square("car", 2, 2, 4, 4),
        square("person", 3, 3, 3, 3),
        square("sky", 6, 6, 7, 7, deleted=1),
        square("unlabeled", 9, 0, 9, 0),
    )
    dataset = cityscapes_polygons.read(path)
    assert [label.name for label in dataset.labels] == ["road", "polegroup", "person", "car"]
    assert [(label.id, label.is_thing) for label in dataset.labels] == [(7, False), (18, False), (24, True), (26, True)]
    (picture,) = dataset
    assert (picture.file_name, picture.split) == ("train/ulm/ulm_1_leftImg8bit.png", "train")
    assert [(item.label, item.crowd) for item in picture.items] == [
        ("road", False), ("car", True), ("polegroup", False), ("car", False), ("person", False),
    ]  # fmt: skip
    # lines belong to a polygon, later objects cover earlier ones
    pixels = [int(decode(item.mask).sum()) for item in picture.items if item.mask is not None]
    assert pixels == [80 - 4 - 5 - 9 - 1, 4, 5, 9 - 1, 1]
    # and back: the same objects, and the ids of Cityscapes in the PNGs
    written = cityscapes_polygons.write(dataset, tmp_path / "out")
    assert written.items == 5
    stem = tmp_path / "out/gtFine/train/ulm/ulm_1_gtFine"
    assert json.loads(Path(f"{stem}_polygons.json").read_text()).keys() == {"imgHeight", "imgWidth", "objects"}
    classes, instances = (np.asarray(Image.open(f"{stem}_{kind}.png")) for kind in ("labelIds", "instanceIds"))
    assert classes.dtype == np.uint8
    assert np.unique(classes).tolist() == [0, 7, 18, 24, 26]
    assert np.unique(instances).tolist() == [0, 7, 18, 26, 24000, 26000]
    assert (picture.items[0].mask, picture.file_name) == (
        next(
            item.mask for item in next(iter(cityscapes_polygons.read(tmp_path / "out"))).items if item.label == "road"
        ),
        next(iter(cityscapes_polygons.read(tmp_path / "out"))).file_name,
    )


def test_names_that_look_like_crowds(tmp_path: Path) -> None:
    labels = tuple(Label(name) for name in ("age", "agegroup", "unlabeled"))
    rows = []
    for k, (name, crowd) in enumerate([("age", True), ("age", False), ("agegroup", False), ("agegroup", True)]):
        mask = np.zeros((8, 10), bool)
        mask[2 * k] = True
        rows.append(Item(name, mask=encode(mask), crowd=crowd, id=k, attributes={"a": [1]}, group="g", score=0.5))
    mask = np.zeros((8, 10), bool)
    mask[1, 1] = True
    rows.append(Item("unlabeled", mask=encode(mask), id=9))
    dataset = Dataset("x", labels, 1, lambda: iter([Picture("a.jpg", 10, 8, tuple(rows), attributes={"b": 1})]))
    cityscapes_polygons.write(dataset, tmp_path / "o")
    (picture,) = cityscapes_polygons.read(tmp_path / "o")
    assert regions(picture) == regions(next(iter(dataset)))
    assert picture.attributes == {"b": 1}


BAD = {
    "no label": {"polygon": [[0, 0], [1, 0], [1, 1]]},
    "three corners": square("car") | {"polygon": [[0, 0]]},
    r"\[x, y\]": square("car") | {"polygon": [[0, 0, 0], [1, 0], [1, 1]]},
    "pixels is expected": square("car") | {"polygon": [[0, "q"], [1, 0], [1, 1]]},
    "far outside": square("car", x1=99999),
}


@pytest.mark.parametrize("words", BAD)
def test_a_bad_object_is_reported_and_the_rest_goes_on(words: str, tmp_path: Path) -> None:
    path = official(tmp_path, BAD[words], square("car"))
    with pytest.raises(FormatError, match=words):
        list(cityscapes_polygons.read(path))
    heard: list[str] = []
    (picture,) = cityscapes_polygons.read(path, on_problem=heard.append)
    assert len(picture.items) == len(heard) == 1
    assert "objects[0]" in heard[0]


def test_broken_and_hostile_files(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no \\*_gtFine"):
        cityscapes_polygons.read(tmp_path)
    path = official(tmp_path, square("car"))
    (tmp_path / "gtFine/train/ulm/b_gtFine_polygons.json").write_text("{")
    big = {"imgHeight": 10**6, "imgWidth": 2000, "objects": []}
    (tmp_path / "gtFine/train/ulm/c_gtFine_polygons.json").write_text(json.dumps(big))
    hostile = big | {"imgHeight": 5, "openseed_label": {"file_name": "../../x.jpg"}}
    (tmp_path / "gtFine/train/ulm/d_gtFine_polygons.json").write_text(json.dumps(hostile))
    heard: list[str] = []
    assert len(list(cityscapes_polygons.read(path, on_problem=heard.append))) == 1
    assert len(heard) == 3
    for name in ("../x.jpg", "/x.jpg"):
        dataset = Dataset("x", (), 1, lambda name=name: iter([Picture(name, 2, 2)]))
        with pytest.raises(FormatError):
            cityscapes_polygons.write(dataset, tmp_path / "o")


@settings(max_examples=10)
@given(datasets(overlap=False))
def test_photos_are_found_again(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        there = save_photos(dataset, Path(folder) / "photos")
        written = cityscapes_polygons.write(there, Path(folder) / "out", WriteOptions(copy_images="link"))
        assert not [reason for reason in written.dropped if "photo" in reason]
        found = cityscapes_polygons.read(Path(folder) / "out")
        assert found.images is not None
        assert all((found.images / picture.file_name).is_file() for picture in found)


def test_tolerance_counts_iou(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80]
    disc = encode((x - 40) ** 2 + (y - 30) ** 2 < 400)
    picture = Picture("a.jpg", 80, 60, (Item("car", mask=disc),))
    dataset = Dataset("x", (OFFICIAL["car"],), 1, lambda: iter([picture]))
    written = cityscapes_polygons.write(dataset, tmp_path / "o", WriteOptions(tolerance=1))
    assert written.ious[1] == 1
    assert 0.9 < written.ious[2] < 1
