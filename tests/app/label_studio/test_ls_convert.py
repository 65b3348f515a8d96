"""COCO to Label Studio's JSON and back: ids, holes, islands, everything that nobody touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_studio_sdk.label_interface import LabelInterface
from PIL import Image

from app.cli.main import main
from exporters.label_studio import key_of, region_id
from exporters.masks import decode, encode, from_coco, to_coco

H, W = 20, 30


def mask_with(*, hole: bool = False, island: bool = False) -> np.ndarray:
    mask = np.zeros((H, W), bool)
    mask[2:12, 3:15] = True
    if hole:
        mask[5:8, 6:10] = False
    if island:
        mask[14:18, 20:28] = True
    return mask


def coco(masks: dict[Any, np.ndarray | None], *, name: str = "a.jpg", **more: Any) -> dict[str, Any]:
    annotations = []
    for number, mask in masks.items():
        element: dict[str, Any] = {"id": number, "image_id": 7, "category_id": 3, "bbox": [3, 2, 12, 10], "area": 120}
        if mask is not None:
            element["segmentation"] = to_coco(encode(mask), form="rle")
        annotations.append({**element, "iscrowd": 0, "own": {"of": "mine"}, **more})
    return {
        "info": {"year": 2026},
        "images": [{"id": 7, "file_name": name, "width": W, "height": H, "licence": 4}],
        "annotations": annotations,
        "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 9, "name": "dog & co"}],
    }


def write(path: Path, document: Any) -> Path:
    path.write_text(json.dumps(document))
    return path


def exported(folder: Path, document: Any, *options: str) -> tuple[Path, list[dict[str, Any]]]:
    source = write(folder / "data.json", document)
    tasks = folder / "tasks.json"
    assert main(["label-studio", "export", str(source), "-o", str(tasks), "-q", *options]) == 0
    return source, json.loads(tasks.read_text())


def annotated(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Label Studio exports after an annotator has looked at the predictions and submitted them as they are."""
    known = (
        "id",
        "from_name",
        "to_name",
        "type",
        "value",
        "original_width",
        "original_height",
        "image_rotation",
        "meta",
    )
    for number, task in enumerate(tasks):
        holders = task.pop("predictions", None) or task.pop("annotations")
        result = [{key: region[key] for key in known if key in region} for region in holders[0]["result"]]
        task |= {
            "id": number + 1,
            "predictions": [],
            "annotations": [{"id": 5, "was_cancelled": False, "result": result}],
        }
    return tasks


def imported(folder: Path, tasks: Any, *options: str, code: int = 0) -> dict[str, Any]:
    out = folder / "out.json"
    given_ = write(folder / "export.json", tasks)
    assert main(["label-studio", "import", str(given_), "-o", str(out), "-q", *options]) == code
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def masks_of(document: dict[str, Any]) -> dict[Any, np.ndarray]:
    return {
        one["id"]: decode(from_coco(one["segmentation"], H, W))  # type: ignore[arg-type]
        for one in document["annotations"]
        if one.get("segmentation")
    }


@pytest.mark.parametrize("shape", ["brush", "bitmask", "polygon"])
def test_ids_holes_and_islands_come_back(tmp_path: Path, shape: str) -> None:
    masks = {11: mask_with(hole=True, island=True), 4: mask_with(island=True), "text": mask_with(), 90: None}
    document = coco(masks)
    source, tasks = exported(tmp_path, document, "--shape", shape)
    config = LabelInterface((tmp_path / "tasks.xml").read_text())
    assert config.validate_prediction(tasks[0]["predictions"][0], return_errors=True) == []
    back = imported(tmp_path, annotated(tasks))
    assert [one["id"] for one in back["annotations"]] == [11, 4, "text", 90]
    found = masks_of(back)
    assert all((found[key] == mask).all() for key, mask in masks.items() if mask is not None)
    # with the original file at hand everything else is its own bytes
    merged = imported(tmp_path, annotated(exported(tmp_path, document, "--shape", shape)[1]), "--base", str(source))
    assert merged == document


def test_without_the_base_nothing_is_lost_but_spelling(tmp_path: Path) -> None:
    document = coco({11: mask_with(hole=True)}, iscrowd=1)
    back = imported(tmp_path, annotated(exported(tmp_path, document)[1]))
    assert back["images"] == document["images"]
    assert back["annotations"] == document["annotations"]
    assert back["categories"] == document["categories"][:1], "the other one has no annotation"


