"""`check` finds what is wrong, says where and what to do, and finds nothing in a sound data set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_files import coco, save, square

from app.cli.main import main
from app.datasets.checks import KINDS, check
from app.datasets.opening import Opened, Problems
from exporters.dataset import Dataset, Item, Label, Picture
from exporters.masks import encode


def kinds_of(*pictures: Picture, labels: tuple[Label, ...] = (Label("cat"),)) -> dict[str, int]:
    def walk() -> Iterator[Picture]:
        return iter(pictures)

    found = check(Opened(Dataset("made", labels, len(pictures), walk), "coco", Problems()))
    return {finding.kind: finding.count for finding in found}


def mask(x0: int, y0: int, x1: int, y1: int, *, height: int = 48, width: int = 64) -> Any:
    pixels = np.zeros((height, width), bool)
    pixels[y0:y1, x0:x1] = True
    return encode(pixels)


def one(*items: Item, **more: Any) -> Picture:
    return Picture(**{"file_name": "a.jpg", "width": 64, "height": 48, "items": items, **more})


GOOD = Item("cat", (1.0, 2.0, 9.0, 8.0), mask(1, 2, 9, 8), id=1)


def test_nothing_is_wrong_with_a_sound_set() -> None:
    crowd = Item("cat", (0.0, 0.0, 64.0, 48.0), mask(0, 0, 3, 3), id=2, crowd=True)
    assert kinds_of(one(GOOD, crowd), one(file_name="b.jpg", id=2)) == {}


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("box-number", Item("cat", (5.0, 5.0, 5.0, 9.0))),
        ("box-number", Item("cat", (5.0, 5.0, float("nan"), 9.0))),
        ("box-outside", Item("cat", (60.0, 5.0, 90.0, 9.0))),
        ("empty-mask", Item("cat", mask=mask(0, 0, 0, 0))),
        ("mask-size", Item("cat", mask=mask(0, 0, 3, 3, height=64, width=48))),
        ("box-apart", Item("cat", (30.0, 30.0, 40.0, 40.0), mask(0, 0, 9, 9))),
        ("score", Item("cat", (1.0, 1.0, 9.0, 9.0), score=87.0)),
        ("nothing", Item("cat")),
        ("label", Item("dog", (1.0, 1.0, 9.0, 9.0))),
    ],
)
def test_each_fault_of_an_object(kind: str, item: Item) -> None:
    assert kinds_of(one(GOOD, item)) == {kind: 1}


def test_faults_of_ids_names_and_classes() -> None:
    twin = Item("cat", (1.0, 2.0, 9.0, 8.0), mask(1, 2, 9, 8), id=1)
    assert kinds_of(one(GOOD, twin)) == {"item-id": 1, "duplicate": 1}
    box = Item("cat", (1.0, 2.0, 9.0, 8.0), id=3)
    assert kinds_of(one(box, box)) == {"item-id": 1, "duplicate": 1}
    assert kinds_of(one(GOOD, id=7), one(id=7)) == {"picture-id": 1, "file-name": 1}
    labels = (Label("cat"), Label("Cat"), Label("cat"))
    assert kinds_of(one(GOOD), labels=labels) == {"class-name": 1, "class-unused": 1, "class-case": 1}
    assert kinds_of(one(width=0)) == {"no-size": 1, "class-unused": 1}


def test_photos_are_looked_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {f"{k}.jpg": [square(1, 1, 9)] for k in range(5)}, classes=("cat",))
    photos = tmp_path / "photos"
    assert main(["check", str(source), "--images", str(photos), "-q"]) == 0
    assert "nothing is wrong" in capsys.readouterr().out
    (photos / "0.jpg").unlink()
    save(photos / "1.jpg", width=64, height=48, orientation=6)  # labels at 64 x 48: the stored pixels
    save(photos / "2.jpg", width=32, height=32)
    save(photos / "3.jpg", width=64, height=48, orientation=3)
    (photos / "4.jpg").write_bytes(b"no photo")
    assert main(["check", str(source), "--images", str(photos), "--json", "-q"]) == 1
    found = {one["kind"]: one for one in json.loads(capsys.readouterr().out)["findings"]}
    assert {kind: one["count"] for kind, one in found.items()} == {
        "photo": 2, "exif": 1, "exif-unclear": 1, "photo-size": 1,
    }  # fmt: skip
    assert all(one["fix"] and one["places"] for one in found.values())


def test_what_the_reader_refuses_is_reported_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = {"bbox": [1, 1, 5, 5], "segmentation": {"size": [9, 9], "counts": [81]}}
    orphan = {"bbox": [1, 1, 5, 5], "image_id": 77}
    empty = {"bbox": [3, 3, 5, 5], "category_id": 9}
    source = coco(tmp_path, {"a.png": [square(1, 1, 9), bad, orphan, empty]}, classes=("cat",))
    assert main(["check", str(source), "-q"]) == 1
    shown = capsys.readouterr().out
    assert "PROBLEM" in shown
    assert "annotations[2]" in shown
    assert "annotations[3]" in shown
    assert "fix:" in shown


def test_a_note_alone_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {"a.png": [square(1, 1, 9)]}, classes=("cat", "unicorn"))
    assert main(["check", str(source), "-q"]) == 0
    assert "'unicorn'" in capsys.readouterr().out
    assert not KINDS["class-unused"].serious


def test_every_copy_counts_once() -> None:
    copies = [Item("cat", (1.0, 2.0, 9.0, 8.0), mask(1, 2, 9, 8), id=k) for k in range(2, 6)]
    assert kinds_of(one(GOOD, *copies)) == {"duplicate": 4}
