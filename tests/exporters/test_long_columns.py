"""Columns in files give what columns in memory give; blocks are made small so that small data has many of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporters import coco_columns, long_columns
from exporters.coco import CocoDocument, Edit
from exporters.long_columns import LongColumn, blocks, grouped, long_copy, long_zeros, repeated


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_columns, "BLOCK", 4)
    monkeypatch.setattr(coco_columns, "BLOCK", 4)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 23])
def test_a_column_that_spills_has_all_its_numbers(tmp_path: Path, small_blocks: None, count: int) -> None:
    column = LongColumn("d", tmp_path)
    for k in range(count):
        if len(column.tail) == 4:
            column.spill()
        column.tail.append(k / 3)
    assert len(column.tail) <= 4
    found = column.finish()
    assert found.tolist() == [k / 3 for k in range(count)]
    assert not found.flags.writeable
    assert list(tmp_path.iterdir()) == []  # the file has no name


@pytest.mark.parametrize("count", [0, 4, 5, 21])
def test_zeros_and_copies_can_be_written(tmp_path: Path, small_blocks: None, count: int) -> None:
    found = long_zeros(count, np.int64, tmp_path)
    assert found.tolist() == [0] * count
    found[:] = np.arange(count)
    copy = long_copy(found, tmp_path)
    copy += 1
    assert (found.tolist(), copy.tolist()) == (list(range(count)), list(range(1, count + 1)))
    assert [k for block in blocks(count) for k in range(count)[block]] == list(range(count))


def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(long_columns.os, "posix_fallocate"):
        pytest.skip("the system reserves no room")
    with pytest.raises(OSError):  # noqa: PT011 - the system's own
        long_zeros(1 << 50, np.int64, tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 6), max_size=40), st.integers(1, 9))
def test_grouped_is_a_stable_sort(groups: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_columns, "BLOCK", size)
        order, first = grouped(np.array(groups, np.int64), 7)
    expected = np.argsort(groups, kind="stable").tolist()
    assert order.tolist() == expected
    assert [[groups[row] for row in order[first[k] : first[k + 1]]] for k in range(7)] == [
        [k] * groups.count(k) for k in range(7)
    ]
    assert first[0] == groups.count(-1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-5, 5) | st.sampled_from([2**63 - 1, -(2**63)]), max_size=40), st.integers(1, 9))
def test_repeated_counts(values: list[int], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_columns, "BLOCK", size)
        found = list(repeated(np.array(values, np.int64)))
    assert found == sorted((value, count) for value, count in Counter(values).items() if count > 1)


def odd(count: int) -> dict[str, Any]:
    """Annotations of all kinds, with ids of all kinds."""
    ids = [1, "x", None, 2**70, 1.5, "x", 3, -4, 3, 2**63 - 1, "ü", None]
    return {
        "images": [{"id": k, "file_name": f"{k}.jpg"} for k in (5, 7, "7")],
        "annotations": [
            5
            if k % 17 == 16
            else {
                "id": ids[k % len(ids)] if k % 5 else 1000 + k,
                "image_id": [5, 7, "7", 9, None][k % 5 % 4],
                "category_id": k % 3,
                "bbox": [k, 1, 2.5, 3] if k % 7 else [1, 2],
                "iscrowd": int(k % 9 == 0),
                "segmentation": [[0, 0, 9, 0, 9, k]] if k % 4 == 0 else [],
                "score": k / 100 if k % 2 else None,
            }
            for k in range(count)
        ],
        "categories": [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}],
    }


def everything(path: Path, folder: Path) -> tuple[object, ...]:
    """All that a document says, and what it writes."""
    with CocoDocument.open(path, folder=folder) as document:
        rows = [document.annotations(image.row) for image in document.images]
        document.write(path.with_name("out.json"), lambda row: Edit(area=row) if row % 3 else None)
        columns = [[r.rows.tolist(), r.keys, repr(r.xywh.tolist()), r.category_rows.tolist()] for r in rows]
        columns += [[r.iscrowd.tolist(), r.has_mask.tolist(), repr(r.scores.tolist()), len(r)] for r in rows]
        return columns, document.orphans().tolist(), document.problems, path.with_name("out.json").read_bytes()


@pytest.mark.parametrize("count", [3, 100])
def test_a_long_document_is_read_as_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    path, folder = tmp_path / "in.json", tmp_path / "columns"
    folder.mkdir()
    path.write_text(json.dumps(odd(count)))
    short = everything(path, folder)
    monkeypatch.setattr(long_columns, "BLOCK", 4)
    monkeypatch.setattr(coco_columns, "BLOCK", 4)
    long = everything(path, folder)
    assert long == short
    assert list(folder.iterdir()) == []
