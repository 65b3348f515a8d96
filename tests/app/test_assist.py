"""``assist``: masks for boxes, poor ones left out, each saying where it comes from; training reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coco_files import annotation, dataset, read
from fakes import FakeLabeler

from app.cli.main import main
from app.convert import Settings, convert
from app.training.data import read_set

BIG, SMALL = [2, 2, 40, 40], [50, 40, 6, 6]


def source_of(folder: Path) -> Path:
    """One photo with a large and a small box; the fake labeler's score is the box's share of the photo."""
    return dataset(folder, [annotation(1, 1, BIG), annotation(2, 1, SMALL, 17)])


def assisted(source: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    settings = Settings.of(source=source, output=source.with_name("out.json"), assisted=True, form="rle", **options)
    summary = convert(settings, labeler=FakeLabeler())
    return summary, read(source.with_name("out.json"))


def test_poor_masks_are_not_written_and_the_others_say_who_made_them(tmp_path: Path) -> None:
    summary, found = assisted(source_of(tmp_path), min_quality=0.2)
    good, poor = found["annotations"]
    assert good["openseed_label"]["assisted"] == "fake-1"
    assert isinstance(good["segmentation"], dict)
    assert poor == read(tmp_path / "data.json")["annotations"][1]
    assert summary.annotations == {"converted": 1, "poor": 1}
    assert summary.exit_code == 1
    [problem] = summary.problems
    assert problem.annotation == "2"
    assert "below 0.2" in problem.reason


def test_convert_boxes_writes_no_such_note_and_every_mask(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    summary = convert(Settings.of(source=source), labeler=FakeLabeler())
    assert summary.annotations == {"converted": 2}
    assert all("assisted" not in item["openseed_label"] for item in read(tmp_path / "data.masks.json")["annotations"])


def test_the_quality_belongs_to_what_a_resumed_run_must_share(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    plain = Settings.of(source=source)
    assert "min_quality" not in plain.fingerprint()  # a run that an older version began goes on
    assert Settings.of(source=source, min_quality=0.3).fingerprint() != plain.fingerprint()


def test_training_takes_the_masks_as_annotations(tmp_path: Path) -> None:
    assisted(source_of(tmp_path), min_quality=0.2)
    [record] = read_set(tmp_path / "out.json").records
    assert record.mask is not None
    assert record.labels.tolist() == [0]
    assert record.without_masks().labels.tolist() == [0, 1]
    [before] = read_set(tmp_path / "out.json", assisted=False).records
    assert before.mask is None
    assert before.labels.tolist() == [0, 1]


def test_the_command_from_file_to_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(tmp_path)
    assert main(["assist", str(source), "--labeler", "rectangle", "--min-quality", "0", "--json", "-q"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert Path(summary["output"]).name == "data.assisted.json"
    for item in read(tmp_path / "data.assisted.json")["annotations"]:
        assert item["openseed_label"]["assisted"].startswith("rectangle-")
    assert main(["assist", str(source), "--labeler", "rectangle", "-q"]) == 2  # an output is never replaced unasked
    assert "--overwrite" in capsys.readouterr().err
    assert main(["assist", str(tmp_path / "none.json"), "-q"]) == 2


@pytest.mark.parametrize("value", ["1.5", "-0.1", "much", "nan"])
def test_a_quality_that_is_none_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["assist", "x.json", "--min-quality", value])
    assert error.value.code == 2
    assert "0 to 1" in capsys.readouterr().err
