"""What is new in a COCO file is added; what somebody worked on stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_project import ODD, comparable, exported, photo, save_odd

from app.store.acts import Create, Delete, Update, commit
from app.store.annotations import annotations_of
from app.store.coco_import import import_coco, merge_coco
from app.store.coco_merge import Merged
from app.store.database import Database
from app.store.folder_import import import_folder
from app.store.images import list_images
from app.store.projects import Project, categories
from app.store.records import AnnotationRecord
from exporters.coco import CocoError
from exporters.masks import box_xyxy, from_coco

CAT = {"id": 1, "name": "cat"}
RING = [[4, 4, 20, 4, 20, 20]]


def save(folder: Path, name: str, **lists: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": [CAT], **lists}))
    return path


def image(key: Any, file_name: str, folder: Path, **more: Any) -> dict[str, Any]:
    if not (folder / file_name).exists():
        photo(folder / file_name)
    return {"id": key, "file_name": file_name, "width": 64, "height": 48, **more}


def box(key: Any, image_id: Any, *, category_id: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": key, "image_id": image_id, "category_id": category_id, "bbox": [4, 4, 10, 8], **more}


def of(project: Project, file_name: str, *, deleted: bool = False) -> list[AnnotationRecord]:
    (found,) = [one for one in list_images(project) if one.file_name == file_name]
    return annotations_of(project, found.id, deleted=deleted)


@pytest.fixture
def project(database: Database, tmp_path: Path) -> Project:
    source = save(tmp_path, "first.json", images=[image(1, "a.png", tmp_path)], annotations=[box(1, 1), box(2, 1)])
    return import_coco(database, source, images_root=tmp_path, name="p")


def test_merging_the_same_file_adds_nothing(database: Database, tmp_path: Path) -> None:
    source = save_odd(tmp_path)
    project = import_coco(database, source, images_root=tmp_path, name="odd")
    merged = merge_coco(project, source)
    # one annotation shares its id and photo with another: it counts as known too
    assert merged == Merged(images=0, categories=0, annotations=0, known=11)
    assert comparable(exported(project, tmp_path)) == comparable(json.loads(ODD))


def test_what_is_new_is_added_and_work_stays(project: Project, tmp_path: Path) -> None:
    first, second = of(project, "a.png")
    commit(
        project,
        [Update(first.id, first.version, {"state": "accepted"}), Delete(second.id, second.version)],
        actor="Ann",
        kind="accept",
        image_id=first.image_id,
    )
    before = of(project, "a.png", deleted=True)
    source = save(
        tmp_path,
        "more.json",
        images=[image(1, "a.png", tmp_path), image(2, "b.png", tmp_path)],
        annotations=[box(1, 1, score=1), box(2, 1), box(3, 1, note="new"), box(4, 2, category_id=7)],
        categories=[CAT, {"id": 7, "name": "dog", "supercategory": "beast"}],
    )
    heard: list[None] = []
    merged = merge_coco(project, source, on_annotation=lambda: heard.append(None))
    assert merged == Merged(images=1, categories=1, annotations=2, known=2)
    assert len(heard) == 4
    assert of(project, "a.png", deleted=True)[:2] == before
    content = exported(project, tmp_path, provenance=False)
    assert [one["id"] for one in content["annotations"]] == [1, 3, 4]
    assert content["annotations"][1]["note"] == "new"
    assert content["categories"][1] == {"id": 7, "name": "dog", "supercategory": "beast"}
    assert content["images"][1]["file_name"] == "b.png"
    assert merge_coco(project, source) == Merged(images=0, categories=0, annotations=0, known=4)


def test_ids_of_another_numbering_do_not_mix_up_photos_and_classes(project: Project, tmp_path: Path) -> None:
    """The other file has another photo 1, another class 1 and another annotation 1."""
    source = save(
        tmp_path,
        "other.json",
        images=[image(1, "other.png", tmp_path, note="x"), image(9, "./a.png", tmp_path)],
        annotations=[box(1, 1), box(2, 9, category_id=2), box(30, 9)],
        categories=[{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
    )
    merged = merge_coco(project, source)
    # annotation 2 of a.png is there already
    assert merged == Merged(images=1, categories=1, annotations=2, known=1)
    content = exported(project, tmp_path)
    files = {one["id"]: one["file_name"] for one in content["images"]}
    names = {one["id"]: one["name"] for one in content["categories"]}
    assert sorted(files.values()) == ["a.png", "other.png"]
    assert [one["name"] for one in content["categories"]] == ["cat", "dog"]
    ids = [one["id"] for one in content["annotations"]]
    assert len(set(ids)) == len(ids) == 4
    assert [(files[one["image_id"]], names[one["category_id"]]) for one in content["annotations"]] == [
        ("a.png", "cat"),
        ("a.png", "cat"),
        ("other.png", "dog"),
        ("a.png", "dog"),
    ]
    assert merge_coco(project, source) == Merged(images=0, categories=0, annotations=0, known=3)
    assert exported(project, tmp_path) == content


def test_boxes_for_bare_photos(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "x.png")
    photo(tmp_path / "photos" / "a.png")
    project = import_folder(database, tmp_path / "photos", name="bare", names=["cat"])
    source = save(tmp_path, "boxes.json", images=[image(77, "x.png", tmp_path / "photos")], annotations=[box(5, 77)])
    assert merge_coco(project, source) == Merged(images=0, categories=0, annotations=1, known=0)
    assert of(project, "a.png") == []
    (found,) = of(project, "x.png")
    assert found.box == (4, 4, 14, 12)
    content = exported(project, tmp_path)
    assert content["images"][1] == {"id": 2, "file_name": "x.png", "width": 64, "height": 48}
    assert content["annotations"] == [{**box(5, 2), "image_id": 2}]


def test_a_file_in_another_frame_is_turned(database: Database, tmp_path: Path) -> None:
    """The project's file has raw sizes, the other one upright sizes of the same rotated photo."""
    photo(tmp_path / "turned.png", orientation=6)  # 64 x 48 raw, 48 x 64 upright
    first = save(tmp_path, "raw.json", images=[image(1, "turned.png", tmp_path)], annotations=[box(1, 1)])
    project = import_coco(database, first, images_root=tmp_path, name="p")
    second = save(
        tmp_path,
        "upright.json",
        images=[{"id": 1, "file_name": "turned.png", "width": 48, "height": 64}],
        annotations=[box(2, 1, segmentation=[[10, 20, 30, 20, 30, 50, 10, 50, 12, 30]])],
    )
    merge_coco(project, second)
    _, found = of(project, "turned.png")
    assert found.box == (4, 4, 14, 12)
    assert found.mask is not None
    added = exported(project, tmp_path)["annotations"][1]
    assert added["bbox"] == [4, 48 - 14, 8, 10]  # raw x = y, raw y = 48 - x
    raw = from_coco(added["segmentation"], 48, 64)
    assert raw is not None
    x0, y0, x1, y1 = box_xyxy(found.mask).tolist()
    assert box_xyxy(raw).tolist() == [y0, 48 - x1, y1, 48 - x0]


