"""LabelMe's JSON files, out and in."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import LABELS, datasets

from exporters import labelme
from exporters.dataset import Dataset, FormatError, Item, Picture, WriteOptions
from exporters.masks import decode, encode
from exporters.outlines import iou


def dataset_of(*pictures: Picture, images: Path | None = None) -> Dataset:
    def walk() -> Iterator[Picture]:
        return iter(pictures)

    return Dataset("made here", LABELS, len(pictures), walk, images)


def one(tmp_path: Path, shapes: Any, **more: Any) -> Path:
    data = {"version": "5.5.0", "shapes": shapes, "imagePath": "a.jpg", "imageHeight": 10, "imageWidth": 20, **more}
    (tmp_path / "a.json").write_text(json.dumps(data))
    return tmp_path


def polygon(*points: tuple[float, float], label: str = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": [list(point) for point in points], "shape_type": "polygon", **more}


@given(datasets(splits=("",)))
@settings(max_examples=40)
def test_everything_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        written = labelme.write(dataset, Path(name) / "out")
        assert labelme.matches(Path(name) / "out")
        back = labelme.read(Path(name) / "out")
        assert [label.name for label in back.labels] == [label.name for label in dataset.labels]
        found = {picture.file_name: picture for picture in back}
        assert len(found) == back.count == dataset.count == written.pictures
        for picture in dataset:
            again = found[picture.file_name]
            assert (again.width, again.height) == (picture.width, picture.height)
            assert again.items == picture.items
        assert written.ious[2] == 1
        assert not written.dropped


def test_attributes_groups_and_boxes_of_their_own_come_back(tmp_path: Path) -> None:
    mask = np.zeros((10, 20), bool)
    mask[2:5, 2:5] = mask[7:9, 10:15] = True
    items = (
        Item("cat", (0, 0, 20, 10), encode(mask), id="x-1", group=3, attributes={"occluded": True, "n": [1, 2]}),
        Item("cat", (1.5, 2.25, 7, 9), score=0.5, group=3, attributes={"description": "hidden", "flags": {"ok": True}}),
        Item("日本 犬", (0, 0, 5, 5), group="pair"),
        Item("日本 犬", (1, 1, 5, 5), group=8),
    )
    written = labelme.write(dataset_of(Picture("x y/ä.png", 20, 10, items)), tmp_path / "out")
    assert written.items == 4
    data = json.loads((tmp_path / "out/x y/ä.json").read_text(encoding="utf-8"))
    assert data["imageData"] is None
    assert data["imagePath"] == "ä.png"
    assert [shape["group_id"] for shape in data["shapes"]] == [9, 9, None, None, 8]
    (picture,) = labelme.read(tmp_path / "out")
    assert picture.items == items


def test_simplified_polygons_say_what_they_cost(tmp_path: Path) -> None:
    y, x = np.mgrid[:100, :100]
    mask = encode((x - 50) ** 2 + (y - 50) ** 2 < 40**2)
    written = labelme.write(
        dataset_of(Picture("a.png", 100, 100, (Item("cat", mask=mask),))), tmp_path / "out", WriteOptions(tolerance=1.5)
    )
    (picture,) = labelme.read(tmp_path / "out")
    assert picture.items[0].mask is not None
    assert iou(picture.items[0].mask, mask) == pytest.approx(written.ious[2])
    assert 0.95 < written.ious[2] < 1


def test_photos_lie_beside_their_files(tmp_path: Path) -> None:
    pictures = []
    for name in ("a.jpg", "a.png", "sub/a.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "photos" / name)
        pictures.append(Picture(name, 20, 10))
    dataset = dataset_of(*pictures, images=tmp_path / "photos")
    labelme.write(dataset, tmp_path / "out", WriteOptions(copy_images="copy"))
    back = labelme.read(tmp_path / "out")
    assert back.images is not None
    names = [picture.file_name for picture in back]
    assert len(set(names)) == 3
    assert all((back.images / name).is_file() for name in names)


def test_other_peoples_shapes_are_read(tmp_path: Path) -> None:
    one(
        tmp_path,
        [
            {"label": "cat", "points": [[9, 8], [1, 2]], "shape_type": "rectangle", "group_id": 5, "flags": {}},
            {"label": "dog", "points": [[5, 5], [8, 5]], "shape_type": "circle"},
            polygon((0, 0), (4, 0), (4, 4), (0, 4), group_id=1),
            polygon((6, 0), (8, 0), (8, 4), (6, 4), group_id=1),
            polygon((0, 0), (4, 0), (4, 4), label="dog", group_id=1, shape_type=None),
        ],
        imageHeight=None,
        imageData="aGVsbG8=",
    )
    Image.new("RGB", (20, 10)).save(tmp_path / "a.jpg")
    assert labelme.matches(tmp_path / "a.json")
    dataset = labelme.read(tmp_path / "a.json")
    assert [label.name for label in dataset.labels] == ["cat", "dog"]
    (picture,) = dataset
    box, circle, islands, other = picture.items
    assert (picture.height, picture.width) == (10, 20)
    assert (box.box, box.mask, box.group) == ((1, 2, 9, 8), None, 5)
    assert circle.mask is not None
    assert abs(decode(circle.mask).sum() - np.pi * 9) < 4
    assert islands.mask is not None
    assert (int(decode(islands.mask).sum()), islands.group) == (16 + 8, None)
    assert (other.label, other.group) == ("dog", 1)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("text", "no JSON object"),
        ({"points": [[0, 0]]}, "no label"),
        (polygon((0, 0), (1, 1)), "no area"),
        (polygon((0, 0), (1e300, 1), (2, 2)), "number of pixels"),
        (polygon((0, 0), (float("nan"), 1), (2, 2)), "number of pixels"),
        (polygon((50, 50), (60, 50), (60, 60)), "no pixel"),
        ({"label": "cat", "points": {"x": 1}}, "pairs"),
        ({"label": "cat", "points": [[1, 1], [3, 1]], "shape_type": "line"}, "has no area"),
        ({"label": "cat", "points": [[1, 1], [1, 1]], "shape_type": "rectangle"}, "no size"),
        ({"label": "cat", "points": [[0, 0], [3, 3]], "shape_type": "mask", "mask": "%%%"}, "no base64"),
        ({"label": "cat", "points": [[0, 0], [3, 3]], "shape_type": "mask", "mask": "aGVsbG8="}, "no PNG"),
    ],
)
def test_a_bad_shape_is_named_and_the_others_stay(tmp_path: Path, shape: Any, message: str) -> None:
    one(tmp_path, [shape, polygon((0, 0), (4, 0), (4, 4))])
    problems: list[str] = []
    (picture,) = labelme.read(tmp_path, on_problem=problems.append)
    assert len(picture.items) == 1
    assert len(problems) == 1
    assert message in problems[0]
    assert "a.json: shape 1" in problems[0]
    with pytest.raises(FormatError, match="shape 1"):
        list(labelme.read(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "{", "[" * 100_000, '{"shapes": 3, "imageHeight": 1, "imageWidth": 1}', "9" * 10_000,
     '{"shapes": [], "imageHeight": 1e9, "imageWidth": 1e9}', '{"shapes": [], "imageHeight": -1, "imageWidth": 5}',
     '{"shapes": []}'],
)  # fmt: skip
def test_a_broken_file_is_left_out(tmp_path: Path, text: str) -> None:
    one(tmp_path, [])
    (tmp_path / "b.json").write_text(text)
    problems: list[str] = []
    assert [p.file_name for p in labelme.read(tmp_path, on_problem=problems.append)] == ["a.jpg"]
    assert len(problems) == 1
    assert "b.json" in problems[0]


def test_nothing_outside_the_folder_is_named_or_read(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    one(tmp_path / "set", [], imagePath="../../../etc/passwd")
    (tmp_path / "set/link.json").symlink_to("/etc/hostname")
    problems: list[str] = []
    (picture,) = labelme.read(tmp_path / "set", on_problem=problems.append)
    assert len(problems) == 1
    assert "link out" in problems[0]
    assert picture.file_name == "passwd"
    for name in ("../../x.png", "/abs.png"):
        with pytest.raises(FormatError):
            labelme.write(dataset_of(Picture(name, 20, 10)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_folders_are_not_taken_for_it(tmp_path: Path) -> None:
    assert not labelme.matches(tmp_path)
    (tmp_path / "x.json").write_text('{"images": [], "annotations": []}')
    assert not labelme.matches(tmp_path)
    assert not labelme.matches(tmp_path / "none")
