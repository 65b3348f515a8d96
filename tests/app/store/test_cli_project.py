"""The command line around projects: import, merge, export, status, list, accounts, and convert-boxes with projects."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from coco_project import photo

from app.cli.main import main

RING = [[4.0, 4.0, 30.0, 4.0, 30.0, 20.0]]
RECTANGLE = ("--labeler", "rectangle")


def save(folder: Path, name: str = "data.json", *, boxes: int = 4) -> Path:
    for k in (1, 2):
        photo(folder / "images" / f"{k}.png")
    content = {
        "info": {"year": 2026},
        "images": [{"id": k, "file_name": f"{k}.png", "width": 64, "height": 48} for k in (1, 2)],
        "annotations": [
            {"id": k, "image_id": k % 2 + 1, "category_id": 1, "bbox": [2 + k, 3, 10, 8]} for k in range(boxes)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def run(*words: str | Path, code: int = 0) -> None:
    assert main([str(word) for word in words]) == code


@pytest.fixture
def where(database_url: str) -> tuple[str, str]:
    """The option that names the database of this test."""
    return "--database", database_url


def test_import_and_export(where: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = save(tmp_path), tmp_path / "out.json"
    run("project", "import", source, *where)
    said = capsys.readouterr().err
    assert "2 photos, 4 annotations, 1 classes" in said
    assert "photos are taken from" in said
    run("project", "export", *where, "-o", out, "-q")
    assert read(out) == read(source)
    run("project", "export", *where, "-o", out, code=2)
    assert "--overwrite" in capsys.readouterr().err
    run("project", "export", *where, "-o", out, "--overwrite", "--states", "accepted, rejected")
    assert "0 annotations of 2 photos (4 left out because of their state)" in capsys.readouterr().err
    run("project", "export", *where, "-o", tmp_path / "x.json", "--states", "good", code=2)
    assert "proposed, accepted" in capsys.readouterr().err


def test_a_second_import_needs_a_decision(
    where: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = save(tmp_path)
    run("project", "import", source, *where, "-q")
    run("project", "import", source, *where, code=2)
    assert "--merge" in capsys.readouterr().err
    run("project", "import", save(tmp_path, "more.json", boxes=6), *where, "--merge")
    assert "added 2 annotations, 0 photos and 0 classes (4 annotations were there already)" in capsys.readouterr().err
    run("project", "import", source, *where, "--project", "second", "-q")
    run("project", "list", *where, "--json")
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["data", "second"]
    run("project", "status", *where, code=2)
    assert "'data', 'second'" in capsys.readouterr().err
    run("project", "status", *where, "--project", "data", "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["images_done"], found["states"]["proposed"]) == (2, 0, 6)
    run("project", "status", *where, "--project", "second")
    assert "4  cat" in capsys.readouterr().out


def test_bare_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path).parent / "images"
    run("project", "import", folder, "--names", "person,car", "-q")
    assert (folder / "openseed.db").exists()
    run("project", "status", folder)
    assert "0 of 2 photos done" in capsys.readouterr().out
    run("project", "list", folder)
    assert capsys.readouterr().out.startswith("images  (photos in ")
    run("project", "import", folder, "--merge", code=2)
    run("project", "import", folder / "openseed.db", code=2)


def test_a_project_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("project", "status", tmp_path / "none.db", code=2)
    run("project", "status", save(tmp_path), code=2)
    run("project", "status", code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "images"]
    assert "Traceback" not in capsys.readouterr().err


def test_accounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from app.ui.passwords import UsersFile

    file = tmp_path / "accounts.txt"
    for secret, words in (("a long password", "was added"), ("another password", "has a new password")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{secret}\n"))
        run("project", "add-user", file, "ann")
        assert words in capsys.readouterr().err
        assert UsersFile.read(file).check("ann", secret)
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    run("project", "add-user", file, "bob", code=2)
    run("project", "add-user", file, "a:b", code=2)
    assert not UsersFile.read(file).check("bob", "short")


def test_convert_a_project_in_place(where: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = save(tmp_path), tmp_path / "out.json"
    run("convert-boxes", source, *where, *RECTANGLE, "--json")
    captured = capsys.readouterr()
    assert json.loads(captured.out)["annotations"] == {"converted": 4}
    run("convert-boxes", *where, *RECTANGLE, "-o", out, "--json")
    assert json.loads(capsys.readouterr().out)["annotations"] == {"kept": 4}
    run("convert-boxes", source, "-o", tmp_path / "by-file.json", *RECTANGLE, "--no-provenance", "-q")
    by_file = read(tmp_path / "by-file.json")
    assert [one["segmentation"] for one in read(out)["annotations"]] == [
        one["segmentation"] for one in by_file["annotations"]
    ]
    assert read(out)["annotations"][0]["openseed_label"]["labeler"] == "rectangle"
    run("convert-boxes", *where, *RECTANGLE, "-o", out, code=2)
    run("convert-boxes", *where, *RECTANGLE, "-o", out, "--overwrite", "--no-provenance", "-q")
    assert read(out) == by_file


def test_convert_a_file_into_a_project_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, project = save(tmp_path), tmp_path / "project.db"
    run("convert-boxes", source, "-o", project, *RECTANGLE, "--limit", "1", "--json", "-q")
    assert json.loads(capsys.readouterr().out)["annotations"] == {"converted": 2, "left_out": 2}
    run("convert-boxes", source, "-o", project, *RECTANGLE, "--json", "-q")
    assert json.loads(capsys.readouterr().out)["annotations"] == {"converted": 2, "kept": 2}
    run("convert-boxes", project, *RECTANGLE, "--dry-run")
    assert "4  kept" in capsys.readouterr().err
    source.write_text(source.read_text() + " ")
    run("convert-boxes", source, "-o", project, *RECTANGLE, code=2)
    assert "--merge" in capsys.readouterr().err


def test_trouble_in_a_project_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, project = save(tmp_path), tmp_path / "project.db"
    (tmp_path / "images" / "1.png").write_bytes(b"broken")
    run("convert-boxes", source, "-o", project, *RECTANGLE, code=1)
    assert "image '1.png'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("project.db", "-o", "other.db"), "in place"),
        (("project.db", "--database", "x.db"), "one of them"),
        (("data.json", "-o", "x.db", "--database", "y.db"), "one of them"),
        (("data.json", "--project", "p"), "-o project.db"),
        (("data.json", "-o", "x.db", "--images-json", "data.json"), "--images-json"),
        (("data.json", "-o", "x.db", "--report", "r.html"), "--report"),
        (("data.json", "-o", "x.db", "--in-place"), "--in-place"),
        (("data.json", "-o", "x.db", "--overwrite"), "never overwritten"),
        (("project.db", "--exif", "raw"), "imported"),
        (("project.db", "-o", "data.json"), "exists already"),
        (("project.db", "-o", "nowhere/out.json"), "can't be a file"),
        (("project.db", "--margin", "1"), "--clip-to-box"),
        (("project.db", "--categories", "dog"), "'dog'"),
        (("images/1.png", "-o", "x.db"), "line 1"),
        (("nothing.db",), "there is no such project"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(save(tmp_path).parent)
    run("project", "import", "data.json", "--database", "project.db", "-q")
    before = (tmp_path / "data.json").read_bytes()
    run("convert-boxes", *words, *RECTANGLE, code=2)
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert (tmp_path / "data.json").read_bytes() == before
