"""The benchmarks of scale on data sets small enough for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import many_annotations, ray_workers


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_dry_run_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = many_annotations.generate(tmp_path, photos=3, annotations=20, texts=True)
    found = many_annotations.measure(dataset)
    assert found["to_convert"] == 20
    assert 5 < found["anonymous_mib"] <= found["resident_mib"]
    with pytest.raises(RuntimeError, match="exit code 2"):
        many_annotations.measure(dataset, ["--categories", "no such class"])
    words = ["--annotations", "5,9", "--photos", "2", "--folder", str(tmp_path), "--options", "--limit 1"]
    assert many_annotations.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[-2:]] == ["| 5", "| 9"]


def test_photos_a_second_are_read_off_the_journal(tmp_path: Path) -> None:
    """With the local engine, so that Ray need not start."""
    dataset = ray_workers.generate(tmp_path, photos=12, boxes=3)
    run = ray_workers.measure(dataset, ["--labeler", "grabcut"], photos=12, warm=2)
    assert run.photos_per_second > 0
    assert run.start > 0
    assert run.output.count(b'"segmentation"') == 36
    with pytest.raises(RuntimeError, match="exit code 2"):
        ray_workers.measure(dataset, ["--labeler", "rectangle", "--model"], photos=12, warm=2)
