"""Parquet shards: exact both ways, as ``datasets`` sees them, shards of others, hostile ones."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from PIL import Image
from pyarrow import parquet as pq
from random_masks import LABELS, datasets, save_photos

from exporters import parquet, parquet_shards
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import encode


def set_of(*pictures: Picture, labels: tuple[Label, ...] = LABELS, **more: object) -> Dataset:
    return Dataset("a test", labels, len(pictures), lambda: iter(pictures), **more)  # type: ignore[arg-type]


def by_name(found: Dataset) -> list[Picture]:
    return sorted(found, key=lambda picture: picture.file_name)


@settings(max_examples=60)
@given(datasets(splits=("train", "val", "")))
def test_everything_comes_back(found: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        written = parquet.write(found, out)
        assert parquet.matches(out)
        again = parquet.read(out)
        assert again.labels == found.labels
        assert again.count == written.pictures == found.count
        assert by_name(again) == by_name(found)


def test_ids_groups_scores_attributes_and_info(tmp_path: Path) -> None:
    mask = encode(np.eye(5, 7, dtype=bool))
    items = (
        Item(
            "cat", (0.25, 1 / 3, 5, 4), mask, id="a-7", crowd=True, score=1 / 3, group="g", attributes={"x": [1, None]}
        ),
        Item("cat", None, mask, id=2**40, group=4),
        Item("cat", (-3, -2, 90, 80)),
    )
    labels = (Label("cat", "n-1", False, "animal", {"colour": "#fff"}),)
    picture = Picture("a.jpg", 7, 5, items, id="p/1", split="../odd split", attributes={"licence": 3})
    parquet.write(set_of(picture, labels=labels, info={"year": 2024}), tmp_path / "out")
    again = parquet.read(tmp_path / "out")
    assert again.labels == labels
    assert again.info == {"year": 2024}
    (found,) = again
    tight = replace(items[1], box=(0.0, 0.0, 5.0, 5.0))  # a mask alone gets its box
    first, second, third = found.items
    assert (second, third) == (tight, items[2])
    assert replace(first, box=items[0].box) == items[0]
    assert first.box == pytest.approx(items[0].box, abs=1e-12)  # width = x1 - x0 and back
    assert replace(found, items=()) == replace(picture, items=())
    assert [path.name for path in (tmp_path / "out" / "data").iterdir()] == ["___odd_split-00000-of-00001.parquet"]


def test_an_empty_data_set_keeps_its_classes(tmp_path: Path) -> None:
    parquet.write(set_of(), tmp_path / "out")
    again = parquet.read(tmp_path / "out")
    assert (again.labels, again.count, list(again)) == (LABELS, 0, [])


def test_shards_and_row_groups_are_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_shards, "_GROUP_ROWS", 3)
    monkeypatch.setattr(parquet_shards, "_SHARD_BYTES", 1000)
    pictures = [Picture(f"{k:02d}.jpg", 4, 4, id=k, split="train") for k in range(20)]
    parquet.write(set_of(*pictures), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "data").iterdir())
    assert names[0] == f"train-00000-of-{len(names):05d}.parquet"
    assert len(names) > 2
    assert list(parquet.read(tmp_path / "out")) == pictures


READ = """
import datasets, json, sys
found = datasets.load_dataset(sys.argv[1])
objects = found["train"].features["objects"].feature
row = found["train"][0]
from pycocotools import mask
print(json.dumps({
    "splits": {name: len(part) for name, part in found.items()},
    "names": objects["category"].names,
    "name": row["file_name"], "size": row["image"].size,
    "objects": [{**x, "pixels": x["segmentation"] and mask.decode(x["segmentation"]).tolist()} for x in row["objects"]],
}))
alone = datasets.load_dataset("parquet", data_files=sys.argv[1] + "/data/*.parquet")["train"]
print(json.dumps([len(alone), str(alone.features["image"])]))
found["train"].to_parquet(sys.argv[2])
"""


def test_datasets_reads_it_and_we_read_what_it_writes(tmp_path: Path) -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:5, 2:8] = True
    mask[2:4, 4:6] = False
    items = (
        Item("日本 犬", (2, 1, 8, 5), encode(mask), id=5, crowd=True, score=0.5),
        Item("cat", (0.5, 0, 3, 2)),
    )
    train = Picture("sub dir/größe.png", 9, 6, items, id=3, split="train")
    found = save_photos(set_of(train, Picture("sub/größe.png", 4, 4, split="val")), tmp_path / "photos")
    written = parquet.write(found, tmp_path / "out", WriteOptions(copy_images="copy"))
    assert (written.pictures, written.items, written.dropped) == (2, 2, {})

    environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", READ, str(tmp_path / "out"), str(tmp_path / "again.parquet")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told, alone = (json.loads(line) for line in done.stdout.splitlines())
    assert told["splits"] == {"train": 1, "val": 1}
    assert told["names"] == [label.name for label in LABELS]
    assert (told["name"], told["size"]) == (train.file_name, [9, 6])
    first, second = told["objects"]
    assert (first["bbox"], first["category"], first["id"], first["iscrowd"]) == ([2, 1, 6, 4], 2, 5, True)
    assert (first["area"], first["score"], first["pixels"]) == (mask.sum(), 0.5, mask.astype(int).tolist())
    assert (second["bbox"], second["segmentation"], second["score"]) == ([0.5, 0, 2.5, 2], None, None)
    assert alone[0] == 2
    assert alone[1].startswith("Image")

    again = parquet.read(tmp_path / "again.parquet")
    assert [label.name for label in again.labels] == told["names"]
    assert [replace(picture, split="") for picture in again] == [replace(train, split="")]

    assert parquet.unpack_photos(tmp_path / "out", tmp_path / "unpacked") == 2
    for name in ("sub dir/größe.png", "sub/größe.png"):
        assert (tmp_path / "unpacked" / name).read_bytes() == (tmp_path / "photos" / name).read_bytes()


def test_missing_photos_are_counted(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    pictures = (Picture("gone.jpg", 4, 4), Picture("../out.jpg", 4, 4))
    written = parquet.write(
        set_of(*pictures, images=tmp_path / "photos"), tmp_path / "out", WriteOptions(copy_images="copy")
    )
    assert written.pictures == 2
    assert sum(written.dropped.values()) == 2


def png(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_struct_of_lists_without_size_or_names(tmp_path: Path) -> None:
    """What older versions of ``datasets`` write for object detection."""
    rows = [
        {
            "image": {"bytes": png(30, 20), "path": "x.png"},
            "objects": {"id": [4, 5], "bbox": [[1, 2, 3, 4], [5, 6, 7, 8]], "category": [2, 0]},
        }
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train-00000-of-00001.parquet")
    found = parquet.read(tmp_path)
    assert [label.name for label in found.labels] == ["0", "1", "2"]
    (picture,) = found
    assert (picture.file_name, picture.width, picture.height, picture.split) == ("x.png", 30, 20, "train")
    assert picture.items == (Item("2", (1, 2, 4, 6), id=4), Item("0", (5, 6, 12, 14), id=5))


def test_category_texts(tmp_path: Path) -> None:
    rows = [{"width": 3, "height": 3, "file_name": "a.jpg", "objects": [{"bbox": [0, 0, 1, 1], "label": "dog"}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert [item.label for picture in parquet.read(tmp_path / "a.parquet") for item in picture.items] == ["dog"]


BAD = {
    "bbox": [float("nan"), 0, 1, 1],
    "segmentation": {"size": [3, 3], "counts": "\x00\x00"},
    "category": 99,
    "attributes": "{",
}


@pytest.mark.parametrize("field", BAD)
def test_a_bad_object_is_told_and_left_out(tmp_path: Path, field: str) -> None:
    good = {"bbox": [0.0, 0.0, 1.0, 1.0], "category": 0, "segmentation": None, "attributes": None}
    row = {"width": 3, "height": 3, "file_name": "a.jpg", "objects": [good | {field: BAD[field]}, good]}
    schema = parquet.schema_of(set_of(), split="", embedded=False)
    pq.write_table(pa.Table.from_pylist([row], schema), tmp_path / "a.parquet")
    with pytest.raises(FormatError, match=r"a\.parquet: row 1: object 1"):
        list(parquet.read(tmp_path / "a.parquet"))
    told: list[str] = []
    (picture,) = parquet.read(tmp_path / "a.parquet", on_problem=told.append)
    assert len(picture.items) == len(told) == 1


@pytest.mark.parametrize("row", [{"file_name": "../../x"}, {"file_name": "/x"}, {"width": 2**40}, {"width": -1}])
def test_a_bad_row_is_told_and_left_out(tmp_path: Path, row: dict[str, object]) -> None:
    one = {"bbox": [0.0, 0.0, 1.0, 1.0], "category": 0, "segmentation": {"size": [3, 3], "counts": "9"}}
    good = {"width": 3, "height": 3, "file_name": "a.jpg", "objects": []}
    schema = parquet.schema_of(set_of(), split="", embedded=False)
    rows = [good | row | {"objects": [one]}, good]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "a.parquet")
    told: list[str] = []
    found = list(parquet.read(tmp_path / "a.parquet", on_problem=told.append))
    assert len(told) == 1
    assert found[-1].file_name == "a.jpg"
    with pytest.raises(FormatError, match="row 1"):
        list(parquet.read(tmp_path / "a.parquet"))


def test_unpacking_stays_in_the_folder(tmp_path: Path) -> None:
    rows = [{"image": {"bytes": b"x", "path": "x"}, "file_name": "../../evil.png", "objects": []}]
    schema = parquet.schema_of(set_of(), split="", embedded=True)
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "a.parquet")
    with pytest.raises(FormatError, match="leads out"):
        parquet.unpack_photos(tmp_path / "a.parquet", tmp_path / "deep" / "er" / "out")
    assert not list(tmp_path.rglob("evil*"))


def test_broken_shards(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 and no more")
    assert parquet.matches(path)
    with pytest.raises(FormatError, match=r"a\.parquet"):
        parquet.read(path)
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(FormatError, match="objects"):
        parquet.read(path)
    parquet.write(set_of(*(Picture(f"{k}.jpg", 4, 4) for k in range(99))), tmp_path / "out")
    (shard,) = (tmp_path / "out" / "data").iterdir()
    data = bytearray(shard.read_bytes())
    data[4:300] = bytes(296)
    shard.write_bytes(data)
    with pytest.raises(FormatError, match="broken"):
        list(parquet.read(shard))
    with pytest.raises(FormatError, match=r"no \.parquet"):
        parquet.read(tmp_path / "nothing")
    assert not parquet.matches(tmp_path / "nothing")


def test_an_existing_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(FormatError, match="not empty"):
        parquet.write(set_of(), tmp_path / "out")


def test_an_unlisted_class_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="'zebra'"):
        parquet.write(set_of(Picture("a.jpg", 4, 4, (Item("zebra", (0, 0, 1, 1)),))), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "split"), [("0000", ""), ("train", "train"), ("my set-00000-of-00001", "my set")])
def test_the_split_of_others_is_in_the_name_where_it_says_one(tmp_path: Path, name: str, split: str) -> None:
    rows = [{"image": {"bytes": png(4, 3)}, "objects": [{"bbox": [0, 0, 2, 2], "category": 0}]}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    (picture,) = parquet.read(tmp_path)
    assert (picture.split, picture.width, picture.height) == (split, 4, 3)
    assert parquet.unpack_photos(tmp_path, tmp_path / "photos") == 1
    assert (tmp_path / "photos" / picture.file_name).read_bytes() == png(4, 3)
