"""The measurement of proposals: right, wrong and absent are counted, and the numbers follow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeFinder
from PIL import Image

from benchmarks import proposals
from labelers.records import Boxes


def test_each_object_is_found_once() -> None:
    true = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    found = Boxes(np.array([[0, 0, 10, 9], [1, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]]), ("a", "a", "a", "a"))
    crowds = np.array([[50, 50, 60, 60]], np.float32)
    scores, right = proposals.judged(found, np.array([0.9, 0.8, 0.7, 0.6]), true, ["a", "b"], crowds)
    assert right == [True, False, False]  # the last one lies on a crowd
    assert scores == [0.9, 0.8, 0.7]


def test_the_numbers_at_a_threshold() -> None:
    answers = proposals.Answers(
        scores=np.array([0.9, 0.5, 0.4, 0.2], np.float32),
        right=np.array([True, False, True, True]),
        objects=4,
        photos=2,
        absent=np.array([0.35, 0.1], np.float32),
        absent_scores=np.array([0.35, 0.1, 0.1], np.float32),
    )
    line = proposals.line(answers, 0.3)
    assert (line.precision, line.recall, line.found) == (pytest.approx(2 / 3), 0.5, 1.5)
    assert (line.absent_quiet, line.absent_found) == (0.5, 0.5)


def test_the_program_asks_every_photo_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 0, "bbox": [2, 3, 10, 10]}],
        "categories": [{"id": k, "name": name} for k, name in enumerate(("cat", "dog"))],
    }
    (tmp_path / "data.json").write_text(json.dumps(document))
    monkeypatch.setattr(proposals, "labeler_builder", lambda args: FakeFinder)
    proposals.main(["--dataset", str(tmp_path / "data.json"), "--json", str(tmp_path / "out.json")])
    assert len(json.loads((tmp_path / "out.json").read_text())) == len(proposals.THRESHOLDS)
    assert "1 photos, 1 objects" in capsys.readouterr().out
