"""`stats` counts right, draws, and its page needs no network and lets no name become markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dataset_files import coco, square
from PIL import Image

from app.cli.main import main

EVIL = "<script>alert(1)</script> $x^2"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    ring = {"size": [48, 64], "counts": [0, 48 * 64]}
    rows = [square(1, 1, 40, category_id=2), square(0, 0, 3), {"bbox": [1, 1, 5, 4]}, square(9, 9, 9, iscrowd=0)]
    rows[3]["segmentation"] += [[30, 30, 34, 30, 34, 34, 30, 34]]
    rows[3]["bbox"] = [9, 9, 25, 25]
    whole = {"bbox": [0, 0, 64, 48], "segmentation": ring, "iscrowd": 1, "category_id": 2}
    return coco(tmp_path, {"a.png": rows, "sub/b.png": [whole], "c.png": []}, classes=("cat", EVIL, "unused"))


def test_the_numbers(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(source), "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {key: found[key] for key in ("pictures", "items", "masks", "boxes_only", "crowds", "empty_pictures")} == {
        "pictures": 3, "items": 5, "masks": 4, "boxes_only": 1, "crowds": 1, "empty_pictures": 1,
    }  # fmt: skip
    assert found["sizes"] == {"small": 3, "medium": 2, "large": 0}
    assert found["classes"]["cat"] == {"photos": 1, "items": 3, "masks": 2, "area": 9 + 20 + 81 + 16}
    assert found["classes"]["unused"]["items"] == 0
    quality = found["mask_quality"]
    assert quality["several_parts"] == 1
    assert quality["tiny"] == 1
    assert quality["fills_its_box"] == 2
    assert quality["at_the_border"] == 2
    assert quality["with_holes"] == quality["empty"] == quality["apart_from_box"] == 0
    assert found["frames"] == [[64, 48, 3]]


def test_page_and_plot(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, plot = tmp_path / "stats.html", tmp_path / "stats.png"
    assert main(["stats", str(source), "--html", str(page), "--plot", str(plot), "-q"]) == 0
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "data:image/png;base64," in text
    assert "http" not in text.replace("http-equiv", "")
    assert Image.open(plot).size > (800, 500)
    assert EVIL in capsys.readouterr().out
    assert main(["stats", str(source), "--plot", str(tmp_path / "stats.docx"), "-q"]) == 2
    assert "--plot" in capsys.readouterr().err


def test_an_empty_set_has_a_page_too(tmp_path: Path) -> None:
    source = coco(tmp_path, {}, classes=())
    assert main(["stats", str(source), "--html", str(tmp_path / "s.html"), "-q"]) == 0


@pytest.mark.parametrize("option", ["--html", "--plot"])
def test_a_page_never_replaces_labels(source: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = source.read_bytes()
    assert main(["stats", str(source), option, str(source), "-q"]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert source.read_bytes() == before
