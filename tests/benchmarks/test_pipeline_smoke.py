"""The pipeline and start-up benchmarks: shares follow from what was looked at, and the programs run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import pipeline, startup
from benchmarks.pipeline import Look


def test_share_counts_the_middle_only() -> None:
    # 10 photos; idle for the first second, then two busy cores from 1 s to 5 s with one of them idle from 3 s on
    looks = [Look(0, 0, 0), Look(1, 0, 1), Look(3, 4, 5), Look(5, 6, 9), Look(9, 6, 10)]
    assert pipeline.share(looks, 10, cores=2) == pytest.approx(6 / 8)
    assert pipeline.slowest(looks, 10, 2, seconds=2.0) == pytest.approx(2 / 4)


def test_a_run_without_a_middle_is_no_result() -> None:
    with pytest.raises(ValueError, match="no middle"):
        pipeline.share([Look(0, 0, 0), Look(1, 1, 10)], 10, cores=2)


@pytest.mark.slow
def test_pipeline_runs_and_compares_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "pipeline.json"
    arguments = ["--labeler", "grabcut", "--limit", "40", "--at-once", "auto,auto", "--json", str(report)]
    assert pipeline.main(arguments) == 0
    assert "equal, byte for byte" in capsys.readouterr().out
    [rows] = json.loads(report.read_text())["rounds"]
    assert len(rows) == 2
    assert all(0 < row["share"] <= 1.1 and row["photos_per_second"] > 0 for row in rows)


@pytest.mark.slow
def test_startup_sees_the_first_mask(tmp_path: Path) -> None:
    first, whole = startup.first_mask_seconds(tmp_path / "masks.json", [])
    assert 0 < first < whole
