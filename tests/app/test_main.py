"""The command line: quick help, exit codes, and one clear message instead of a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from coco_files import annotation, dataset, many, read

from app.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "words", [["--help"], *([name, "--help"] for name in ("convert-boxes", "evaluate", "example"))]
)
def test_help_shows_examples_without_loading_anything_heavy(words: list[str]) -> None:
    code = (
        f"import sys; sys.argv[1:] = {words}\nfrom app.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"
    )
    best = 9.0
    for _ in range(3):
        start = time.perf_counter()
        result = python("-c", code)
        best = min(best, time.perf_counter() - start)
    assert "openseed-label example" in result.stdout or "examples:" in result.stdout
    loaded = set(result.stdout.splitlines()[-1].split())
    assert not loaded & {"torch", "transformers", "numpy", "cv2", "PIL", "matplotlib"}
    assert best < 1.0  # 0.1 s on an idle machine; a busy one must not fail the test


def test_every_command_is_in_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown and command.line in shown for name, command in COMMANDS.items())


def test_unknown_command_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    for words, message in (
        (["convert-box", "a.json"], "did you mean 'convert-boxes'"),
        (["convert-boxes", "a.json", "--frobnicate"], "--frobnicate"),
        (["convert-boxes", "a.json", "--limit", "0"], "whole number above 0"),
        (["convert-boxes", "a.json", "--simplify", "nan"], "number of 0 or more"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err
    assert main([]) == 2
    assert "convert-boxes" in capsys.readouterr().err
    assert main(["convert-boxes"]) == 2
    assert "Give a COCO file, or a project" in capsys.readouterr().err


def test_the_whole_command(tmp_path: Path) -> None:
    source = many(tmp_path, photos=3, boxes=4)
    result = python("-m", "app.cli.main", "convert-boxes", str(source), "--labeler", "rectangle", "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["annotations"] == {"converted": 12}
    assert "12  converted" in result.stderr
    assert "photos/s" in result.stderr
    assert all("segmentation" in a for a in read(tmp_path / "data.masks.json")["annotations"])
    again = python("-m", "app.cli.main", "convert-boxes", str(source), "--labeler", "rectangle")
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    assert again.stdout == ""


def test_exit_1_with_a_list_when_something_could_not_be_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = dataset(tmp_path, [annotation(k, 1, [5, 5, k % 2, 9]) for k in range(60)])
    assert main(["convert-boxes", str(source), "--labeler", "rectangle"]) == 1
    shown = capsys.readouterr().err
    assert "annotation 2 of photo 'photo1.png': box has no area" in shown
    assert "and 10 more" in shown
    assert main(["convert-boxes", str(source), "--labeler", "rectangle", "--overwrite", "-v"]) == 1
    assert "annotation 58 of" in capsys.readouterr().err
    assert main(["convert-boxes", str(source), "--labeler", "rectangle", "--overwrite", "-q"]) == 1
    assert capsys.readouterr().err == ""


MALFORMED = {
    "cut off": '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"id": 1,\n "bbox": [1, 2',
    "a comma too many": '{"images": [],\n "annotations": [],}',
    "no annotations": '{"images": []}',
    "not JSON": "hello",
    "a list": "[1, 2]",
    "a number": "7",
    "images is no list": '{"images": 3, "annotations": []}',
    "only spaces": "   \n",
    "wrong bytes": b'{"images": [], "annotations": [{"id": "\xff\xfe"}]',
    "deep": "[" * 200_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_json_is_one_message_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    source = tmp_path / "data.json"
    content = MALFORMED[name]
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["convert-boxes", str(source), "--labeler", "rectangle"]) == 2
    shown = capsys.readouterr().err
    assert "data.json" in shown
    assert "Traceback" not in shown
    if name in ("cut off", "a comma too many"):
        assert "line 2" in shown
    assert [p.name for p in tmp_path.iterdir()] == ["data.json"]


def test_other_formats_are_named_with_a_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yolo = tmp_path / "yolo"
    (yolo / "labels").mkdir(parents=True)
    (yolo / "labels" / "a.txt").write_text("0 .5 .5 .1 .1")
    (yolo / "data.yaml").write_text("names: [cat]")
    voc = tmp_path / "voc" / "Annotations"
    voc.mkdir(parents=True)
    (voc / "a.xml").write_text("<annotation/>")
    coco = tmp_path / "coco" / "annotations"
    coco.mkdir(parents=True)
    (coco / "train.json").write_text("{}")
    labelme = tmp_path / "labelme.json"
    labelme.write_text('{"version": "5", "shapes": [], "imagePath": "a.jpg"}')
    tasks = tmp_path / "tasks.json"
    tasks.write_text('[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]')
    results = tmp_path / "results.json"
    results.write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]')
    for path, message in {
        yolo: "YOLO",
        yolo / "data.yaml": "YOLO",
        yolo / "labels" / "a.txt": "not JSON",
        voc.parent: "VOC",
        voc / "a.xml": "VOC",
        coco.parent: "annotations/train.json",
        labelme: "labelme",
        tasks: "Label Studio",
        results: "--images-json",
        tmp_path / "nothing.json": "no such file",
    }.items():
        assert main(["convert-boxes", str(path), "--labeler", "rectangle"]) == 2
        assert message in capsys.readouterr().err, path


def test_options_that_contradict_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = str(many(tmp_path, photos=1, boxes=1))
    for words, message in (
        (["--margin", "0.1"], "--clip-to-box"),
        (["--in-place", "-o", "a.json"], "exclude each other"),
        (["-q", "-v"], "exclude each other"),
        (["-o", str(tmp_path)], "is a folder"),
        (["-o", str(tmp_path / "no" / "a.json")], "does not exist"),
        (["--images", str(tmp_path / "no")], "--images"),
        (["--images", source], "not a folder"),
        (["--report", source], "would replace"),
        (["--report", str(tmp_path)], "is a folder"),
        (["--categories", "nobody"], "no category 'nobody'"),
        (["--images-json", source], "list of detections"),
    ):
        assert main(["convert-boxes", source, "--labeler", "rectangle", *words]) == 2
        assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data.json", "photo1.png"]


def test_a_device_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = many(tmp_path, photos=1, boxes=1)
    assert main(["convert-boxes", str(source), "--device", "gpu"]) == 2
    assert "--device 'gpu' can't be used here" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "photo1.png"]


def test_an_interrupted_command_says_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.cli.convert_boxes.run", interrupted)
    assert main(["convert-boxes", "a.json"]) == 130
    assert "run the same command again to go on" in capsys.readouterr().err
    # which would throw away what is finished
    assert main(["convert-boxes", "a.json", "--overwrite"]) == 130
    assert "again, without --overwrite, to go on" in capsys.readouterr().err


def test_a_bug_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a bug, not the user's fault")

    monkeypatch.setattr("app.convert.check", broken)
    source = many(tmp_path, photos=1, boxes=1)
    with pytest.raises(ValueError, match="a bug"):
        main(["convert-boxes", str(source), "--dry-run"])
