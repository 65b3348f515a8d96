"""Data sets that hold their photos themselves: zips, Parquet shards."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from dataset_files import coco, square

from app.cli.main import main
from exporters.archive import unpack
from exporters.dataset import FormatError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return coco(tmp_path, {"a.png": [square(1, 1, 9)], "sub dir/größe.png": [square(3, 3, 20)]})


def convert(source: Path, out: Path, to: str, *words: str) -> int:
    return main(["convert", str(source), str(out), "--to", to, "-q", *words])


def zipped(folder: Path, *, top: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{top}{file.relative_to(folder).as_posix()}")
        archive.writestr("NOTES.txt", "what was lost")
        archive.writestr("__MACOSX/._a.png", "what a Mac adds")
    return path


@pytest.mark.parametrize("to", ["yolo-segment", "cvat", "voc", "coco"])
def test_a_zip_comes_back_with_its_photos(source: Path, tmp_path: Path, to: str) -> None:
    photos = tmp_path / "photos"
    assert convert(source, tmp_path / "out", to, "--copy-images", "copy", "--images", str(photos)) == 0
    archive = zipped(tmp_path / "out", top="project/")
    assert convert(archive, tmp_path / "back", "coco", "--copy-images", "link") == 0
    document = json.loads((tmp_path / "back" / "annotations.json").read_text())
    assert [one["area"] for one in document["annotations"]] == [81, 400]
    saved = [tmp_path / "back" / "images" / image["file_name"] for image in document["images"]]
    assert [path.read_bytes() for path in saved] == [
        (photos / name).read_bytes() for name in ("a.png", "sub dir/größe.png")
    ]
    assert not list(tmp_path.glob(".openseed*"))


def test_photos_in_shards_are_unpacked_where_they_are_needed(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    photos = tmp_path / "photos"
    assert convert(source, tmp_path / "shards", "parquet", "--copy-images", "copy", "--images", str(photos)) == 0
    assert convert(tmp_path / "shards", tmp_path / "yolo", "yolo-segment", "--copy-images", "link") == 0
    for name in ("a.png", "sub dir/größe.png"):
        assert (tmp_path / "yolo" / "images" / "train" / name).read_bytes() == (photos / name).read_bytes()
    words = ["--to", "yolo-detect", "--ratios", "a=1,b=1", "--group", "lookalike", "--copy-images", "copy", "-q"]
    assert main(["split", str(tmp_path / "shards"), str(tmp_path / "parts"), *words]) == 0
    assert len(list((tmp_path / "parts" / "images").rglob("*.png"))) == 2
    assert not list(tmp_path.glob(".openseed*"))


@pytest.mark.parametrize("evil", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "C:\\evil.txt"])
def test_a_name_that_leads_out_refuses_the_whole_zip(
    tmp_path: Path, evil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deep" / "slip.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.yaml", "names: [a]")
        archive.writestr(evil, "x")
    assert convert(path, tmp_path / "deep" / "out", "coco", "--copy-images", "copy") == 2
    assert "slip.zip" in capsys.readouterr().err
    assert [found.name for found in tmp_path.rglob("*")] == ["deep", "slip.zip"]


def test_bombs_doubles_and_damage_are_refused(tmp_path: Path) -> None:
    bomb, double, cut = tmp_path / "bomb.zip", tmp_path / "double.zip", tmp_path / "cut.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.json", "w") as stream:
        for _ in range(300):
            stream.write(bytes(2**20))
    with zipfile.ZipFile(double, "w") as archive:
        archive.writestr("a.json", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.json", "2")
    cut.write_bytes(double.read_bytes()[:40])
    for path, said in ((bomb, "unpacks from"), (double, "stands in it twice"), (cut, "can't be read")):
        folder = tmp_path / f"{path.stem}-out"
        folder.mkdir()
        with pytest.raises(FormatError, match=said):
            unpack(path, folder)


def test_messages_name_the_zip_and_not_where_it_was_unpacked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"bbox": [1, 1, 5, 5], "segmentation": {"size": [9, 9], "counts": [81]}}
    folder = tmp_path / "set"
    coco(folder, {"a.png": [square(1, 1, 9), bad]})
    assert main(["check", str(zipped(folder)), "-q"]) == 1
    shown = capsys.readouterr().out
    assert f"{tmp_path / 'set.zip'}/data.json: annotations[1]" in shown
    assert "openseed-unpacked" not in shown
