"""More elements behind a file's own, and every old byte in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exporters.coco_append import append, write_new
from exporters.coco_records import CocoError

NEW = [{"id": 8}, {"id": 9}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"images": [], "annotations": [], "categories": []}',
            '{"images": [], "annotations": [{"id": 8}, {"id": 9}], "categories": [{"id": 5}]}',
        ),
        (
            '{"images":[],"annotations":[ {"id": 1e0, "x": "é"} \n ],"info":{"annotations":[]},'
            '"categories":[{"id":1}]}\n',
            '{"images":[],"annotations":[ {"id": 1e0, "x": "é"} \n , {"id": 8}, {"id": 9}],"info":{"annotations":[]},'
            '"categories":[{"id":1}, {"id": 5}]}\n',
        ),
        (
            '\ufeff{"categories" : [ ],\n "annotations":[\n\t]\n, "images": []}',
            '\ufeff{"categories" : [ {"id": 5}],\n "annotations":[\n\t{"id": 8}, {"id": 9}]\n, "images": []}',
        ),
        (
            '{"annotations": [{"id": 1}], "images": []}',
            '{"categories": [{"id": 5}], "annotations": [{"id": 1}, {"id": 8}, {"id": 9}], "images": []}',
        ),
    ],
)
def test_old_bytes_stay_and_new_elements_follow(tmp_path: Path, text: str, expected: str) -> None:
    source = tmp_path / "a.json"
    source.write_bytes(text.encode())
    append(source, tmp_path / "b.json", iter(NEW), categories=[{"id": 5}])
    assert (tmp_path / "b.json").read_bytes() == expected.encode()
    json.loads(expected.removeprefix("\ufeff"))


def test_nothing_new_is_the_same_file(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text('{"images": [], "annotations": [{"id": 1}]}')
    append(source, tmp_path / "b.json", [])
    assert (tmp_path / "b.json").read_bytes() == source.read_bytes()


def test_a_file_without_annotations_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.json"
    source.write_text('{"images": []}')
    with pytest.raises(CocoError, match="annotations"):
        append(source, tmp_path / "b.json", NEW)
    assert not (tmp_path / "b.json").exists()


def test_a_new_file(tmp_path: Path) -> None:
    write_new(tmp_path / "a.json", images=[{"id": 1}], annotations=NEW, categories=[])
    assert json.loads((tmp_path / "a.json").read_text()) == {
        "images": [{"id": 1}],
        "annotations": NEW,
        "categories": [],
    }
