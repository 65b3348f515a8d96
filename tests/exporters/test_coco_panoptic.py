"""COCO panoptic files: what is written can be read, and what is wrong is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exporters.coco_panoptic import (
    PanopticCategory,
    PanopticError,
    PanopticSegment,
    PanopticWriter,
    describe_segments,
    read_ids,
    read_panoptic,
    write_ids,
)

CATEGORIES = (PanopticCategory(1, "person", True), PanopticCategory(187, "sky", False))


def ids_map() -> np.ndarray[Any, np.dtype[np.int32]]:
    ids = np.zeros((6, 8), np.int32)
    ids[:3] = 70_000  # needs all three colours
    ids[2:5, 2:4] = 513
    return ids


def write(folder: Path, *, file_name: str = "a/photo.jpg", image_id: int | str = 7) -> Path:
    ids = ids_map()
    with PanopticWriter(folder / "gt.json", folder / "gt", CATEGORIES) as writer:
        writer.add(image_id, file_name, ids, describe_segments(ids, {70_000: 187, 513: 1}))
    return folder / "gt.json"


def test_written_and_read_again(tmp_path: Path) -> None:
    file = read_panoptic(write(tmp_path))
    assert file.categories == CATEGORIES
    (image,) = file.images
    assert (image.image_id, image.file_name, image.png, image.height, image.width) == (
        7, "a/photo.jpg", "a/photo.png", 6, 8,
    )  # fmt: skip
    assert image.segments == (
        PanopticSegment(513, 1, False, 6, (2, 2, 2, 3)),
        PanopticSegment(70_000, 187, False, 22, (0, 0, 8, 3)),
    )
    assert (read_ids(tmp_path / "gt" / image.png, height=6, width=8) == ids_map()).all()
    colours = np.asarray(Image.open(tmp_path / "gt" / image.png))
    assert colours[0, 0].tolist() == [70_000 % 256, 70_000 // 256 % 256, 70_000 // 65_536]


def test_largest_id_survives(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 256**3 - 1]], np.int32)
    write_ids(tmp_path / "a.png", ids)
    assert (read_ids(tmp_path / "a.png", height=1, width=3) == ids).all()
    for bad in (np.array([[-1]]), np.array([[256**3]]), np.zeros(3, np.int32)):
        with pytest.raises(ValueError, match="from 0 to 16777215"):
            write_ids(tmp_path / "b.png", bad)
    assert not (tmp_path / "b.png").exists()


def test_nothing_is_left_behind_by_an_error(tmp_path: Path) -> None:
    before = write(tmp_path).read_bytes()
    ids = np.ones((4, 4), np.int32)

    def interrupted() -> None:
        with PanopticWriter(tmp_path / "gt.json", tmp_path / "gt", CATEGORIES) as writer:
            writer.add(1, "other.jpg", ids, describe_segments(ids, {1: 1}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "gt.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["gt.json", "photo.png"]


def test_photos_that_differ_in_their_suffix_keep_their_own_pngs(tmp_path: Path) -> None:
    with PanopticWriter(tmp_path, tmp_path / "pngs", CATEGORIES) as writer:
        ids = np.ones((2, 2), np.int32)
        names = [writer.add(k, f"a.{end}", ids * (k + 1), describe_segments(ids * (k + 1), {k + 1: 1}))
                 for k, end in enumerate(("jpg", "png", "webp"))]  # fmt: skip
    assert len(set(names)) == 3
    file = read_panoptic(tmp_path / "panoptic.json")
    for k, image in enumerate(file.images):
        assert (read_ids(tmp_path / "pngs" / image.png, height=2, width=2) == k + 1).all()


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/a.jpg", "c:\\a.jpg", "a/../../b.jpg", ""])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PanopticError, match="leads out"):
        write(tmp_path, file_name=name)


def test_ids_and_segments_must_agree(tmp_path: Path) -> None:
    ids = ids_map()
    segments = describe_segments(ids, {70_000: 187, 513: 1})
    with PanopticWriter(tmp_path / "gt.json", tmp_path / "gt", CATEGORIES) as writer:
        for wrong in (segments[:1], (*segments, segments[0]), (*segments, PanopticSegment(5, 1, False, 0, (0,) * 4))):
            with pytest.raises(PanopticError, match=r"photo 'x\.jpg'"):
                writer.add(1, "x.jpg", ids, wrong)
        with pytest.raises(PanopticError, match="class"):
            writer.add(1, "x.jpg", ids, describe_segments(ids, {70_000: 2, 513: 1}))
        writer.add(1, "x.jpg", ids, segments)
        with pytest.raises(PanopticError, match="came before"):
            writer.add(1, "y.jpg", ids, segments)


def change(path: Path, what: Any) -> Path:
    document = json.loads(path.read_text())
    what(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda d: d.pop("annotations"), 'no list "annotations"'),
        (lambda d: d["annotations"][0].pop("segments_info"), "segments_info"),
        (lambda d: d["annotations"][0].update(image_id=8), r"annotations\[0\]\.image_id 8"),
        (lambda d: d["annotations"].append(d["annotations"][0]), "two panoptic annotations"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(id=0), r"segments_info\[1\]\.id is 0"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(id="a"), r"segments_info\[1\]\.id is 'a'"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(id=513), "the same id"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(category_id=3), "category_id 3"),
        (lambda d: d["annotations"][0]["segments_info"][1].update(bbox=[1]), r"bbox is \[1\]"),
        (lambda d: d["images"][0].pop("height"), "height"),
        (lambda d: d["images"][0].update(width=-8), "true size"),
        (lambda d: d["categories"].append(d["categories"][0]), "same id"),
        (lambda d: d["categories"][0].pop("name"), r"categories\[0\]\.name"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, what: Any, message: str) -> None:
    path = change(write(tmp_path), what)
    with pytest.raises(PanopticError, match=message) as caught:
        read_panoptic(path)
    assert "gt.json" in str(caught.value)


def test_files_that_are_no_panoptic_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(PanopticError, match="no such file"):
        read_panoptic(path)
    for text in ("{", "[]", '"a"'):
        path.write_text(text)
        with pytest.raises(PanopticError, match=r"x\.json"):
            read_panoptic(path)


def test_pngs_that_can_not_be_read(tmp_path: Path) -> None:
    png = tmp_path / "a.png"
    with pytest.raises(PanopticError, match="no such file"):
        read_ids(png, height=2, width=2)
    Image.new("RGB", (3, 2)).save(png)
    with pytest.raises(PanopticError, match="3 x 2 pixels, but the JSON says 2 x 3"):
        read_ids(png, height=3, width=2)
    with pytest.raises(PanopticError, match="more than"):
        read_ids(png, height=100_000, width=100_000)
    Image.new("L", (3, 2)).save(png)
    with pytest.raises(PanopticError, match="mode L"):
        read_ids(png, height=2, width=3)
    Image.new("RGB", (300, 200)).save(png)
    png.write_bytes(png.read_bytes()[:60])
    with pytest.raises(PanopticError, match="write it again"):
        read_ids(png, height=200, width=300)
    Image.new("RGB", (3, 2)).save(png, format="BMP")
    with pytest.raises(PanopticError, match="PNG"):
        read_ids(png, height=2, width=3)


def test_partial_photos_say_so(tmp_path: Path) -> None:
    path = change(write(tmp_path), lambda d: d["images"][0].update(partial=True, annotated=["person"]))
    (image,) = read_panoptic(path).images
    assert image.partial
    assert image.annotated == ("person",)
