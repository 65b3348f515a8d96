"""Pascal VOC: XML and palette PNGs, out and in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from random_masks import LABELS, datasets

from exporters import voc
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import decode, encode
from exporters.outlines import iou
from exporters.voc_masks import palette

CAT, DOG = Label("cat"), Label("dog")

HEAD = "<filename>a.jpg</filename><size><width>20</width><height>10</height><depth>3</depth></size>"


def dataset_of(*pictures: Picture, labels: tuple[Label, ...] = LABELS, images: Path | None = None) -> Dataset:
    def walk() -> Iterator[Picture]:
        return iter(pictures)

    return Dataset("made here", labels, len(pictures), walk, images)


def an_object(name: str = "cat", box: tuple[float, ...] = (1, 1, 20, 10), more: str = "") -> str:
    corners = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>"


def one(root: Path, body: str, name: str = "a") -> Path:
    (root / "Annotations").mkdir(exist_ok=True, parents=True)
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{body}</annotation>", encoding="utf-8")
    return root


def png(root: Path, kind: str, numbers: np.ndarray, *, colours: bool = False, name: str = "a") -> None:
    (root / kind).mkdir(exist_ok=True)
    if colours:
        Image.fromarray(palette()[numbers]).save(root / kind / f"{name}.png")
        return
    image = Image.fromarray(numbers.astype(np.uint8))
    image.putpalette(palette().tobytes())
    image.save(root / kind / f"{name}.png")


@given(datasets(overlap=False))
@settings(max_examples=40)
def test_without_overlap_everything_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        written = voc.write(dataset, Path(name) / "out")
        assert voc.matches(Path(name) / "out")
        back = voc.read(Path(name) / "out")
        assert [label.name for label in back.labels] == [label.name for label in dataset.labels]
        suffixes = {picture.file_name.rpartition(".")[0]: picture for picture in back}
        assert len(suffixes) == back.count == dataset.count == written.pictures
        for picture in dataset:
            again = suffixes[picture.file_name.rpartition(".")[0]]
            assert (again.file_name, again.split) == (picture.file_name, picture.split)
            assert (again.width, again.height) == (picture.width, picture.height)
            assert again.items == picture.items
        assert written.ious[2] == 1
        assert not written.dropped


@given(datasets())
@settings(max_examples=30)
def test_with_overlap_what_is_seen_comes_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        written = voc.write(dataset, Path(name) / "out")
        found = {picture.file_name: picture for picture in voc.read(Path(name) / "out")}
        least, hidden = 1.0, 0
        for picture in dataset:
            again = found[picture.file_name].items
            assert [replace(item, mask=None) for item in again] == [replace(i, mask=None) for i in picture.items]
            for before, after in zip(picture.items, again, strict=True):
                if before.mask is not None and after.mask is None:
                    hidden += 1
                elif before.mask is not None and after.mask is not None:
                    assert not (decode(after.mask) & ~decode(before.mask)).any()
                    least = min(least, iou(before.mask, after.mask))
        assert sum(written.dropped.values()) == hidden
        assert written.ious[2] == (0 if hidden else pytest.approx(least))


def test_the_smaller_object_is_in_front(tmp_path: Path) -> None:
    large, small = np.ones((10, 20), bool), np.zeros((10, 20), bool)
    small[2:4, 2:4] = True
    items = (Item("cat", mask=encode(small)), Item("cat", mask=encode(large)))
    voc.write(dataset_of(Picture("a.jpg", 20, 10, items)), tmp_path / "out")
    (picture,) = voc.read(tmp_path / "out")
    assert [item.mask for item in picture.items] == [encode(small), encode(large & ~small)]


def test_files_are_those_of_voc(tmp_path: Path) -> None:
    """Numbers of the twenty classes, pixels counted from 1, palette PNGs and lists."""
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (20, 10)).save(tmp_path / "photos/a.jpg")
    mask = np.zeros((10, 20), bool)
    mask[3:5, 4:9] = True
    picture = Picture("a.jpg", 20, 10, (Item("dog", (4, 3, 9, 5), encode(mask)),), split="val")
    voc.write(
        dataset_of(picture, labels=(DOG, CAT), images=tmp_path / "photos"),
        tmp_path / "VOC",
        WriteOptions(copy_images="copy"),
    )
    text = (tmp_path / "VOC/Annotations/a.xml").read_text()
    assert all(f"<{key}>{value}</{key}>" in text for key, value in (("xmin", 5), ("ymin", 4), ("xmax", 9), ("ymax", 5)))
    classes = Image.open(tmp_path / "VOC/SegmentationClass/a.png")
    assert classes.mode == "P"
    assert (np.asarray(classes) == mask * 12).all()
    assert classes.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
    assert classes.convert("RGB").getpixel((4, 3)) == (64, 0, 128)
    assert (np.asarray(Image.open(tmp_path / "VOC/SegmentationObject/a.png")) == mask * 1).all()
    for kind in ("Main", "Segmentation"):
        assert (tmp_path / "VOC/ImageSets" / kind / "val.txt").read_text() == "a\n"
    assert (tmp_path / "VOC/JPEGImages/a.jpg").is_file()
    assert "dog:64,0,128::" in (tmp_path / "VOC/labelmap.txt").read_text()


@pytest.mark.parametrize("colours", [False, True])
def test_the_real_layout_is_read(tmp_path: Path, colours: bool) -> None:
    """VOCdevkit, void borders, lists of classes, objects whose numbers are not those of the XML."""
    root = tmp_path / "VOCdevkit/VOC2012"
    body = HEAD + an_object("dog", (11, 1, 20, 10), "<difficult>1</difficult><pose>Left</pose>")
    one(root, body + an_object("cat", (1, 1, 9, 10), "<truncated>1</truncated>"))
    objects = np.zeros((10, 20), int)
    objects[:, :9], objects[:, 10:] = 1, 2
    classes = np.where(objects == 1, 8, np.where(objects == 2, 12, 0))
    objects[0] = classes[0] = 255
    png(root, "SegmentationObject", objects, colours=colours)
    png(root, "SegmentationClass", classes, colours=colours)
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/cat_train.txt").write_text("a  1\n")
    (root / "ImageSets/Main/trainval.txt").write_text("a\n")
    (root / "ImageSets/Main/train.txt").write_text("a\n")
    assert voc.matches(tmp_path)
    dataset = voc.read(tmp_path)
    assert [label.name for label in dataset.labels][:3] == ["aeroplane", "bicycle", "bird"]
    (picture,) = dataset
    assert (picture.split, picture.file_name) == ("train", "a.jpg")
    dog, cat = picture.items
    assert (dog.label, dog.box, dog.attributes) == ("dog", (10, 0, 20, 10), {"difficult": 1, "pose": "Left"})
    assert dog.mask == encode(objects == 2)
    assert (cat.mask, cat.attributes) == (encode(objects == 1), {"truncated": 1})
    voc.write(dataset, tmp_path / "again")
    again = np.asarray(Image.open(tmp_path / "again/SegmentationObject/a.png"))
    assert (again == np.select([objects == 255, objects == 1, objects == 2], [255, 2, 1])).all()
    assert [p.items for p in voc.read(tmp_path / "again")] == [picture.items]


def test_masks_without_xml_and_classes_without_objects(tmp_path: Path) -> None:
    one(tmp_path, HEAD + an_object("x-ray", (0, 0, 4, 4)))
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nx-ray:10,20,30::\n")
    coloured = np.zeros((10, 20, 3), np.uint8)
    coloured[2:4, 5:9] = (10, 20, 30)
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(coloured).save(tmp_path / "SegmentationClass/b.png")
    first, second = voc.read(tmp_path)
    assert first.items[0].box == (0, 0, 4, 4)  # a corner below 1: counted from 0
    assert (second.width, second.height, len(second.items)) == (20, 10, 1)
    assert second.items[0].mask == encode(coloured[..., 0] > 0)


def test_attributes_keep_their_kinds(tmp_path: Path) -> None:
    attributes = {
        "text": "a b", "number text": "12", "yes": True, "word": "true", "n": 1.5, "list": [1, "x"], "none": None,
        "occluded": 1, "pose": "Rear", "empty": "",
    }  # fmt: skip
    item = Item("cat", (1.25, 0, 7.5, 10), id="x 1", group=4, attributes=attributes)
    voc.write(dataset_of(Picture("a b.jpg", 20, 10, (item, Item("cat", (0, 0, 5, 5), id=7)))), tmp_path / "out")
    (picture,) = voc.read(tmp_path / "out")
    assert picture.items == (item, Item("cat", (0, 0, 5, 5), id=7))


def test_more_objects_and_classes_than_a_png_has_numbers(tmp_path: Path) -> None:
    labels = tuple(Label(f"class {number}") for number in range(300))
    masks = np.eye(300, dtype=bool).reshape(300, 15, 20)
    items = tuple(Item(f"class {number}", mask=encode(mask)) for number, mask in enumerate(masks))
    written = voc.write(dataset_of(Picture("a.jpg", 20, 15, items), labels=labels), tmp_path / "out")
    assert sum(written.dropped.values()) == 300 - 254
    back = voc.read(tmp_path / "out")
    assert [label.name for label in back.labels] == [label.name for label in labels]
    (picture,) = back
    assert [item.mask for item in picture.items[:254]] == [item.mask for item in items[:254]]
    assert all(item.mask is None and item.box is not None for item in picture.items[254:])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<object><bndbox/></object>", "no name"),
        ("<object><name>cat</name><bndbox><xmin>1</xmin></bndbox></object>", "ymin"),
        (an_object(box=(1, float("nan"), 5, 5)), "ymin is 'nan'"),
        (an_object(box=(1, 1e300, 5, 5)), "ymin is '1e"),
    ],
)
def test_a_bad_object_is_named_and_the_others_keep_their_masks(tmp_path: Path, body: str, message: str) -> None:
    one(tmp_path, HEAD + body + an_object())
    numbers = np.zeros((10, 20), int)
    numbers[1:5, 1:5] = 2
    png(tmp_path, "SegmentationObject", numbers)
    problems: list[str] = []
    (picture,) = voc.read(tmp_path, on_problem=problems.append)
    assert len(picture.items) == 1
    assert picture.items[0].mask == encode(numbers == 2)
    assert len(problems) == 1
    assert message in problems[0]
    assert "a.xml, object 1" in problems[0]
    with pytest.raises(FormatError, match="object 1"):
        list(voc.read(tmp_path))


BOMB = (
    '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation><filename>&c;</filename></annotation>'
)
FILES = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'


@pytest.mark.parametrize(
    "text",
    ["", "no xml", "<a/>", "<annotation>", BOMB, FILES, "<annotation>" + "<x>" * 100_000, "<annotation/>",
     "<annotation><size><width>99999999999</width><height>1</height></size></annotation>"],
)  # fmt: skip
def test_a_broken_file_is_left_out(tmp_path: Path, text: str) -> None:
    one(tmp_path, HEAD + an_object())
    (tmp_path / "Annotations/b.xml").write_text(text)
    problems: list[str] = []
    assert [p.file_name for p in voc.read(tmp_path, on_problem=problems.append)] == ["a.jpg"]
    assert len(problems) == 1
    assert "b" in problems[0]


def _size(root: Path) -> None:
    png(root, "SegmentationObject", np.ones((5, 5), int))


def _no_png(root: Path) -> None:
    (root / "SegmentationObject").mkdir()
    (root / "SegmentationObject/a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)


def _class(root: Path) -> None:
    png(root, "SegmentationClass", np.full((10, 20), 77))


def _link(root: Path) -> None:
    (root / "SegmentationObject").mkdir()
    (root / "SegmentationObject/a.png").symlink_to("/etc/passwd")


@pytest.mark.parametrize("damage", [_size, _no_png, _class, _link])
def test_a_broken_png_leaves_the_boxes(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    one(tmp_path, HEAD + an_object())
    damage(tmp_path)
    problems: list[str] = []
    (picture,) = voc.read(tmp_path, on_problem=problems.append)
    assert [(item.box, item.mask) for item in picture.items] == [((0, 0, 20, 10), None)]
    assert len(problems) == 1
    assert "a.png" in problems[0]


def test_names_that_lead_out_are_neither_read_nor_written(tmp_path: Path) -> None:
    one(tmp_path / "in", HEAD.replace("a.jpg", "../../etc/x.jpg") + an_object())
    (picture,) = voc.read(tmp_path / "in")
    assert picture.file_name == "a.jpg"
    for name in ("../../x.png", "/abs.png", "C:\\x.png"):
        with pytest.raises(FormatError):
            voc.write(dataset_of(Picture(name, 20, 10)), tmp_path / "out")
    bad = dataset_of(Picture("a.png", 20, 10, (Item("a\x01", (0, 0, 1, 1)),)), labels=(Label("a\x01"),))
    with pytest.raises(FormatError, match="XML"):
        voc.write(bad, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_photos_with_one_stem_and_empty_pictures(tmp_path: Path) -> None:
    pictures = []
    for name in ("a.jpg", "a.png", "sub/a.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(tmp_path / "photos" / name)
        pictures.append(Picture(name, 20, 10))
    voc.write(dataset_of(*pictures, images=tmp_path / "photos"), tmp_path / "out", WriteOptions(copy_images="link"))
    back = voc.read(tmp_path / "out")
    assert back.images is not None
    names = [picture.file_name for picture in back]
    assert len(set(names)) == 3
    assert all((back.images / name).is_file() for name in names)
    assert not voc.matches(tmp_path / "photos")


def test_spaces_around_a_class_belong_to_it_where_it_is_listed_so(tmp_path: Path) -> None:
    labels = (Label("cat "), Label("dog"))
    items = (Item("cat ", (0.0, 0.0, 5.0, 5.0)), Item("dog", (6.0, 0.0, 9.0, 5.0)))
    voc.write(dataset_of(Picture("a.jpg", 20, 10, items), labels=labels), tmp_path / "out")
    file = tmp_path / "out" / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace("<name>dog<", "<name>\n  dog\n<"))
    (picture,) = voc.read(tmp_path / "out")
    assert [item.label for item in picture.items] == ["cat ", "dog"]
