"""Random data sets through every format of the table and back: what ``HOLDS`` promises is there again.

Masks with holes, islands, single pixels, at the border; crowds, scores, boxes alone; equal base names in different
folders, spaces, Unicode. ``MIN_IOU`` is what each format promises for a mask, or for a box where it has no masks.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_masks import LABELS, datasets, save_photos

from exporters.dataset import Dataset, FormatError, Holds, Item, Picture, WriteOptions
from exporters.formats import FORMATS, STORED, detect, load
from exporters.masks import box_xyxy, decode
from labelers.records import RLE

MIN_IOU = {
    "coco": 1.0,
    "coco-panoptic": 1.0,
    "lvis": 1.0,
    "yolo-detect": 0.999,  # of boxes: a share of the photo's size with a finite number of digits
    "yolo-segment": 1.0,
    "voc": 1.0,
    "label-studio": 1.0,
    "cvat": 1.0,
    "labelme": 1.0,
    "datumaro": 1.0,
    "cityscapes": 1.0,
    "mask-pngs": 1.0,  # of all pixels of a class
    "instance-pngs": 1.0,
    "parquet": 1.0,
}

# Stuff has one region a picture here, however many objects it was drawn as.
ONE_STUFF_REGION = ("coco-panoptic", "cityscapes")

# Its photos have names of their own (city, _leftImg8bit); what they were called stands beside the labels.
RENAMES = ("cityscapes",)

# Without a photo or an object they are no different.
LOOKS_LIKE = {"yolo-segment": "yolo-detect", "lvis": "coco"}

MANY = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_every_stored_format_promises_something() -> None:
    assert tuple(MIN_IOU) == STORED
    handbook = (Path(__file__).parents[3] / "docs" / "formats.md").read_text("utf-8")
    assert not [name for name in FORMATS if f"`{name}`" not in handbook]


@pytest.mark.parametrize("name", STORED)
@MANY
@given(data=st.data())
def test_what_a_format_holds_comes_back(name: str, data: st.DataObject) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    holds = load(name).HOLDS
    splits = ("train", "val") if holds.splits else ("",)
    drawn = data.draw(datasets(overlap=holds.overlap, most=2, splits=splits))
    with tempfile.TemporaryDirectory() as folder:
        dataset = save_photos(drawn, Path(folder) / "photos")
        out = Path(folder) / "out"
        written = load(name).write(dataset, out, WriteOptions(copy_images="copy"))
        assert detect(out) == name or not written.items  # YOLO without a line is neither boxes nor outlines
        back = load(name).read(out)
        compare(name, dataset, back)
        total, number, least = written.ious
        assert not number or (least >= MIN_IOU[name] and total / number <= 1)
        again = Path(folder) / "again"
        load(name).write(back, again, WriteOptions())
        compare(name, back, load(name).read(again, images=back.images))


@pytest.mark.parametrize("name", STORED)
def test_an_empty_data_set_goes_through(name: str, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / "out"
    load(name).write(Dataset("nothing", LABELS, 0, lambda: iter(())), out)
    assert detect(out) in (name, LOOKS_LIKE.get(name))
    assert list(load(name).read(out)) == []


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("evil", ["../../x.jpg", "/etc/x.jpg", "a/../../x.jpg", "C:\\x.jpg"])
def test_no_name_leads_out_of_the_folder(name: str, evil: str, tmp_path: Path) -> None:
    if name == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "photos").mkdir()
    (tmp_path / "x.jpg").write_bytes(b"secret")
    picture = Picture(evil, 4, 4, (Item(label="a", box=(0.0, 0.0, 2.0, 2.0)),))
    dataset = Dataset("evil", (), 1, lambda: iter((picture,)), tmp_path / "photos")
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    try:
        load(name).write(dataset, tmp_path / "below" / "out", WriteOptions(copy_images="copy"))
    except FormatError:
        assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} - before <= {Path("below")}
        return
    made = {path for path in tmp_path.rglob("*") if path.relative_to(tmp_path) not in before}
    inside = tmp_path / "below" / "out"
    assert all(path == inside.parent or path.is_relative_to(inside) for path in made)
    assert not any(path.is_file() and path.read_bytes() == b"secret" for path in made)


@pytest.mark.parametrize("name", STORED)
def test_detection_never_raises(name: str, tmp_path: Path) -> None:
    contents = (b"", b"{", b"[" * 5000, b"\xff\xfe\x00", b"<annotations>" * 9, b"PAR1",
                b'{"images": 3, "annotations": null}', b"names: [a, b", b"PK\x03\x04 no zip",
                b'{"segments_info": [{}]}', b'[{"data": 1}]')  # fmt: skip
    for number, content in enumerate(contents):
        for suffix in (".json", ".xml", ".zip", ".yaml", ".parquet", ".txt", ""):
            (tmp_path / f"{number}{suffix}").write_bytes(content)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "empty").mkdir()
    module = load(name)
    for path in [*tmp_path.iterdir(), tmp_path, tmp_path / "gone"]:
        assert module.matches(path) in (True, False)


def compare(name: str, before: Dataset, after: Dataset) -> None:
    holds = load(name).HOLDS
    old = [picture for picture in before if holds.empty or picture.items]
    new = list(after)
    assert len(new) == len(old)
    assert {label.name for label in after.labels} >= {item.label for picture in old for item in picture.items}
    if name in RENAMES:
        by_id = {picture.id: picture for picture in new}
        pairs = [(picture, by_id[picture.id]) for picture in old]
    elif holds.subfolders:
        by_name = {inner_name(picture): picture for picture in new}
        assert set(by_name) == {inner_name(picture) for picture in old}
        pairs = [(picture, by_name[inner_name(picture)]) for picture in old]
    else:
        pairs = list(zip(old, new, strict=True))
    compare_labels(holds, before, after)
    stuff = {label.name for label in before.labels if not label.is_thing}
    for first, second in pairs:
        assert (first.width, first.height) == (second.width, second.height)
        if holds.splits:
            assert first.split == second.split
        if holds.picture_ids:
            assert first.id == second.id
        merged = {item.label for item in first.items} if not holds.instances else set()
        merged |= stuff if name in ONE_STUFF_REGION else set()
        compare_regions(name, first, second, merged)
        compare_items(name, first, second, merged)


def compare_labels(holds: Holds, before: Dataset, after: Dataset) -> None:
    found = {label.name: label for label in after.labels}
    for label in before.labels:
        if label.name not in found:
            continue
        if holds.label_ids:
            assert found[label.name].id == label.id
        if holds.supercategories:
            assert found[label.name].supercategory == label.supercategory
        if holds.stuff:
            assert found[label.name].is_thing == label.is_thing


def inner_name(picture: Picture) -> str:
    """The name without the folder of its split, which some formats keep the photos in."""
    return picture.file_name.removeprefix(f"{picture.split}/")


def expected(name: str, picture: Picture) -> list[Item]:
    """The objects that must come back."""
    items = list(picture.items)
    if FORMATS[name].masks_only:
        items = [item for item in items if item.mask is not None]
    return items


def compare_regions(name: str, before: Picture, after: Picture, labels: set[str]) -> None:
    for label in labels:
        old = [item.mask for item in expected(name, before) if item.label == label and item.mask]
        new = [item.mask for item in after.items if item.label == label and item.mask]
        assert pixels(old, before).tolist() == pixels(new, before).tolist()


def compare_items(name: str, before: Picture, after: Picture, without: set[str]) -> None:
    holds = load(name).HOLDS
    old = [item for item in expected(name, before) if item.label not in without]
    new = [item for item in after.items if item.label not in without]
    if not holds.crowds:
        crowds = sum(item.crowd for item in old)
        old = [item for item in old if not item.crowd]
        assert len(old) <= len(new) <= len(old) + crowds
    else:
        assert Counter(item.label for item in new) == Counter(item.label for item in old)
    left = list(new)
    for item in old:
        found = max(
            left, key=lambda other: (other.label == item.label, alike(item, other, holds.masks), same(item, other))
        )
        left.remove(found)
        assert found.label == item.label
        assert alike(item, found, holds.masks) >= MIN_IOU[name]
        if holds.ids:
            assert found.id == item.id
        if holds.scores:
            assert (found.score is None) == (item.score is None)
            assert found.score == pytest.approx(item.score, abs=1e-3)
        if holds.crowds:
            assert found.crowd == item.crowd


def same(a: Item, b: Item) -> tuple[bool, bool, float]:
    """For objects that look the same: which is which."""
    return a.id == b.id, a.crowd == b.crowd, -abs((a.score or 0) - (b.score or 0))


def alike(a: Item, b: Item, masks: bool) -> float:
    """IoU of masks, or of boxes where one is no mask or the format has none."""
    if masks and a.mask is not None:
        return 0.0 if b.mask is None or a.mask["size"] != b.mask["size"] else overlap(decode(a.mask), decode(b.mask))
    if masks and b.mask is not None and b.box is None:
        return 0.0
    x, y = box_of(a), box_of(b)
    both = max(min(x[2], y[2]) - max(x[0], y[0]), 0) * max(min(x[3], y[3]) - max(x[1], y[1]), 0)
    return float(both / ((x[2] - x[0]) * (x[3] - x[1]) + (y[2] - y[0]) * (y[3] - y[1]) - both))


def box_of(item: Item) -> Sequence[float]:
    if item.box is not None:
        return item.box
    assert item.mask is not None
    return box_xyxy(item.mask).tolist()


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def pixels(masks: Sequence[RLE | None], picture: Picture) -> np.ndarray:
    found = np.zeros((picture.height, picture.width), bool)
    for mask in masks:
        if mask is not None:
            found |= decode(mask)
    return found
