"""Label Studio's tasks as a data set: masks and ids survive the way there and back."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import datasets, masks

from exporters import coco_dataset
from exporters import label_studio_dataset as studio
from exporters.brush import encode_brush
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import encode
from exporters.outlines import iou


def block(y0: int, y1: int, x0: int, x1: int) -> Any:
    mask = np.zeros((10, 12), bool)
    mask[y0:y1, x0:x1] = True
    return encode(mask)


def region(kind: str, key: str, label: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    size = {"original_width": 12, "original_height": 10, "image_rotation": 0}
    return {
        "id": key,
        "type": kind,
        "from_name": "l",
        "to_name": "i",
        "value": {kind: [label], **value},
        **size,
        **more,
    }


def exported() -> list[dict[str, Any]]:
    """Two tasks as Label Studio exports them: data behind the annotations, regions of all kinds."""
    brush = region("brushlabels", "b1", "cat", {"format": "rle", "rle": encode_brush(block(1, 5, 2, 6))})
    polygon = {"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "closed": True}
    box = {"x": 25, "y": 10, "width": 50, "height": 40, "rotation": 0}
    result = [
        brush,
        region("polygonlabels", "p-1", "dog", polygon, parentID="b1", meta={"text": ["blurred"]}),
        region("rectanglelabels", "r_1", "cat", box, score=0.5),
        {"id": "r_1", "type": "choices", "from_name": "state", "to_name": "i", "value": {"choices": ["lying"]}},
        {"id": "k", "type": "keypointlabels", "value": {"keypointlabels": ["nose"], "x": 1, "y": 1}},
    ]
    return [
        {
            "id": 31,
            "annotations": [
                {"id": 1, "created_at": "2024-01-01", "result": []},
                {"id": 2, "created_at": "2024-02-01", "result": result},
                {"id": 3, "created_at": "2024-03-01", "result": [], "was_cancelled": True},
            ],
            "predictions": [{"result": [brush]}],
            "data": {"image": "/data/local-files/?d=a%20b/x.jpg", "camera": "left"},
        },
        {
            "id": 32,
            "annotations": [],
            "predictions": [{"score": 0.75, "result": [brush]}],
            "data": {"image": "s3://bucket/c/x.jpg"},
        },
    ]


def save(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_an_export_is_read(tmp_path: Path) -> None:
    path = save(tmp_path / "export.json", exported())
    assert studio.matches(path)
    dataset = studio.read(path)
    assert [label.name for label in dataset.labels] == ["cat", "dog", "nose"]
    first, second = dataset
    assert (first.id, first.file_name, first.width, first.height) == (31, "a b/x.jpg", 12, 10)
    assert first.items == (
        Item("cat", (2, 1, 6, 5), block(1, 5, 2, 6), "b1"),
        Item("dog", (0, 0, 6, 5), block(0, 5, 0, 6), "p-1", group="b1", attributes={"meta": {"text": ["blurred"]}}),
        Item("cat", (3, 1, 9, 5), None, "r_1", score=0.5, attributes={"state": ["lying"]}),
    )
    # two photos called x.jpg: their folders tell them apart; nobody annotated the second, so its prediction counts
    assert (second.file_name, second.items[0].score) == ("c/x.jpg", 0.75)


def test_an_export_written_again_keeps_ids_addresses_and_data(tmp_path: Path) -> None:
    dataset = studio.read(save(tmp_path / "export.json", exported()))
    studio.write(dataset, tmp_path / "out.json")
    tasks = json.loads((tmp_path / "out.json").read_text())
    assert [task["data"]["image"] for task in tasks] == ["/data/local-files/?d=a%20b/x.jpg", "s3://bucket/c/x.jpg"]
    assert tasks[0]["data"]["camera"] == "left"
    assert [one["id"] for one in tasks[0]["annotations"][0]["result"]] == ["b1", "p-1", "r_1"]
    assert list(studio.read(tmp_path / "out.json")) == list(dataset)


@given(dataset=datasets())
@settings(max_examples=40)
def test_any_data_set_comes_back_equal(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio.write(dataset, Path(folder) / "out.json")
        found = studio.read(Path(folder) / "out.json")
        assert [(one.name, one.id, one.is_thing) for one in found.labels] == [
            (one.name, one.id, one.is_thing) for one in dataset.labels
        ]
        assert list(found) == list(dataset)


@given(mask=masks(13, 17))
@settings(max_examples=40)
def test_polygons_are_near_and_say_how_near(mask: Any) -> None:
    picture = Picture("a.jpg", 17, 13, (Item("cat", mask=mask, id=1),), id=1)
    dataset = Dataset("test", (Label("cat"),), 1, lambda: iter([picture]))
    with tempfile.TemporaryDirectory() as folder:
        written = studio.write(dataset, Path(folder) / "out.json", WriteOptions(tolerance=0.5))
        (found,) = studio.read(Path(folder) / "out.json")
    (item,) = found.items
    assert item.mask is not None
    assert iou(item.mask, mask) == written.ious[2] >= 0.75
    assert item.id == 1


def test_what_label_studio_has_no_field_for_rides_along(tmp_path: Path) -> None:
    items = (
        Item("cat", (0.5, 0.25, 6.1, 5.3), block(1, 5, 2, 6), 12, True, 0.25, "g", {"occluded": True}),
        Item("cat", (-3.0, 1.0, 4.0, 99.0), None, "ü 1"),
        Item("cat", (1.0, 1.0, 4.0, 9.0), None, None),
        Item("cat", (1.0, 1.0, 4.0, 9.5), None, 12),
    )
    picture = Picture("sub/ö 1.jpg", 12, 10, items, "p", "val", {"video": 3})
    labels = (Label("cat", 3, supercategory="animal"), Label("never", 9))
    studio.write(Dataset("test", labels, 1, lambda: iter([picture])), tmp_path / "out.json")
    found = studio.read(tmp_path / "out.json")
    assert list(found) == [picture]
    assert [(label.name, label.id, label.supercategory) for label in found.labels] == [
        ("cat", 3, "animal"),
        ("never", 9, ""),
    ]


def test_corrected_regions_keep_their_ids_and_nothing_stale(tmp_path: Path) -> None:
    items = (
        Item("cat", (0.5, 0.25, 6.1, 5.3), block(1, 5, 2, 6), 12, attributes={"occluded": True}),
        Item("cat", (1.0, 1.0, 4.0, 9.0), id=13),
    )
    dataset = Dataset("test", (Label("cat", 3),), 1, lambda: iter([Picture("a.jpg", 12, 10, items, 1)]))
    studio.write(dataset, tmp_path / "out.json")
    tasks = json.loads((tmp_path / "out.json").read_text())
    brush, rectangle = tasks[0]["annotations"][0]["result"]
    brush["value"] = {"format": "rle", "rle": encode_brush(block(0, 10, 0, 3)), "brushlabels": ["dog"]}
    rectangle["value"]["x"] += 20
    (picture,) = studio.read(save(tmp_path / "back.json", tasks))
    first, second = picture.items
    assert first == Item("dog", (0, 0, 3, 10), block(0, 10, 0, 3), 12, attributes={"occluded": True})
    assert second.id == 13
    assert second.box == pytest.approx((3.4, 1, 6.4, 9))


def test_coco_through_label_studio(tmp_path: Path) -> None:
    mask = block(1, 5, 2, 6)
    pictures = [Picture("a.jpg", 12, 10, (Item("cat", mask=mask, id=7, crowd=True),), 3, attributes={"license": 1})]
    coco_dataset.write(Dataset("test", (Label("cat", 5),), 1, lambda: iter(pictures)), tmp_path / "in.json")
    studio.write(coco_dataset.read(tmp_path / "in.json"), tmp_path / "ls.json")
    coco_dataset.write(studio.read(tmp_path / "ls.json"), tmp_path / "out.json")
    before, after = (json.loads((tmp_path / name).read_text()) for name in ("in.json", "out.json"))
    assert before == after


def test_the_library_accepts_the_tasks(tmp_path: Path) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    items = (Item("cat", mask=block(1, 5, 2, 6), id=1), Item("<&\"dog'>", (1, 1, 5, 6), id=2))
    labels = (Label("cat"), Label("<&\"dog'>"))
    for tolerance in (0.0, 1.0):
        for score in (None, 0.5):
            scored = tuple(replace(item, score=score) for item in items)
            dataset = Dataset("t", labels, 1, lambda scored=scored: iter([Picture("a.jpg", 12, 10, scored, 1)]))
            studio.write(dataset, tmp_path / "out.json", WriteOptions(tolerance=tolerance))
            (task,) = json.loads((tmp_path / "out.json").read_text())
            config = interface.LabelInterface((tmp_path / "out.xml").read_text())
            assert config.validate_task({"data": task["data"]})
            (holder,) = task["annotations"] if score is None else task["predictions"]
            assert config.validate_prediction(holder, return_errors=True) == []


def test_folder_with_photos_and_config(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    Image.new("RGB", (12, 10)).save(tmp_path / "photos" / "sub" / "a.png")
    picture = Picture("sub/a.png", 12, 10, (), 1)
    dataset = Dataset("test", (Label("cat", 1),), 1, lambda: iter([picture]), tmp_path / "photos")
    studio.write(dataset, tmp_path / "out", WriteOptions(copy_images="link"))
    names = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert names == ["images/sub/a.png", "label_config.xml", "tasks.json"]
    assert studio.matches(tmp_path / "out")
    assert list(studio.read(tmp_path / "out")) == [picture]


def test_size_of_a_task_without_regions_comes_from_the_photo(tmp_path: Path) -> None:
    path = save(tmp_path / "in.json", [{"id": 1, "data": {"image": "/data/upload/1/ab-x.png"}, "annotations": []}])
    with pytest.raises(FormatError, match="--images"):
        list(studio.read(path))
    Image.new("RGB", (12, 10)).save(tmp_path / "ab-x.png")
    (picture,) = studio.read(path, images=tmp_path)
    assert (picture.width, picture.height, picture.file_name) == (12, 10, "ab-x.png")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rle": [1, 2, 3]}, "brush rle is cut off"),
    ({"rle": "x"}, "must be a list"),
    ({"rle": encode_brush(encode(np.ones((3, 3))))}, "codes 36 values"),
    ({"brushlabels": []}, "no label"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_bad_regions_are_named_and_left_out(tmp_path: Path, value: dict[str, Any], message: str) -> None:
    tasks = exported()
    bad = tasks[0]["annotations"][1]["result"][0]
    tasks[0]["annotations"][1]["result"][0] = {**bad, "value": bad["value"] | value}
    path = save(tmp_path / "in.json", tasks)
    with pytest.raises(FormatError, match=f"in.json: task 0: region 'b1'.*{message}"):
        list(studio.read(path))
    problems: list[str] = []
    first, second = studio.read(path, on_problem=problems.append)
    assert ([item.id for item in first.items], len(second.items), len(problems)) == (["p-1", "r_1"], 1, 1)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"image": "a.jpg", "label": []}, "JSON-MIN"),
        (5, "has no"),
        ({"data": {"image": "/data/local-files/?d=../../etc/passwd"}}, "leads out"),
        ({"data": {"image": "/data/local-files/?d=C:/a.jpg"}}, "absolute"),
        ({"data": {"text": "hello"}}, "file name is empty"),
        ({"data": {"image": "http://[::1/x.jpg"}}, "file name is empty"),
    ],
)
def test_bad_tasks_are_named_and_left_out(tmp_path: Path, task: Any, message: str) -> None:
    path = save(tmp_path / "in.json", [task, *exported()])
    problems: list[str] = []
    assert len(list(studio.read(path, on_problem=problems.append))) == 2
    assert len(problems) == 1
    assert f"task 0: {message}" in problems[0] or message in problems[0]


@pytest.mark.parametrize("text", ["", "{}", "[", '{"images": []}', "[[[[", "\x00"])
def test_no_list_of_tasks(tmp_path: Path, text: str) -> None:
    (tmp_path / "in.json").write_text(text)
    assert not studio.matches(tmp_path / "in.json")
    with pytest.raises(FormatError, match="Label Studio"):
        studio.read(tmp_path / "in.json")


def test_nothing_is_left_when_reading_fails(tmp_path: Path) -> None:
    tasks = exported()
    tasks[1]["data"] = {}
    dataset = studio.read(save(tmp_path / "in.json", tasks))
    for out in ("out", "out.json"):
        with pytest.raises(FormatError):
            studio.write(dataset, tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["in.json"]
