"""The command `convert`: what is lost is said before, nothing is half written, nothing of the user's is destroyed."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
from dataset_files import coco, square

from app.cli.main import main
from exporters.dataset import Dataset, WriteOptions, Written
from exporters.formats import load

HOLE = {"bbox": [0, 0, 64, 48], "segmentation": {"size": [48, 64], "counts": [0, 1000, 24, 48 * 64 - 1024]}}
BOX = {"bbox": [5, 6, 7, 8]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    crowd = {**square(30, 30, 9), "iscrowd": 1}
    return coco(tmp_path, {"a.png": [square(1, 1, 9), HOLE, BOX], "sub/a.png": [crowd], "c.png": []})


def test_losses_are_counted_before_writing_and_strict_refuses(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "yolo"
    assert main(["convert", str(source), str(out), "--to", "yolo-detect", "--strict"]) == 2
    said = capsys.readouterr().err
    assert "lost: 3 masks become boxes: use --to coco to keep them" in said
    assert "lost: 1 crowd is left out or becomes a plain object" in said
    assert "nothing was written" in said
    assert not out.exists()
    assert main(["convert", str(source), str(out), "--to", "yolo-detect", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {loss["kind"]: loss["count"] for loss in told["losses"]}["masks"] == 3
    assert told["written"] is None
    assert not out.exists()


def test_there_and_back_keeps_what_the_format_holds(source: Path, tmp_path: Path) -> None:
    there, back = tmp_path / "set.xml", tmp_path / "back.json"
    assert main(["convert", str(source), str(there), "--to", "cvat", "-q"]) == 0
    assert main(["convert", str(there), str(back), "--to", "coco", "-q"]) == 0
    before, after = json.loads(source.read_text()), json.loads(back.read_text())
    assert [one["file_name"] for one in after["images"]] == ["a.png", "sub/a.png", "c.png"]
    for key in ("id", "iscrowd", "bbox"):
        assert [one[key] for one in after["annotations"]] == [one[key] for one in before["annotations"]]


def test_coco_to_coco_loses_nothing(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "copy.json"
    assert main(["convert", str(source), str(out), "--to", "coco", "--strict"]) == 0
    assert "lost" not in capsys.readouterr().err
    before, after = json.loads(source.read_text()), json.loads(out.read_text())
    for key in ("images", "categories"):
        assert after[key] == before[key]
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        assert old == {key: new[key] for key in old}  # the new one may have an area that was missing


def test_only_a_set_of_the_format_is_replaced(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["convert", str(source), str(out), "--to", "yolo-segment", "-q"]
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    assert main([*words, "--overwrite"]) == 2
    assert "does not replace it" in capsys.readouterr().err
    assert (out / "thesis.txt").read_text() == "years of work"
    (out / "thesis.txt").unlink()
    assert main(words) in (0, 1)
    (out / "old.txt").write_text("of the run before")
    assert main(words) == 2
    assert main([*words, "--overwrite"]) in (0, 1)
    assert not (out / "old.txt").exists()
    assert not list(tmp_path.glob(".openseed*"))


@pytest.mark.parametrize("out", ["data.json", "photos", "."])
def test_the_input_and_its_photos_are_never_the_output(
    source: Path, tmp_path: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = source.read_bytes()
    words = ["--images", str(tmp_path / "photos"), "--overwrite"]
    assert main(["convert", str(source), str(tmp_path / out), "--to", "coco", *words]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert (tmp_path / "photos" / "a.png").exists()


def test_bad_elements_are_left_out_reported_once_and_make_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"bbox": [1, 1, 5, 5], "segmentation": {"size": [9, 9], "counts": [81]}}
    source = coco(tmp_path, {"a.png": [square(1, 1, 9), bad]})
    out = tmp_path / "out.json"
    assert main(["convert", str(source), str(out), "--to", "coco", "-q"]) == 1
    assert capsys.readouterr().err.count("annotations[1]") == 1
    assert len(json.loads(out.read_text())["annotations"]) == 1


def test_strict_takes_back_what_turns_out_to_be_incomplete(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos" / "c.png").unlink()
    out = tmp_path / "out"
    words = ["convert", str(source), str(out), "--to", "coco", "--images", str(tmp_path / "photos"), "-q"]
    assert main([*words, "--copy-images", "copy", "--strict"]) == 2
    assert "1 x photos not found" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--strict"]) == 0
    before = (out / "annotations.json").read_bytes()
    assert main([*words, "--copy-images", "copy", "--strict", "--overwrite"]) == 2
    assert (out / "annotations.json").read_bytes() == before
    assert not (out / "images").exists()
    assert not list(tmp_path.glob(".openseed*"))


@pytest.mark.parametrize("to", ["yolo-detect", "voc", "labelme", "coco", "cvat", "parquet"])
def test_photos_that_are_missing_make_exit_code_1_in_every_format(
    source: Path, tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "photos" / "c.png").unlink()
    words = ["--images", str(tmp_path / "photos"), "--copy-images", "copy", "-q"]
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", to, *words]) == 1
    assert "left out: 1 x photos not found" in capsys.readouterr().err


def test_photos_that_need_another_name_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {"a.png": [square(1, 1, 9)], "A.PNG": [], "b.png": [], f"{'y' * 200}.png": []})
    assert main(["convert", str(source), str(tmp_path / "out"), "--to", "yolo-segment"]) == 0
    assert "note: 2 photos have a new name with a hash" in capsys.readouterr().err


@pytest.mark.parametrize(("to", "name"), [("cvat", "x.json"), ("yolo-segment", "x.zip"), ("coco", "x.xml")])
def test_a_folder_is_not_called_like_a_file(
    source: Path, tmp_path: Path, to: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(source), str(tmp_path / name), "--to", to]) == 2
    assert "name the output without" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(
    source: Path,
    tmp_path: Path,
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = load("yolo-segment")
    write = module.write

    def interrupted(dataset: Dataset, out: Path, options: WriteOptions) -> Written:
        halfway = dataclasses.replace(options, on_picture=lambda: os.kill(os.getpid(), number))
        return write(dataset, out, halfway)

    monkeypatch.setattr(module, "write", interrupted)
    before = signal.getsignal(signal.SIGTERM)
    ignored = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with Ctrl-C ignored
    try:
        assert main(["convert", str(source), str(tmp_path / "out"), "--to", "yolo-segment", "-q"]) == 130
    finally:
        signal.signal(signal.SIGINT, ignored)
    assert "Nothing was written" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "photos"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_is_no_data_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for given, said in (("notes.txt", "--from"), ("gone.json", "no such file")):
        assert main(["convert", str(tmp_path / given), str(tmp_path / "o"), "--to", "coco"]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "cut.json").write_text('{"images": [')
    (tmp_path / "zero.json").write_text("")
    for given, said in (("cut.json", "it is no JSON"), ("zero.json", "is empty")):
        assert main(["convert", str(tmp_path / given), str(tmp_path / "o"), "--to", "coco"]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["convert", "a.json", "b", "--to", "yolo"])
    assert stop.value.code == 2
    assert "did you mean yolo-detect or yolo-segment?" in capsys.readouterr().err
    assert main(["convert", "a.json", "b", "--to", "voc", "--images", str(tmp_path / "gone")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_project_leaves_as_it_stands(source: Path, tmp_path: Path) -> None:
    assert main(["project", "import", str(source), "--images", str(tmp_path / "photos"), "-q"]) == 0
    out = tmp_path / "out"
    words = ["--to", "cvat", "--copy-images", "link", "-q"]
    assert main(["convert", str(tmp_path / "data.openseed.db"), str(out), *words]) == 0
    assert (out / "images" / "sub" / "a.png").is_file()
    assert (out / "annotations.xml").read_text().count("<mask") == 3
    assert main(["check", str(tmp_path / "data.openseed.db"), "-q"]) == 0
