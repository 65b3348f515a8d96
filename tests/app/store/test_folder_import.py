"""Folders of bare photos into projects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from coco_project import exported, photo

from app.store.acts import Create, commit
from app.store.database import Database
from app.store.errors import StoreError
from app.store.folder_import import import_folder
from app.store.images import image, list_images
from app.store.projects import categories, projects
from app.store.stuff import vocabulary_with_stuff
from labelers.vocabulary import Entry


def test_photos_come_in_natural_order_with_their_upright_size(database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("photo10.png", "photo2.PNG", "b/x.png", "a2/y.png", "a10/y.png", ".hidden.png", ".git/z.png"):
        photo(folder / name)
    photo(folder / "turned.png", orientation=6)
    (folder / "notes.txt").write_text("no photo")
    heard: list[None] = []
    project = import_folder(database, folder, name="bare", names=["cat", "dog"], on_photo=lambda: heard.append(None))
    found = list_images(project)
    assert [one.file_name for one in found] == [
        "photo2.PNG",
        "photo10.png",
        "turned.png",
        "a2/y.png",
        "a10/y.png",
        "b/x.png",
    ]
    assert len(heard) == 6
    turned = image(project, found[2].id)
    assert (turned.width, turned.height, turned.orientation) == (48, 64, 6)
    assert (turned.frame_orientation, turned.frame_width, turned.frame_height, turned.problem) == (1, 48, 64, None)
    assert [one.name for one in categories(project)] == ["cat", "dog"]
    assert project.images_root == folder.resolve()


def test_photos_that_cannot_be_read_are_told(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    notes: list[str] = []
    project = import_folder(database, tmp_path, name="bare", names=[], on_note=notes.append)
    assert [(one.file_name, one.problem is None) for one in list_images(project)] == [
        ("bad.jpg", False),
        ("good.png", True),
    ]
    assert len(notes) == 1
    assert "'bad.jpg': it is no image that can be read" in notes[0]
    assert str(tmp_path) not in notes[0]


def test_a_name_that_is_no_text_is_left_out(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "good.png")
    odd = os.fsencode(tmp_path) + b"/caf\xe9.png"
    try:
        os.link(os.fsencode(tmp_path / "good.png"), odd)
    except OSError:
        pytest.skip("this file system takes no such name")
    notes: list[str] = []
    project = import_folder(database, tmp_path, name="bare", names=[], on_note=notes.append)
    assert [one.file_name for one in list_images(project)] == ["good.png"]
    assert "UTF-8" in notes[0]


def test_links_out_of_the_folder_are_not_followed(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "outside" / "secret.png")
    photo(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "outside")
    project = import_folder(database, tmp_path / "in", name="bare", names=[])
    found = {one.file_name: one.problem for one in list_images(project)}
    assert list(found) == ["good.png", "link.png"]
    assert "leads out" in (found["link.png"] or "")


@pytest.mark.parametrize("names", [["cat", "cat"], [""], ["a\nb"]])
def test_wrong_class_names_leave_nothing(database: Database, tmp_path: Path, names: list[str]) -> None:
    photo(tmp_path / "good.png")
    with pytest.raises(StoreError, match="class"):
        import_folder(database, tmp_path, name="bare", names=names)
    assert projects(database) == []


@pytest.mark.parametrize("place", [".", "nowhere"])
def test_no_photos_no_project(database: Database, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="check the path"):
        import_folder(database, tmp_path / "empty" / place, name="bare", names=[])
    assert projects(database) == []


def test_bare_photos_export_as_a_complete_coco_file(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "turned.png", orientation=6)
    project = import_folder(database, tmp_path, name="bare", names=["cat"])
    assert exported(project, tmp_path) == {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 64, "height": 48},
            {"id": 2, "file_name": "turned.png", "width": 48, "height": 64},
        ],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    turned, cat = list_images(project)[1].id, categories(project)[0].id
    commit(
        project,
        [Create({"box": (1.5, 2, 30, 60), "category_id": cat})],
        actor="Ann",
        kind="create",
        image_id=turned,
    )
    assert exported(project, tmp_path, provenance=False)["annotations"] == [
        {
            "id": 1,
            "image_id": 2,
            "category_id": 1,
            "bbox": [1.5, 2, 28.5, 58],
            "area": 28.5 * 58,
            "iscrowd": 0,
            "segmentation": [],
        }
    ]


def test_stuff_stays_stuff_in_the_project_and_in_its_export(database: Database, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    marked = {"sky": Entry("sky", ("clouds", "sky"), stuff=True)}
    project = import_folder(database, tmp_path, name="bare", names=["cat", "sky"], marked=marked)
    assert [(entry.name, entry.stuff) for entry in vocabulary_with_stuff(project).entries] == [
        ("cat", False),
        ("sky", True),
    ]
    assert vocabulary_with_stuff(project).prompts("sky") == ("clouds", "sky")
    found = exported(project, tmp_path)["categories"]
    assert [category["name"] for category in found] == ["cat", "sky"]
    assert found[1]["supercategory"] == "stuff"
    assert len({category["id"] for category in found}) == 2
