"""``propose --for-boxes``: candidates in the annotations, flags, and a list of what to look at."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from coco_files import annotation, dataset, read, save_photo
from fakes import FakeFinder

from app.cli.main import main
from app.propose import Settings, name_boxes

# The finder says person in the left third of the photo, then traffic light, then toothbrush.
BOXES = [
    annotation(1, 1, [2, 2, 10, 10], 0),  # a person, rightly
    annotation(2, 1, [50, 2, 10, 10], 0),  # rather a toothbrush
    annotation(3, 2, [28, 2, 10, 10], None),
    annotation(4, 2, [28, 2, 0, 10], 17),
    {"id": 5, "image_id": 2, "bbox": [28, 2, 10, 10], "category_id": 999},
]


def go(source: Path, out: Path, **options: Any) -> Any:
    return name_boxes(Settings.of(source=source, output=out, for_boxes=True, **options), labeler=FakeFinder())


def test_names_are_ranked_and_doubtful_ones_are_flagged(tmp_path: Path) -> None:
    source = dataset(tmp_path, BOXES, photos=3)
    summary = go(source, tmp_path / "out")
    assert summary.exit_code == 0
    assert summary.counts["boxes"] == 5
    assert [summary.counts[key] for key in ("named", "nameless", "flagged", "unusable")] == [2, 2, 1, 1]
    assert [(box.annotation, box.name, box.candidates[0][0]) for box in summary.flagged] == [
        ("2", "person", "toothbrush")
    ]
    right, wrong, nameless, unusable, unknown = read(tmp_path / "out" / "names.json")["annotations"]
    assert (right["name_doubt"], right["flagged"]) == (-0.8, False)
    assert (wrong["name_doubt"], wrong["flagged"]) == (0.8, True)
    assert wrong["category_id"] == 0  # nobody's name is changed
    assert wrong["name_candidates"][0] == {"name": "toothbrush", "score": 0.9}
    for one in (nameless, unknown):
        assert one["name_candidates"][0]["name"] == "traffic light"
        assert "flagged" not in one
    assert unusable == BOXES[3]


def test_all_other_bytes_are_those_of_the_input(tmp_path: Path) -> None:
    source = dataset(tmp_path, BOXES[3:4], photos=2)
    go(source, tmp_path / "out")
    assert (tmp_path / "out" / "names.json").read_bytes() == source.read_bytes()


def test_the_list_has_the_most_doubtful_first(tmp_path: Path) -> None:
    source = dataset(tmp_path, BOXES, photos=2)
    source.write_text(source.read_text().replace('"toothbrush"', '"=1+1"'))
    go(source, tmp_path / "out")
    rows = list(csv.DictReader((tmp_path / "out" / "names.csv").open(newline="")))
    assert [row["annotation"] for row in rows] == ["2", "1", "3", "4", "5"]
    assert (rows[0]["photo"], rows[0]["flagged"], rows[0]["candidate"]) == ("photo1.png", "1", "'=1+1")


def test_a_margin_above_the_doubt_flags_nothing(tmp_path: Path) -> None:
    source = dataset(tmp_path, BOXES, photos=2)
    assert go(source, tmp_path / "out", margin=0.9).counts["flagged"] == 0


def test_a_missing_photo_is_a_problem_of_its_own(tmp_path: Path) -> None:
    source = dataset(tmp_path, BOXES, photos=2)
    (tmp_path / "photo2.png").unlink()
    summary = go(source, tmp_path / "out")
    assert summary.exit_code == 1
    assert [name for name, _ in summary.problems] == ["photo2.png"]
    assert summary.counts["boxes"] == 2


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("app.propose.names.labeler_of", lambda settings: FakeFinder())
    source = dataset(tmp_path, BOXES, photos=2)
    assert main(["propose", str(source), str(tmp_path / "out"), "--for-boxes"]) == 0
    said = capsys.readouterr().err
    assert "annotation 2 of 'photo1.png': 'person' (0.10), rather 'toothbrush' (0.90)" in said
    assert main(["propose", str(source), "--for-boxes", "--overwrite", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["flagged"] == 1
    save_photo(tmp_path / "photos" / "a.png")
    assert main(["propose", str(tmp_path / "photos"), "--for-boxes", "--vocab", "cat"]) == 2
    assert main(["propose", str(source), "--margin", "0.5"]) == 2


@pytest.mark.parametrize(
    "option", [("--tasks", "boxes"), ("--max", "3"), ("--threshold", "0.5"), ("--thresholds", "a=1"), ("--report", "x")]
)
def test_options_that_would_do_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    assert main(["propose", str(dataset(tmp_path, BOXES)), str(tmp_path / "out"), "--for-boxes", *option]) == 2
    assert f"{option[0]} makes no sense with --for-boxes" in capsys.readouterr().err
