"""Reading training data, and batches that depend on the seed and their number only."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_sets import classes, image, masked, photos_beside, save_photo, write

from app.errors import UsageError
from app.training.dataset import Batches, TrainingSet, load
from app.training.stream import Stream
from openseed_core.config import nano
from openseed_core.training.samples import CropSettings


def _load(folder: Path, **options: object) -> TrainingSet:
    return load(folder / "annotations.json", folder / "images", **options)  # type: ignore[arg-type]


def _batches(data: TrainingSet, seed: int = 3) -> Batches:
    config = nano()
    return Batches(data, CropSettings(size=64), batch=4, seed=seed, mean=config.mean, std=config.std)


def test_crowds_and_maskless_annotations_are_left_out(folder: Path) -> None:
    data = _load(folder)
    assert data.names == ("ball", "plate")
    assert sum(len(record.labels) for record in data.records) == 4
    record = data.records[0]
    assert record.image.shape == (96, 128, 3)
    assert record.mask(0).sum() == pytest.approx(np.pi * 20**2, rel=0.05)


def test_left_out_classes_are_not_there(folder: Path) -> None:
    data = _load(folder, leave_out=("plate",))
    assert data.names == ("ball",)
    assert len(data.records) == 2


def test_no_mask_at_all_is_an_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="training needs masks"):
        _load(folder, leave_out=("ball", "plate"))


def test_bad_records_name_themselves_and_are_left_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "annotations.json"
    document = json.loads(path.read_text())
    good = document["annotations"][0]
    document["annotations"] += [
        {**good, "id": "flat", "bbox": [10, 10, 0, 5]},
        {**good, "id": "odd", "segmentation": {"size": [96, 128], "counts": "~~"}},
        {**good, "id": "small", "segmentation": {"size": [5, 5], "counts": [0, 25]}},
        {**good, "id": "stray", "category_id": 77},
        {**good, "id": "lost", "image_id": 77},
    ]
    path.write_text(json.dumps(document))
    (folder / "images" / "2.png").write_bytes(b"no picture")
    (folder / "images" / "3.png").unlink()
    data = _load(folder)
    assert [len(record.labels) for record in data.records] == [1, 1]
    told = capsys.readouterr().err
    for word in ('"flat"', '"odd"', '"small"', '"stray"', "77", "2.png", "3.png"):
        assert word in told
    for number in (0, 1):
        (folder / "images" / f"{number}.png").unlink()
    with pytest.raises(UsageError, match=r"annotations\.json: no photo can be trained on"):
        _load(folder)


def test_boxes_and_masks_of_a_turned_photo_are_turned(tmp_path: Path) -> None:
    source = write(tmp_path / "annotations.json", [image(1)], [masked(1, 1, 1, (0, 0, 20, 10))], classes("cat"))
    photos_beside(source, 1)
    save_photo(tmp_path / "images" / "1.png", orientation=6)  # shown turned to the right: 40 wide, 60 high
    (record,) = load(source, tmp_path / "images").records
    assert record.image.shape == (60, 40, 3)
    assert record.boxes.tolist() == [[30, 0, 40, 20]]
    rows, columns = np.nonzero(record.mask(0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 19, 30, 39)


def test_batch_n_is_the_same_whenever_it_is_made(folder: Path) -> None:
    data = _load(folder)
    straight = list(islice(Stream(3, crops=_batches(data), workers=0)(0), 5))
    resumed = next(Stream(3, crops=_batches(data), workers=1)(4))
    assert straight[4].seed == resumed.seed
    for field in ("pixels", "boxes", "labels", "used", "masks"):
        assert torch.equal(getattr(straight[4].crops, field), getattr(resumed.crops, field))
    other = next(Stream(4, crops=_batches(data, seed=4), workers=0)(4))
    assert other.crops is not None
    assert resumed.crops is not None
    assert not torch.equal(other.crops.pixels, resumed.crops.pixels)


def test_an_error_while_making_batches_reaches_the_trainer(folder: Path) -> None:
    data = _load(folder)
    broken = TrainingSet(tuple(_Broken(r) for r in data.records), data.names)  # type: ignore[misc]
    with pytest.raises(RuntimeError, match="mask file is gone"):
        next(Stream(3, crops=_batches(broken), workers=1)(0))


class _Broken:
    """A record whose masks can't be read."""

    def __init__(self, record: object) -> None:
        self._record = record

    def __getattr__(self, name: str) -> object:
        if name == "mask":
            raise RuntimeError("mask file is gone")
        return getattr(self._record, name)
