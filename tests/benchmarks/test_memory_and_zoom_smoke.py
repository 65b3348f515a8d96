"""The memory and zoom benchmarks on datasets small enough for a test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.evaluation.ellipse import EllipseLabeler
from app.evaluation.truth import image_rows, photos
from benchmarks import memory, zoom
from exporters.coco import CocoDocument
from labelers.rectangle import RectangleLabeler

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"


def test_memory_runs_the_real_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "memory.json"
    assert memory.main(["--images", "2,5", "--threads", "1", "--json", str(written)]) == 0
    rows = json.loads(written.read_text())["rows"]
    assert [(row["images"], row["annotations"]) for row in rows] == [(2, 8), (5, 20)]
    assert all(row["peak_mb"] > 5 for row in rows)
    assert "bytes an annotation" in capsys.readouterr().out


def test_memory_growth() -> None:
    rows = [{"peak_mb": 100.0, "annotations": 2000}, {"peak_mb": 101.8, "annotations": 20_000}]
    assert memory.growth(rows) == pytest.approx(100.0)


def test_memory_reports_a_failure(tmp_path: Path) -> None:
    dataset = memory.generate(tmp_path / "set", images=1, boxes=1)
    dataset.write_text("{")
    with pytest.raises(RuntimeError, match="exit code 2"):
        memory.convert(dataset, ["--labeler", "rectangle"], threads=1)


def test_zoom_compares_labelers_by_size_and_share() -> None:
    document = CocoDocument.open(EXAMPLES / "truth.json")
    truths = list(photos(document, EXAMPLES, image_rows(document, 3), skipped=[]))
    labelers = {"zoom": EllipseLabeler(), "whole photo": RectangleLabeler()}
    ticks: list[int] = []
    result = zoom.compare(labelers, truths, tick=lambda: ticks.append(1))
    cuts = result["cuts"]
    assert result["photos"] == len(ticks) == len(truths)
    assert cuts["all"]["count"] == sum(len(truth) for truth in truths) == result["boxes"]
    assert sum(cuts[size]["count"] for size in ("small", "medium", "large")) == result["boxes"]
    assert sum(cut["count"] for title, cut in cuts.items() if title.startswith("box")) == result["boxes"]
    ellipse, rectangle = (cuts["all"]["iou"][name] for name in ("zoom", "whole photo"))
    assert 0 < rectangle < 1
    assert ellipse != rectangle
    assert f"{100 * (ellipse - rectangle):+.1f}" in zoom.as_markdown(result)


def test_zoom_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoom.main(["--dataset", "/nowhere/truth.json", "--random-weights"]) == 2
    assert "/nowhere/truth.json" in capsys.readouterr().err
