"""CVAT XML: everything comes back, hostile files are refused, CVAT's own shapes are read."""

from __future__ import annotations

import dataclasses
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from random_masks import datasets, save_photos

from exporters import cvat
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import area, decode, encode

XML = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels>
<label><name>car</name><color>#c06060</color><attributes>
<attribute><name>parked</name><input_type>checkbox</input_type></attribute>
<attribute><name>doors</name><input_type>number</input_type></attribute></attributes></label>
</labels></task></meta>
<image id="3" name="{name}" subset="train" width="10" height="8">{shapes}</image></annotations>
"""
BOX = '<box label="car" xtl="1" ytl="2" xbr="5" ybr="6" occluded="1"><attribute name="parked">true</attribute></box>'


def saved(folder: Path, shapes: str = BOX, name: str = "a/b.jpg") -> Path:
    path = folder / "annotations.xml"
    path.write_text(XML.format(shapes=shapes, name=name), encoding="utf-8")
    return path


def one(path: Path) -> Item:
    (picture,) = cvat.read(path)
    (item,) = picture.items
    return item


@settings(max_examples=40)
@given(datasets())
def test_everything_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.xml"
        written = cvat.write(dataset, out)
        assert cvat.matches(out)
        found = cvat.read(out)
        assert [label.name for label in found.labels] == [label.name for label in dataset.labels]
        pictures = list(found)
        assert pictures == [dataclasses.replace(p, items=mine(p)) for p in dataset]
        assert found.count == written.pictures == len(pictures)
        assert written.items == sum(len(p.items) for p in pictures)


def mine(picture: Picture) -> tuple[Item, ...]:
    return tuple(
        dataclasses.replace(item, attributes={**item.attributes, "source": "manual"}) for item in picture.items
    )


def dataset_of(*items: Item, name: str = "a.jpg", labels: tuple[Label, ...] = (Label("car"),)) -> Dataset:
    return Dataset("here", labels, 1, lambda: iter([Picture(name, 10, 8, items, id=0)]))


def test_attributes_groups_boxes_and_odd_texts(tmp_path: Path) -> None:
    mask = np.zeros((8, 10), bool)
    mask[0, 0] = mask[7, 9] = True
    item = Item(
        "<&\"'>\n",
        box=(0.5, 0.25, 9.125, 8),
        mask=encode(mask),
        id="x 1",
        crowd=True,
        score=0.1234567,
        group=4,
        attributes={"source": "auto", "z_order": 2, "occluded": True, "n": 3, "x": 0.1, "ok": False, "t": "a\n<b>"},
    )
    out = tmp_path / "o.xml"
    cvat.write(dataset_of(item, labels=(Label("<&\"'>\n", extra={"color": "#010203"}),)), out)
    found = cvat.read(out)
    assert found.labels[0].extra["color"] == "#010203"
    assert next(iter(found)).items == (item,)


def test_groups_that_are_texts_get_numbers(tmp_path: Path) -> None:
    box = (0.0, 0.0, 1.0, 1.0)
    items = [Item("car", box, group=group) for group in ("a", "b", 7, "a", None)]
    cvat.write(dataset_of(*items), tmp_path / "o.xml")
    groups = [item.group for item in next(iter(cvat.read(tmp_path / "o.xml"))).items]
    assert groups == [8, 9, 7, 8, None]


def test_own_shapes_of_cvat(tmp_path: Path) -> None:
    box = one(saved(tmp_path))
    assert (box.box, box.mask, box.attributes) == ((1, 2, 5, 6), None, {"occluded": True, "parked": True})
    polygon = one(
        saved(tmp_path, '<polygon label="car" points="1.00,1.00;5.00,1.00;5.00,4.00;1.00,4.00" z_order="3"/>')
    )
    assert polygon.mask is not None
    assert area(polygon.mask) == 12
    assert polygon.attributes == {"z_order": 3}
    # rows of a crop, background first
    mask = one(saved(tmp_path, '<mask label="car" rle="1, 2, 3" left="4" top="5" width="3" height="2" group_id="2"/>'))
    assert mask.mask is not None
    assert np.argwhere(decode(mask.mask)).tolist() == [[5, 5], [5, 6]]
    assert mask.group == 2
    ellipse = one(saved(tmp_path, '<ellipse label="car" cx="5" cy="4" rx="4" ry="3" rotation="90"/>'))
    assert ellipse.box is not None
    assert ellipse.box == (2, 0, 8, 8)
    turned = one(saved(tmp_path, '<box label="car" xtl="2" ytl="3" xbr="6" ybr="5" rotation="90"/>'))
    assert turned.box == pytest.approx((3, 2, 5, 6))
    assert turned.attributes == {"rotation": 90}


BAD = {
    "xtl": '<box label="car" xtl="nan" ytl="2" xbr="5" ybr="6"/>',
    "ybr": '<box label="car" xtl="1" ytl="2" xbr="5"/>',
    "no label": '<box xtl="1" ytl="2" xbr="5" ybr="6"/>',
    "no region": '<polyline label="car" points="1,1;2,2"/>',
    "x,y": '<polygon label="car" points="1,1;2;3,3"/>',
    "covers no pixel": '<polygon label="car" points="1,1;2,2"/>',
    "points is": '<polygon label="car" points="1,1;1e300,2;3,3"/>',
    "add up": '<mask label="car" rle="1, 2" left="0" top="0" width="3" height="2"/>',
    "whole numbers": '<mask label="car" rle="1, x" left="0" top="0" width="3" height="2"/>',
    "doesn't fit": '<mask label="car" rle="1, 2" left="0" top="0" width="900000" height="900000"/>',
    "rle is no": f'<mask label="car" rle="{"9" * 5000}" left="0" top="0" width="3" height="2"/>',
    "score": BOX.replace("parked", "score").replace("true", "7"),
}


@pytest.mark.parametrize("words", BAD)
def test_a_bad_shape_is_reported_and_the_rest_goes_on(words: str, tmp_path: Path) -> None:
    path = saved(tmp_path, BAD[words] + BOX)
    with pytest.raises(FormatError, match=words):
        list(cvat.read(path))
    heard: list[str] = []
    (picture,) = cvat.read(path, on_problem=heard.append)
    assert len(picture.items) == len(heard) == 1
    assert words in heard[0]
    assert "a/b.jpg" in heard[0]


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "C:\\x.jpg", "a/../../b", "http://x/y.jpg", ""])
def test_names_stay_inside(name: str, tmp_path: Path) -> None:
    heard: list[str] = []
    assert list(cvat.read(saved(tmp_path, name=name), on_problem=heard.append)) == []
    assert len(heard) == 1
    with pytest.raises(FormatError):
        cvat.write(dataset_of(name=name), tmp_path / "o.xml")
    assert not (tmp_path / "o.xml").exists()


def test_bombs_and_broken_files(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><annotations>&b;</annotations>'
    for text in (bomb, "<annotations><image", "<annotations>" + "<a>" * 100, "<annotations><track/></annotations>"):
        path = tmp_path / "annotations.xml"
        path.write_text(text)
        with pytest.raises(FormatError, match=r"annotations\.xml"):
            cvat.read(path)
    assert not cvat.matches(tmp_path / "missing.xml")
    with pytest.raises(FormatError, match="no such file"):
        cvat.read(tmp_path / "missing.xml")


def test_zip_of_cvat(tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(saved(tmp_path), "annotations.xml")
        archive.writestr("../../evil.jpg", b"x")
    assert cvat.matches(path)
    assert one(path).box == (1, 2, 5, 6)
    assert not (tmp_path.parent.parent / "evil.jpg").exists()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("annotations.xml", b"<annotations>" + b" " * (1 << 23) * 3)
    with pytest.raises(FormatError, match="unpacks"):
        cvat.read(path)
    path.write_bytes(path.read_bytes()[:300])
    assert not cvat.matches(path)
    with pytest.raises(FormatError, match="can't be read"):
        cvat.read(path)


@settings(max_examples=10)
@given(datasets())
def test_folder_with_photos(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as folder:
        there = save_photos(dataset, Path(folder) / "photos")
        written = cvat.write(there, Path(folder) / "out", WriteOptions(copy_images="copy"))
        assert written.dropped == {}
        found = cvat.read(Path(folder) / "out")
        assert found.images is not None
        assert all((found.images / picture.file_name).is_file() for picture in found)
        with pytest.raises(FormatError, match="not empty"):
            cvat.write(there, Path(folder) / "out")


def test_tolerance_gives_polygons_and_counts_iou(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80]
    disc = encode((x - 40) ** 2 + (y - 30) ** 2 < 400)
    dataset = Dataset("here", (Label("car"),), 1, lambda: iter([Picture("a.jpg", 80, 60, (Item("car", mask=disc),))]))
    written = cvat.write(dataset, tmp_path / "o.xml", WriteOptions(tolerance=1))
    assert "<polygon" in (tmp_path / "o.xml").read_text()
    assert written.ious[1] == 1
    assert 0.9 < written.ious[2] < 1
