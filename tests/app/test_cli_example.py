"""The README's first command: the bundled photos, converted, in a folder of the user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.example import bundled, compare
from app.cli.main import main


def test_example_copies_converts_and_says_where_to_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "somewhere" / "new"
    assert main(["example", str(folder), "--labeler", "rectangle"]) == 0
    shown = capsys.readouterr().err
    assert f"open {folder / 'report.html'}" in shown
    assert "14  converted" in shown
    # a rectangle covers what it covers of the masks drawn by hand, and never all of it
    agreement = float(shown.split("drawn by hand (truth.json): ")[1].split()[0])
    assert 0.5 < agreement < 0.7
    assert agreement == pytest.approx(compare(folder / "boxes.masks.json", folder / "truth.json"), abs=1e-3)
    assert compare(folder / "truth.json", folder / "truth.json") == 1.0
    assert (folder / "report.html").read_text("utf-8").count("<figure") == 14
    assert (folder / "boxes.json").read_bytes() == (bundled() / "boxes.json").read_bytes()

    assert main(["example", str(folder), "--labeler", "rectangle"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    (folder / "README.md").write_text("my notes")
    assert main(["example", str(folder), "--labeler", "rectangle", "--overwrite", "-q"]) == 0
    assert (folder / "README.md").read_text() == "my notes"
