"""The command `split`: parts, groups, and what is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from dataset_files import coco, square

from app.cli.main import main
from app.datasets.splitting import parse_ratios, prefix_of
from app.errors import UsageError


def names(path: Path) -> set[str]:
    return {image["file_name"] for image in json.loads(path.read_text())["images"]}


def test_parts_hold_every_photo_once_and_every_class(tmp_path: Path) -> None:
    photos = {f"{k:02d}.png": [square(k, 2, 9, category_id=1 + k % 2)] for k in range(20)}
    source = coco(tmp_path, photos)
    out = tmp_path / "parts"
    assert main(["split", str(source), str(out), "--ratios", "train=8,val=2", "--seed", "5", "-q"]) == 0
    train, val = names(out / "train.json"), names(out / "val.json")
    assert (len(train), len(val)) == (16, 4)
    assert train | val == set(photos)
    document = json.loads((out / "val.json").read_text())
    assert sorted(one["category_id"] for one in document["annotations"]) == [1, 1, 2, 2]
    assert [one["name"] for one in document["categories"]] == ["cat", "dog"]
    again = tmp_path / "again"
    assert main(["split", str(source), str(again), "--ratios", "train=8,val=2", "--seed", "5", "-q"]) == 0
    assert (again / "train.json").read_bytes() == (out / "train.json").read_bytes()


def test_frames_folders_and_lookalikes_stay_together(tmp_path: Path) -> None:
    photos = {f"{folder}/clip{clip}_{k:04d}.png": [] for folder in "ab" for clip in (1, 2) for k in range(5)}
    source = coco(tmp_path, photos)
    copy = "a/clip1_0000.png", "b/copy.png"
    document = json.loads(source.read_text())
    shutil.copy(tmp_path / "photos" / copy[0], tmp_path / "photos" / copy[1])
    document["images"].append({"id": 99, "file_name": copy[1], "width": 64, "height": 48})
    source.write_text(json.dumps(document))
    out = tmp_path / "parts"
    words = ["--ratios", "a=1,b=1", "--images", str(tmp_path / "photos"), "--group", "prefix", "--group", "lookalike"]
    assert main(["split", str(source), str(out), *words, "-q"]) == 0
    parts = [names(out / f"{part}.json") for part in "ab"]
    assert sorted(map(len, parts)) == [10, 11]
    clips = [{prefix_of(name) for name in part} for part in parts]
    assert not clips[0] & clips[1]
    assert sum(set(copy) <= part for part in parts) == 1


def test_bad_wishes_are_refused_before_anything_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {"a.png": []})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    assert main(["split", str(source), str(tmp_path / "full")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["split", str(source), str(tmp_path / "x"), "--ratios", "train=0.8,train=0.2"]) == 2
    assert "--ratios" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main(["split", str(source), str(tmp_path / "x"), "--dry-run", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["photos"] == {"train": 1, "val": 0, "test": 0}
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text", ["", "train", "train=", "train=0", "train=-1", "train=nan", "a/b=1", "../x=1", "train=1,train=2", "t=inf"]
)
def test_ratios_are_checked(text: str) -> None:
    with pytest.raises(UsageError, match="--ratios"):
        parse_ratios(text)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("clips/drive_000123.jpg", "clips/drive"),
        ("clips/drive-frame12.jpg", "clips/drive"),
        ("a.b_1.png", "a.b"),
        ("0001.png", "0001"),
        ("cat.png", "cat"),
    ],
)
def test_the_prefix_is_what_frames_share(name: str, prefix: str) -> None:
    assert prefix_of(name) == prefix


def test_a_part_without_a_photo_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {"a.png": [], "b.png": []})
    assert main(["split", str(source), str(tmp_path / "parts"), "-q"]) == 0
    assert "no photo is left for" in capsys.readouterr().err
