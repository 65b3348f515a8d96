"""mIoU and its relatives by hand, and the ways class maps come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from truth_teller import save_jpg, save_values

from app.evaluation.semantic import IGNORED, Confusion, label_pngs, read_values
from app.evaluation.task import PhotoAt
from labelers.photos import PhotoError, read_header


def test_by_hand() -> None:
    counts = Confusion(4)
    counts.add(
        np.array([[0, 0, 0, 0, 1, 1, IGNORED, IGNORED]], np.int32), np.array([[0, 0, 0, 1, 1, 2, 3, 0]], np.int32)
    )
    numbers, iou, accuracy = counts.numbers()
    # IoU: 3/4, 1/3; class 2 was found but never true: 0; class 3 was found on ignored pixels only
    assert iou[:2].tolist() == [pytest.approx(3 / 4), pytest.approx(1 / 3)]
    assert np.isnan(iou[2:]).all()
    assert accuracy[:2].tolist() == [pytest.approx(3 / 4), pytest.approx(1 / 2)]
    assert numbers == {
        "mIoU": pytest.approx((3 / 4 + 1 / 3) / 3),
        "mean accuracy": pytest.approx(5 / 8),
        "pixel accuracy": pytest.approx(4 / 6),
        "IoU by frequency": pytest.approx(4 / 6 * 3 / 4 + 2 / 6 / 3),
    }


def test_pixels_without_an_answer_are_missed() -> None:
    counts = Confusion(2)
    counts.add(np.array([[0, 0]], np.int32), np.array([[0, -1]], np.int32))
    assert counts.numbers()[0]["mIoU"] == pytest.approx(0.5)
    assert set(Confusion(2).numbers()[0].values()) == {None}
    with pytest.raises(ValueError, match="the true map"):
        counts.add(np.zeros((1, 2), np.int32), np.zeros((2, 1), np.int32))


def test_maps_add_up_over_photos() -> None:
    random = np.random.default_rng(3)
    true, found = random.integers(-1, 5, (2, 40, 30)), random.integers(0, 5, (2, 40, 30))
    single, joined = Confusion(5), Confusion(5)
    for k in range(2):
        single.add(true[k].astype(np.int32), found[k].astype(np.int32))
    joined.add(true.reshape(80, 30).astype(np.int32), found.reshape(80, 30).astype(np.int32))
    assert (single.pixels == joined.pixels).all()
    known = true >= 0
    for label in range(5):
        both = (true == label) & (found == label)
        either = ((true == label) | (found == label)) & known
        assert single.numbers()[1][label] == pytest.approx(both.sum() / either.sum())


def test_values_of_pngs_in_every_mode(tmp_path: Path) -> None:
    values = np.array([[0, 1, 255], [7, 19, 40]])
    save_values(tmp_path / "l.png", values)
    palette = Image.fromarray(values.astype(np.uint8))
    palette = palette.convert("P")
    palette.putdata(values.ravel().tolist())
    palette.save(tmp_path / "p.png")
    save_values(tmp_path / "i.png", values * 200, sixteen=True)
    assert (read_values(tmp_path, "l.png") == values).all()
    assert (read_values(tmp_path, "p.png") == values).all()
    assert (read_values(tmp_path, "i.png") == values * 200).all()
    Image.new("RGB", (3, 2)).save(tmp_path / "rgb.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    for name, message in (
        ("rgb.png", "mode RGB"),
        ("broken.png", "can't be read"),
        ("none.png", "no such file"),
        ("../l.png", "goes up"),
    ):
        with pytest.raises(PhotoError, match=message):
            read_values(tmp_path, name)


def test_label_pngs_are_mapped_fitted_or_refused(tmp_path: Path) -> None:
    save_jpg(tmp_path / "a.jpg", height=4, width=6)
    save_values(tmp_path / "same.png", np.tile([1, 2, 3], (4, 2)))
    save_values(tmp_path / "small.png", np.array([[1, 2, 3], [9, 2, 3]]))
    header = read_header(tmp_path, "a.jpg")
    photos = [PhotoAt(tmp_path, "a.jpg")] * 2
    pngs = [(tmp_path, "same.png"), (tmp_path, "small.png")]
    source = label_pngs(photos, pngs, labels={1: 5, 3: 0})
    assert source.read(0, header).tolist() == [[5, -1, 0, 5, -1, 0]] * 4
    with pytest.raises(PhotoError, match="the photo is 6 x 4, its labels 3 x 2"):
        source.read(1, header)
    fitted = label_pngs(photos, pngs, labels={1: 5, 3: 0}, fit=True)
    assert fitted.read(1, header).tolist() == [[5, 5, -1, -1, 0, 0]] * 2 + [[-1, -1, -1, -1, 0, 0]] * 2