def test_what_annotators_change(tmp_path: Path) -> None:
    document = coco({1: mask_with(), 2: mask_with(hole=True), 3: mask_with(island=True), 4: None})
    source, tasks = exported(tmp_path, document)
    [task] = annotated(tasks)
    regions = {region["id"]: region for region in task["annotations"][0]["result"]}
    changed = mask_with(island=True)
    changed[0] = True
    from exporters.brush import encode_brush

    regions["coco-1"]["value"]["rle"] = encode_brush(encode(changed))
    regions["coco-2"]["value"]["brushlabels"] = ["dog & co"]
    new = {**regions["coco-3"], "id": "aBcDeFgHiJ", "value": {**regions["coco-3"]["value"], "brushlabels": ["bird"]}}
    task["annotations"][0]["result"] = [regions["coco-1"], regions["coco-2"], regions["coco-4"], new]
    merged = imported(tmp_path, [task], "--base", str(source))
    by_id = {one["id"]: one for one in merged["annotations"]}
    assert list(by_id) == [1, 2, 4, 5], "3 was deleted, 5 is new"
    assert (masks_of(merged)[1] == changed).all()
    assert by_id[1]["area"] == changed.sum()
    assert by_id[1]["bbox"] == [0, 0, 30, 18]
    assert by_id[1]["own"] == {"of": "mine"}
    assert by_id[2] == {**document["annotations"][1], "category_id": 9}
    assert by_id[4] == document["annotations"][3]
    assert by_id[5]["image_id"] == 7
    assert merged["categories"][-1] == {"id": 10, "name": "bird"}
    assert merged["info"] == document["info"]


def test_a_box_that_was_moved(tmp_path: Path) -> None:
    document = coco({1: None, 2: None})
    source, tasks = exported(tmp_path, document)
    [task] = annotated(tasks)
    task["annotations"][0]["result"][0]["value"] |= {"x": 50, "y": 50, "width": 20, "height": 10}
    merged = imported(tmp_path, [task], "--base", str(source))
    assert merged["annotations"][0]["bbox"] == pytest.approx([15, 10, 6, 2])
    assert merged["annotations"][1] == document["annotations"][1]


def test_tasks_that_nobody_has_done_delete_nothing(tmp_path: Path) -> None:
    document = coco({1: mask_with(), 2: None})
    source, tasks = exported(tmp_path, document)
    tasks[0] |= {"id": 1, "annotations": []}
    assert imported(tmp_path, tasks, "--base", str(source)) == document
    cancelled = [{**tasks[0], "annotations": [{"was_cancelled": True, "result": []}]}]
    assert imported(tmp_path, cancelled, "--base", str(source)) == document


def test_which_annotation_counts(tmp_path: Path) -> None:
    _, tasks = exported(tmp_path, coco({1: mask_with()}))
    [task] = annotated(tasks)
    old = {"result": [], "updated_at": "2026-01-01"}
    new = {**task["annotations"][0], "updated_at": "2026-02-02"}
    assert len(imported(tmp_path, [{**task, "annotations": [new, old]}])["annotations"]) == 1
    truth = {**old, "ground_truth": True}
    assert len(imported(tmp_path, [{**task, "annotations": [new, truth]}])["annotations"]) == 0
    assert len(imported(tmp_path, [{**task, "annotations": [new, truth]}], "--annotations", "all")["annotations"]) == 1


def test_predictions_are_taken_if_asked(tmp_path: Path) -> None:
    _, tasks = exported(tmp_path, coco({1: mask_with()}))
    tasks[0] |= {"id": 1, "annotations": []}
    assert imported(tmp_path, tasks)["annotations"] == []
    assert [one["id"] for one in imported(tmp_path, tasks, "--predictions")["annotations"]] == [1]


def test_a_project_that_was_never_coco(tmp_path: Path) -> None:
    _, tasks = exported(tmp_path, coco({1: mask_with(hole=True)}))
    [task] = annotated(tasks)
    task["data"] = {"image": "/data/upload/3/1234-b%20c.png"}
    task["annotations"][0]["result"][0]["id"] = "zYxWvUtSrQ"
    back = imported(tmp_path, [task])
    assert back["images"] == [{"id": 1, "file_name": "1234-b c.png", "height": H, "width": W}]
    assert back["categories"] == [{"id": 1, "name": "cat"}]
    assert [one["id"] for one in back["annotations"]] == [1]
    assert (masks_of(back)[1] == mask_with(hole=True)).all()


