"""Photos annotated in part are completed with a detector's boxes, and only with what they lack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import teacher_boxes

PERSON, DOG, CAT = 0, 16, 15


class Finder:
    """Finds a person, a dog and, with doubt, a cat, whatever is shown."""

    def __call__(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        probabilities = torch.zeros(1, 4, 80)
        boxes = torch.tensor(
            [[[0.25, 0.25, 0.5, 0.5], [0.26, 0.25, 0.5, 0.5], [0.75, 0.25, 0.2, 0.2], [0.5, 0.9, 0.1, 0.1]]]
        )
        probabilities[0, 0, PERSON], probabilities[0, 1, PERSON] = 0.9, 0.8  # twice the same
        probabilities[0, 2, DOG], probabilities[0, 3, CAT] = 0.6, 0.35
        return probabilities, boxes


def document(**image: object) -> dict[str, object]:
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 100, **image}],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 7, "bbox": [1, 1, 49, 49]}],
        "categories": [{"id": 7, "name": "person"}, {"id": 9, "name": "horsewhip"}],
    }


@pytest.fixture
def images(tmp_path: Path) -> Path:
    Image.new("RGB", (100, 100)).save(tmp_path / "a.png")
    return tmp_path


def test_sure_finds_are_added_and_doubtful_ones_ignored(images: Path) -> None:
    done = teacher_boxes.complete(document(partial=True), images, Finder())  # type: ignore[arg-type]
    names = {c["id"]: c["name"] for c in done["categories"]}
    rows = [(names[a["category_id"]], a["iscrowd"], a.get("teacher", False)) for a in done["annotations"]]
    assert rows == [("person", 0, False), ("dog", 0, True), ("cat", 1, True)]
    assert done["annotations"][1]["bbox"] == pytest.approx([65, 15, 20, 20], abs=1e-3)
    assert set(done["images"][0]) == {"id", "file_name", "width", "height"}  # nothing is unknown any more


@pytest.mark.parametrize("image", [{}, {"partial": False, "annotated": None}])
def test_a_photo_annotated_in_full_stays(images: Path, image: dict[str, object]) -> None:
    done = teacher_boxes.complete(document(**image), images, Finder())  # type: ignore[arg-type]
    assert [a["bbox"] for a in done["annotations"]] == [[1, 1, 49, 49]]


def test_classes_that_the_photo_has_in_full_are_left_alone(images: Path) -> None:
    done = teacher_boxes.complete(document(partial=True, annotated=["dog"]), images, Finder())  # type: ignore[arg-type]
    assert [a["category_id"] - 1 for a in done["annotations"]] == [PERSON, CAT]


def test_the_program_writes_a_coco_file(
    images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(teacher_boxes, "NanoDet", lambda path: Finder())
    (images / "d.json").write_text(json.dumps(document(partial=True)))
    options = ["--dataset", "d.json", "--images", ".", "--teacher", "n.npz", "--output", "out/d.json"]
    monkeypatch.chdir(images)
    teacher_boxes.main(options)
    assert len(json.loads((images / "out" / "d.json").read_text())["annotations"]) == 3
    assert "3 boxes, of them 1 added and 1 to be ignored" in capsys.readouterr().out
