"""The benchmark of the import runs, and its numbers are of what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import project_import


def test_the_benchmark_imports_and_exports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "numbers.json"
    assert project_import.main(["--annotations", "40", "--json", str(report)]) == 0
    (row,) = json.loads(report.read_text())
    assert (row["database"], row["annotations"], row["lossless"]) == ("SQLite", 40, True)
    assert row["import_seconds"] > 0
    assert row["import_peak_mb"] > 10
    assert "| SQLite | 40 |" in capsys.readouterr().out


def test_half_of_the_generated_annotations_have_a_mask(tmp_path: Path) -> None:
    content = json.loads(project_import.generate(tmp_path / "data", annotations=30, per_photo=7).read_text())
    assert len(content["images"]) == 5
    assert sum("segmentation" in one for one in content["annotations"]) == 15


def test_a_database_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--annotations", "10", "--database", "postgresql://nobody@127.0.0.1:1/none"]
    assert project_import.main(words) == 2
    assert "project import failed" in capsys.readouterr().err