def test_broken_tasks_are_reported_and_the_rest_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, tasks = exported(tmp_path, coco({1: mask_with(), 2: mask_with()}))
    [task] = annotated(tasks)
    task["annotations"][0]["result"][1]["value"]["rle"] = [1, 2, 3]
    back = imported(tmp_path, [3, {"id": 9}, {"id": 8, "data": {}, "annotations": 4}, task], code=1)
    assert [one["id"] for one in back["annotations"]] == [1]
    said = capsys.readouterr().err
    assert "region 'coco-2': brush rle is cut off" in said
    assert "task 9" in said


@pytest.mark.parametrize("document", [{}, {"images": [], "annotations": []}, "x", [{"image": "a", "label": []}]])
def test_files_that_are_something_else(tmp_path: Path, document: Any, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "x.json", document)
    assert main(["label-studio", "import", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_rotated_photos_go_out_upright_and_come_back_raw(tmp_path: Path) -> None:
    """A COCO file in the frame of the stored pixels; Label Studio shows the photo upright."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (W, H)).save(tmp_path / "a.jpg", exif=exif)
    document = coco({1: mask_with(hole=True), 2: None})
    source, tasks = exported(tmp_path, document, "--images", str(tmp_path))
    region = tasks[0]["predictions"][0]["result"][0]
    assert (region["original_width"], region["original_height"]) == (H, W)
    assert imported(tmp_path, annotated(tasks), "--base", str(source)) == document


def test_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "root" / "photos"
    photos.mkdir(parents=True)
    Image.new("RGB", (W, H)).save(photos / "a b.jpg")
    document = coco({1: None}, name="a b.jpg")
    _, tasks = exported(tmp_path, document, "--images", str(photos), "--local-files-root", str(tmp_path / "root"))
    assert tasks[0]["data"]["image"] == "/data/local-files/?d=photos/a%20b.jpg"
    _, tasks = exported(tmp_path, document, "--url-prefix", "s3://bucket/")
    assert tasks[0]["data"]["image"] == "s3://bucket/a%20b.jpg"
    path = str(tmp_path / "data.json")
    assert main(["label-studio", "export", path, "--images", str(photos), "--local-files-root", str(photos / "x")]) == 2
    assert main(["label-studio", "export", path, "--local-files-root", str(photos)]) == 2
    assert main(["label-studio", "export", path, "-o", path]) == 2


def test_a_photo_that_is_missing_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = coco({1: None})
    document["images"].append({"id": 8, "file_name": "b.jpg", "width": 3, "height": 3})
    Image.new("RGB", (W, H)).save(tmp_path / "a.jpg")
    source = write(tmp_path / "data.json", document)
    out = tmp_path / "t.json"
    assert main(["label-studio", "export", str(source), "-o", str(out), "--images", str(tmp_path)]) == 1
    assert "b.jpg" in capsys.readouterr().err
    assert len(json.loads(out.read_text())) == 1


def test_classes_of_the_same_name_stay_apart(tmp_path: Path) -> None:
    document = coco({1: mask_with(), 2: None})
    document["categories"] = [{"id": 3, "name": "cat"}, {"id": 9, "name": "cat"}]
    document["annotations"][1]["category_id"] = 9
    source, tasks = exported(tmp_path, document)
    assert imported(tmp_path, annotated(tasks), "--base", str(source)) == document


@given(st.one_of(st.integers(-(10**12), 10**12).map(str), st.text(max_size=20).map(json.dumps)))
def test_ids_of_any_kind(key: str) -> None:
    assert key_of(region_id(key)) == key
    assert key_of(region_id(key) + ".3") in (key, None)


@pytest.mark.parametrize("name", ["aBcDeFgHiJ", "coco-", "coco-x", "coco-x!", "coco-1x", "coco-x//8", ""])
def test_other_ids_are_none_of_ours(name: str) -> None:
    assert key_of(name) is None


@given(st.lists(arrays(bool, (H, W)), min_size=1, max_size=4), st.sampled_from(["brush", "bitmask", "polygon"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_masks(tmp_path: Path, masks: list[np.ndarray], shape: str) -> None:
    document = coco({k + 1: mask for k, mask in enumerate(masks) if mask.any()})
    source, tasks = exported(tmp_path, document, "--shape", shape)
    assert imported(tmp_path, annotated(tasks), "--base", str(source)) == document
