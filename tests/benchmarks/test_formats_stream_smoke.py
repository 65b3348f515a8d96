"""The benchmark of `convert` on a data set small enough for a test."""

from __future__ import annotations

import pytest

from benchmarks import formats_stream


def test_it_runs_the_real_command_and_checks_the_limit(capfd: pytest.CaptureFixture[str]) -> None:
    words = ["--annotations", "40", "--per-photo", "4", "--to", "yolo-segment"]
    formats_stream.main(words)
    shown = capfd.readouterr()
    assert "40 objects of 10 photos" in shown.err
    assert "yolo-segment:" in shown.out
    assert "exit code 0" in shown.out
    with pytest.raises(SystemExit, match="more than 1 MB"):
        formats_stream.main([*words, "--limit", "1"])
