"""The project as a whole: classes, progress, export and import."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from coco_data import COCO
from page_client import Browser

from app.store.projects import Project, vocabulary
from exporters.dataset import FormatError
from exporters.formats import load


def test_the_project_says_what_the_page_shows(ana: Browser) -> None:
    shown = ana.get("/api/project").json()
    assert shown["name"] == "data"
    assert shown["images"] == 3
    assert [(found["name"], found["key"]) for found in shown["categories"]] == [
        ("cat", "1"),
        ("dog", "2"),
        ("ghost", "3"),
    ]
    assert shown["orders"] == ["quality", "class", "file", "random"]
    assert shown["model"]["name"] == "fake"
    assert shown["version"]
    assert shown["threshold"] == 0.3


def test_classes_are_added_and_changed(ana: Browser, project: Project) -> None:
    added = ana.post("/api/categories", json={"name": " tree "}).json()
    assert added["name"] == "tree"
    assert added["key"] == "4"
    changed = ana.patch(f"/api/categories/{added['id']}", json={"synonyms": ["oak", "fir"], "colour": "#00FF00"}).json()
    assert changed["synonyms"] == ["oak", "fir"]
    assert changed["colour"] == "#00ff00"
    assert vocabulary(project).prompts("tree") == ("oak", "fir")


@pytest.mark.parametrize(
    "body", [{"name": ""}, {"name": "a\nb"}, {"name": "x" * 300}, {"name": "cat"}, {"name": 7}, {}]
)
def test_class_names_are_checked(ana: Browser, body: dict[str, object]) -> None:
    assert ana.post("/api/categories", json=body).status_code == 422
    assert len(ana.get("/api/project").json()["categories"]) == 3


@pytest.mark.parametrize(
    "body", [{"colour": "red"}, {"colour": "#12345"}, {"synonyms": [""]}, {"synonyms": ["x"] * 51}, {}]
)
def test_changes_of_classes_are_checked(ana: Browser, body: dict[str, object]) -> None:
    assert ana.patch("/api/categories/1", json=body).status_code == 422
    assert ana.patch("/api/categories/99", json={"colour": "#123456"}).status_code == 404


def test_export_has_what_was_done(ana: Browser) -> None:
    ana.post("/api/images/3/annotations", json={"box": [10, 8, 30, 28], "category_id": 2})
    ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"})
    answer = ana.get("/api/export.json?provenance=0")
    assert answer.headers["content-disposition"] == 'attachment; filename="data.json"'
    exported = json.loads(answer.content)
    assert [found["id"] for found in exported["annotations"]] == [12, 13, 14, 15]
    assert exported["annotations"][-1]["bbox"] == [10, 8, 20, 20]
    assert exported["annotations"][-1]["segmentation"]
    only = json.loads(ana.get("/api/export.json?states=rejected").content)
    assert [found["id"] for found in only["annotations"]] == [11]
    assert ana.get("/api/export.json?states=perfect").status_code == 422


def test_an_export_of_nothing_changed_is_the_import(ana: Browser) -> None:
    assert json.loads(ana.get("/api/export.json?provenance=0").content) == json.loads(COCO)


def test_the_zip_of_another_format_reads_back(ana: Browser, tmp_path: Path) -> None:
    ana.post("/api/images/3/annotations", json={"box": [10, 8, 30, 28], "category_id": 2})
    answer = ana.get("/api/export.zip?format=cvat&photos=1")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="data-cvat.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path / "zip")
    assert "5 objects of 3 photos" in (tmp_path / "zip" / "NOTES.txt").read_text()
    found = load("cvat").read(tmp_path / "zip" / "data")
    pictures = list(found)
    assert sum(len(picture.items) for picture in pictures) == 5
    assert found.images is not None
    assert all((found.images / picture.file_name).is_file() for picture in pictures)


def test_the_zip_says_what_was_lost_and_takes_only_wanted_states(ana: Browser) -> None:
    ana.post("/api/images/3/annotations", json={"box": [10, 8, 30, 28], "category_id": 2})
    ana.patch("/api/annotations/1", json={"version": 1, "state": "rejected"})
    answer = ana.get("/api/export.zip?format=yolo-detect&states=proposed&states=accepted")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        notes = archive.read("NOTES.txt").decode()
        assert "4 objects of 3 photos" in notes
        assert "become" in notes
        assert "/tmp" not in notes
        assert any(name.endswith("data.yaml") for name in archive.namelist())
    for wrong in ("", "format=nonsense", "format=supervision", "format=voc&states=perfect"):
        assert ana.get(f"/api/export.zip?{wrong}").status_code == 422


def test_a_zip_that_can_not_be_made_says_why(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise FormatError(f"the format {name!r} needs a library; install it")

    monkeypatch.setattr("app.datasets.download.load", missing)
    answer = ana.get("/api/export.zip?format=parquet")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "the format 'parquet' needs a library; install it"


def test_import_adds_what_is_new(ana: Browser, project: Project) -> None:
    more = json.loads(COCO)
    more["annotations"].append({"id": 99, "image_id": 3, "category_id": 5, "bbox": [1, 1, 9, 9], "iscrowd": 0})
    answer = ana.post("/api/import", files={"file": ("../../etc/passwd", json.dumps(more).encode())})
    assert answer.status_code == 200, answer.text
    assert answer.json()["annotations"] == 1
    assert len(ana.get("/api/images/3").json()["annotations"]) == 1
    again = ana.post("/api/import", files={"file": ("more.json", json.dumps(more).encode())})
    assert again.json()["annotations"] == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"images": 3}', b"\x00\xff"])
def test_what_is_no_coco_file_is_refused(ana: Browser, content: bytes) -> None:
    answer = ana.post("/api/import", files={"file": ("more.json", content)})
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["kind"] == "invalid"
    assert "/tmp" not in answer.text
    assert ana.post("/api/import", data={"file": "text"}).status_code == 422


def test_files_of_exports_do_not_pile_up(ana: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert ana.get("/api/export.json").status_code == 200
    assert ana.get("/api/export.zip?format=yolo-segment").status_code == 200
    assert list(folder.iterdir()) == []
