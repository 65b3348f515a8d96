"""`convert --upright`: labels in the frame of the stored pixels fit what EXIF-reading programs show."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_files import coco, save, square
from PIL import Image, ImageOps

from app.cli.main import main
from exporters.formats import load
from exporters.masks import decode


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labels_follow_the_photo(tmp_path: Path, orientation: int) -> None:
    ring = [5, 4, 30, 4, 30, 12, 12, 12, 12, 40, 5, 40]
    drawn = {"bbox": [5, 4, 25, 36], "segmentation": [ring], "area": 452}
    source = coco(tmp_path, {"a.png": [drawn, {"bbox": [1, 2, 3, 4]}], "flat.png": [square(1, 1, 9)]})
    photos = tmp_path / "photos"
    # The photo shows its own mask, so that whatever Pillow does to it is what must happen to the labels.
    mask = np.zeros((48, 64), np.uint8)
    mask[4:12, 5:30] = mask[4:40, 5:12] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(mask).save(photos / "a.png", exif=exif)
    words = ["--images", str(photos), "--upright", "-q"]
    assert main(["convert", str(source), str(tmp_path / "out.json"), "--to", "coco", *words]) == 0
    turned, flat = load("coco").read(tmp_path / "out.json")
    assert (turned.width, turned.height) == (48, 64)
    with Image.open(photos / "a.png") as photo:
        shown = np.asarray(ImageOps.exif_transpose(photo)) > 0
    assert turned.items[0].mask is not None
    assert (decode(turned.items[0].mask) == shown).all()
    ys, xs = np.nonzero(shown)
    assert turned.items[0].box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    box = turned.items[1].box
    assert box is not None
    assert (box[2] - box[0], box[3] - box[1]) == (4, 3)
    assert (flat.width, flat.height) == (64, 48)
    # and what `check` complained about is gone
    check = ["check", "--images", str(photos), "-q", "--json"]
    assert main([*check, str(source)]) == 1
    assert main([*check, str(tmp_path / "out.json")]) == 0


def test_what_is_unclear_is_left_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = coco(tmp_path, {"half.png": [square(1, 1, 9)], "gone.png": []})
    save(tmp_path / "photos" / "half.png", orientation=3)
    (tmp_path / "photos" / "gone.png").unlink()
    words = ["--images", str(tmp_path / "photos"), "--upright"]
    assert main(["convert", str(source), str(tmp_path / "out.json"), "--to", "coco", *words]) == 0
    said = capsys.readouterr().err
    assert "1 rotated photos of a size that tells no frame" in said
    assert "1 photos could not be opened" in said
    after = json.loads((tmp_path / "out.json").read_text())
    assert after["annotations"] == json.loads(source.read_text())["annotations"]


def test_it_needs_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 4}],
        "annotations": [],
        "categories": [],
    }
    (tmp_path / "data.json").write_text(json.dumps(document))
    assert main(["convert", str(tmp_path / "data.json"), str(tmp_path / "o"), "--to", "coco", "--upright"]) == 2
    assert "--images" in capsys.readouterr().err