def test_annotations_without_id_are_known_by_their_text(project: Project, tmp_path: Path) -> None:
    new = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5]}
    source = save(
        tmp_path, "no-ids.json", images=[image(1, "a.png", tmp_path)], annotations=[new, {**new, "bbox": [2, 2, 5, 5]}]
    )
    assert merge_coco(project, source).annotations == 2
    assert merge_coco(project, source) == Merged(images=0, categories=0, annotations=0, known=2)


def test_annotations_without_photo_are_kept_once(project: Project, tmp_path: Path) -> None:
    source = save(tmp_path, "lost.json", annotations=[box(50, 404)])
    for _ in range(2):
        merge_coco(project, source)
        assert exported(project, tmp_path)["annotations"][-1] == box(50, 404)
    assert len(exported(project, tmp_path)["annotations"]) == 3


def test_new_annotations_and_merged_ones_have_different_ids(project: Project, tmp_path: Path) -> None:
    (first, _) = of(project, "a.png")
    commit(project, [Create({"box": (1, 1, 9, 9)})], actor="Ann", kind="create", image_id=first.image_id)
    source = save(tmp_path, "more.json", images=[image(1, "a.png", tmp_path)], annotations=[box(3, 1)])
    merge_coco(project, source)
    ids = [one["id"] for one in exported(project, tmp_path)["annotations"]]
    assert sorted(ids) == [1, 2, 3, 4]


def test_a_file_that_cannot_be_read_changes_nothing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"images": [], "annotations": [}')
    with pytest.raises(CocoError, match="line 1"):
        merge_coco(project, tmp_path / "bad.json")
    assert len(of(project, "a.png")) == 2


def test_a_merge_that_fails_half_way_leaves_nothing(project: Project, tmp_path: Path) -> None:
    source = save(
        tmp_path, "more.json", images=[image(2, "b.png", tmp_path)], annotations=[box(k, 2) for k in range(10, 20)]
    )

    def break_off() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge_coco(project, source, on_annotation=break_off)
    assert [one.file_name for one in list_images(project)] == ["a.png"]
    assert len(exported(project, tmp_path)["annotations"]) == 2


def test_broken_segmentations_are_told(project: Project, tmp_path: Path) -> None:
    notes: list[str] = []
    source = save(
        tmp_path,
        "more.json",
        images=[image(1, "a.png", tmp_path)],
        annotations=[box(3, 1, segmentation=[[1, 2, 3, 4, 5, 6, 7]])],
    )
    merge_coco(project, source, on_note=notes.append)
    assert "annotation 3 (polygon 0 has 7 numbers" in "\n".join(notes)
    assert categories(project)[0].name == "cat"
