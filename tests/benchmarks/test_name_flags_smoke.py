"""The measurement of flags: what was flipped is counted, and the numbers follow from the scores."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeFinder
from PIL import Image

from benchmarks import name_flags
from labelers.vocabulary import Vocabulary


def test_a_perfect_ranking_finds_every_flip() -> None:
    names = np.arange(200) % 4
    scores = np.where(np.eye(4, dtype=bool)[names], 0.9, 0.1).astype(np.float32)
    ranked = name_flags.Ranked(scores, names, ())
    lines = {line.margin: line for line in name_flags.measure(ranked, Vocabulary.inline("a,b,c,d"), share=0.1, seed=3)}
    assert (lines[0.1].flagged, lines[0.1].precision, lines[0.1].recall) == (20, 1.0, 1.0)
    assert name_flags.top(ranked, 1) == 1.0


def test_a_ranking_that_knows_nothing_finds_nothing_at_a_margin() -> None:
    ranked = name_flags.Ranked(np.full((50, 4), 0.5, np.float32), np.arange(50) % 4, ())
    lines = {line.margin: line for line in name_flags.measure(ranked, Vocabulary.inline("a,b,c,d"), share=0.1, seed=3)}
    assert lines[0.1].flagged == 0
    assert lines[0.0].precision == pytest.approx(0.1)  # everything is flagged, so a tenth is right


def test_the_program_asks_every_box_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "a.png")
    annotations = [
        {"id": k, "image_id": 1, "category_id": k % 3, "bbox": [20 * (k % 3) + 2, 3, 10, 10]} for k in range(30)
    ]
    annotations.append({"id": 99, "image_id": 1, "category_id": 0, "bbox": [0, 0, 0, 0]})
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
        "annotations": annotations,
        "categories": [{"id": k, "name": name} for k, name in enumerate(("cat", "dog", "cow"))],
    }
    (tmp_path / "data.json").write_text(json.dumps(document))
    finder = FakeFinder()
    monkeypatch.setattr(name_flags, "labeler_builder", lambda args: lambda: finder)
    written = tmp_path / "flags.json"
    assert name_flags.main(["--dataset", str(tmp_path / "data.json"), "--json", str(written)]) == 0
    found = json.loads(written.read_text())
    assert (found["boxes"], found["top1"], len(found["runs"])) == (30, 1.0, 3)
    assert "| 0.1 | 3 | 100.0% | 100.0% | 0.0% |" in capsys.readouterr().out
    assert len(finder.opened) == 1
