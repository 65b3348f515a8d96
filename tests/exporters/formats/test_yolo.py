"""YOLO boxes and outlines in the layout of Ultralytics, out and in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from PIL import Image
from random_masks import LABELS, datasets, save_photos

from exporters import yolo_detect, yolo_segment
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions
from exporters.masks import area, decode, encode
from exporters.outlines import bridged, iou, outlines

COPY = WriteOptions(copy_images="copy")


def dataset_of(*pictures: Picture, labels: tuple[Label, ...] = LABELS, images: Path | None = None) -> Dataset:
    def walk() -> Iterator[Picture]:
        return iter(pictures)

    return Dataset("made here", labels, len(pictures), walk, images)


def photo(folder: Path, name: str, width: int = 20, height: int = 10) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(folder / name)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


YAML = "train: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\n"


@given(datasets())
@settings(max_examples=40)
def test_outlines_come_back_exactly(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        dataset = save_photos(dataset, root / "photos")
        written = yolo_segment.write(dataset, root / "out", COPY)
        found = {f"{p.split}/{p.file_name.removeprefix(p.split + '/')}": p for p in yolo_segment.read(root / "out")}
        assert len(found) == dataset.count == written.pictures == yolo_segment.read(root / "out").count
        for picture in dataset:
            back = found[f"{picture.split}/{picture.file_name}"]
            wanted = [item for item in picture.items if item.mask is not None and not item.crowd]
            assert (back.width, back.height) == (picture.width, picture.height)
            assert [(item.label, item.mask) for item in back.items] == [(item.label, item.mask) for item in wanted]
            assert [item.box for item in back.items] == [pytest.approx(item.box, abs=1e-5) for item in wanted]
        assert written.ious[2] == 1


@given(datasets())
@settings(max_examples=25)
def test_boxes_come_back(dataset: Dataset) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        dataset = save_photos(dataset, root / "photos")
        yolo_detect.write(dataset, root / "out", COPY)
        assert yolo_detect.matches(root / "out")
        assert not yolo_segment.matches(root / "out")
        found = {p.file_name: p for p in yolo_detect.read(root / "out")}
        for picture in dataset:
            back = found[f"{picture.split}/{picture.file_name}"]
            wanted = [item for item in picture.items if not item.crowd]
            assert [item.label for item in back.items] == [item.label for item in wanted]
            assert [item.box for item in back.items] == [pytest.approx(item.box, abs=1e-5) for item in wanted]


def test_a_bridge_costs_less_than_what_else_could_be_done() -> None:
    """The reason for bridges: as a trainer draws them (lines and all), a ring of holes is nearest with them."""
    cv2 = pytest.importorskip("cv2")
    y, x = np.mgrid[:160, :160]
    distance = (x - 80) ** 2 + (y - 80) ** 2
    mask = (distance < 70**2) & (distance > 30**2)
    rings = outlines(encode(mask))

    def drawn(points: np.ndarray) -> np.ndarray:
        canvas = np.zeros(mask.shape, np.uint8)
        cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
        return canvas.astype(bool)

    def agreement(found: np.ndarray) -> float:
        return iou(encode(found), encode(mask))

    half = mask & (x < 80)
    assert agreement(drawn(bridged(rings))) > 0.95
    assert agreement(drawn(bridged(rings))) > agreement(drawn(rings[0].points)) + 0.1
    assert agreement(drawn(bridged(rings))) > agreement(drawn(bridged(outlines(encode(half))))) + 0.1


def test_simplified_outlines_say_what_they_cost(tmp_path: Path) -> None:
    y, x = np.mgrid[:100, :100]
    mask = encode((x - 50) ** 2 + (y - 50) ** 2 < 40**2)
    photo(tmp_path, "a.png", 100, 100)
    dataset = dataset_of(Picture("a.png", 100, 100, (Item("cat", mask=mask),)), images=tmp_path)
    written = yolo_segment.write(dataset, tmp_path / "out", WriteOptions(copy_images="link", tolerance=1.5))
    (picture,) = yolo_segment.read(tmp_path / "out")
    found = picture.items[0].mask
    assert found is not None
    assert iou(found, mask) == pytest.approx(written.ious[2])
    assert 0.95 < written.ious[2] < 1
    assert len((tmp_path / "out/labels/train/a.txt").read_text().split()) < 80


def test_what_yolo_cannot_hold_is_counted_and_left_out(tmp_path: Path) -> None:
    mask = encode(np.ones((10, 20), bool))
    items = (
        Item("cat", (0, 0, 5, 5)),
        Item("cat", (0, 0, 20, 10), mask, crowd=True),
        Item("cat", mask=encode(np.zeros((10, 20), bool))),
        Item("cat", mask=encode(np.ones((3, 3), bool))),
        Item("ghost", (0, 0, 20, 10), mask),
        Item("cat", (0, 0, 20, 10), mask),
    )
    dataset = dataset_of(Picture("a.png", 20, 10, items))
    written = yolo_segment.write(dataset, tmp_path / "segment")
    assert (written.items, sum(written.dropped.values())) == (1, 5)
    assert set(written.dropped) == {
        "objects without a mask (use yolo-detect for boxes)",
        "crowds, which YOLO has no place for",
        "masks without a pixel",
        "masks of another size than their picture",
        "objects of an unknown class",
    }
    written = yolo_detect.write(
        dataset_of(Picture("a.png", 20, 10, (*items[:3], Item("cat", (30, 2, 40, 5)), Item("cat", (-5, 0, 10, 20))))),
        tmp_path / "detect",
    )
    assert written.items == 2
    assert (tmp_path / "detect/labels/train/a.txt").read_text().splitlines()[1] == "0 0.25 0.5 0.5 1"
    assert any("val" in note for note in written.notes)


def test_photos_with_one_stem_keep_their_own_labels(tmp_path: Path) -> None:
    pictures = []
    for number, name in enumerate(("a.jpg", "a.png", "A.bmp", "train/a.jpg", "images/a.jpg", "x/images/a.jpg")):
        photo(tmp_path / "photos", name)
        pictures.append(Picture(name, 20, 10, (Item("cat", (0, 0, number + 1, 5)),), split="train"))
    yolo_detect.write(dataset_of(*pictures, images=tmp_path / "photos"), tmp_path / "out", COPY)
    found = sorted(picture.items[0].box for picture in yolo_detect.read(tmp_path / "out"))
    assert [round(box[2]) for box in found] == [1, 2, 3, 4, 5, 6]
    assert not [path for path in (tmp_path / "out/images").rglob("*") if path.name == "images"]


def test_data_yaml_names_what_yaml_would_take_for_something_else(tmp_path: Path) -> None:
    names = ("no", "1", "null", "a: b", "- x", "# y", "日本", "{z}")
    dataset = dataset_of(
        Picture("a.png", 20, 10, split="test"),
        Picture("b.png", 20, 10, split="names"),
        labels=tuple(Label(name) for name in names),
    )
    yolo_detect.write(dataset, tmp_path / "out")
    data = yaml.safe_load((tmp_path / "out/data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == dict(enumerate(names))
    assert data["test"] == "images/test"
    photo(tmp_path, "a.png")
    photo(tmp_path, "b.png")
    back = yolo_detect.read(tmp_path / "out", images=tmp_path)
    assert tuple(label.name for label in back.labels) == names
    assert {(p.file_name, p.split) for p in back} == {("a.png", "test"), ("b.png", "split_names")}


def test_photos_elsewhere_are_found_by_their_labels(tmp_path: Path) -> None:
    tree(tmp_path / "set", {"data.yaml": YAML, "labels/train/x/a.txt": "0 .5 .5 1 1\n", "labels/val/b.txt": ""})
    photo(tmp_path / "photos", "x/a.JPG")
    photo(tmp_path / "photos", "val/b.png")
    photo(tmp_path / "photos", "val/background.png")
    dataset = yolo_detect.read(tmp_path / "set", images=tmp_path / "photos")
    assert [(p.file_name, p.split) for p in dataset] == [
        ("x/a.JPG", "train"),
        ("val/b.png", "val"),
        ("val/background.png", "val"),
    ]
    with pytest.raises(FormatError, match="--images"):
        list(yolo_detect.read(tmp_path / "set"))


@pytest.mark.parametrize(
    ("files", "photos", "wanted"),
    [
        (
            {"data.yaml": "train: ../train/images\nnames: [cat]\n", "train/labels/a.txt": "0 .5 .5 1 1\n"},
            ["train/images/a.jpg"],
            [("train/images/a.jpg", "train", 1)],
        ),
        (
            {
                "data.yaml": "path: /old/place\ntrain: train.txt\nnames: [cat]\n",
                "train.txt": "./images/x/a.jpg\n/old/place/images/b.jpg\n",
                "labels/x/a.txt": "0 .5 .5 1 1\n",
            },
            ["images/x/a.jpg", "images/b.jpg"],
            [("images/x/a.jpg", "train", 1), ("images/b.jpg", "train", 0)],
        ),
        (
            {"classes.txt": "cat\n", "labels/a.txt": "0 .5 .5 1 1\n"},
            ["images/a.jpg"],
            [("a.jpg", "", 1)],
        ),
        (
            {"my.yml": "train: images\nval: images\nnc: 1\n", "labels/a.txt": "0 .5 .5 1 1 .25\n"},
            ["images/a.jpg"],
            [("a.jpg", "train", 1)],
        ),
    ],
    ids=["roboflow", "lists", "classes.txt", "no names"],
)
def test_other_layouts(
    tmp_path: Path, files: dict[str, str], photos: list[str], wanted: list[tuple[str, str, int]]
) -> None:
    tree(tmp_path, files)
    for name in photos:
        photo(tmp_path, name)
    assert yolo_detect.matches(tmp_path)
    dataset = yolo_detect.read(tmp_path)
    assert [(p.file_name, p.split, len(p.items)) for p in dataset] == wanted
    assert dataset.images is not None
    assert all((dataset.images / p.file_name).is_file() for p in dataset)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 .5 .5 1 1", "not in names"),
        ("0.5 .5 .5 1 1", "not in names"),
        ("nan .5 .5 1 1", "not in names"),
        ("0 .5 .5 1", "5 are a box"),
        ("0 .5 .5 nan 1", "share of the picture's size"),
        ("0 .5 .5 1e400 1", "share of the picture's size"),
        ("0 120 30 10 20", "share of the picture's size"),
        ("0 .5 .5 0 1", "no size"),
        ("0 .5 .5 1 1 7", "score"),
        ("0 x .5 1 1", "no number"),
    ],
)
def test_a_bad_line_is_named_and_the_others_stay(tmp_path: Path, line: str, message: str) -> None:
    tree(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": f"0 .5 .5 1 1\n\n{line}\n", "labels/val/x.txt": ""})
    photo(tmp_path, "images/train/a.png")
    photo(tmp_path, "images/val/x.png")
    problems: list[str] = []
    picture = next(iter(yolo_detect.read(tmp_path, on_problem=problems.append)))
    assert len(picture.items) == 1
    assert len(problems) == 1
    assert message in problems[0]
    assert "a.txt, line 3" in problems[0]
    with pytest.raises(FormatError, match="line 3"):
        list(yolo_detect.read(tmp_path))


def _broken_photo(root: Path) -> None:
    (root / "images/train/a.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")


def _link_out(root: Path) -> None:
    (root / "labels/train/a.txt").unlink()
    (root / "labels/train/a.txt").symlink_to("/etc/passwd")


def _binary(root: Path) -> None:
    (root / "labels/train/a.txt").write_bytes(bytes(range(256)))


@pytest.mark.parametrize("damage", [_broken_photo, _link_out, _binary])
def test_a_broken_picture_is_left_out(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    tree(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": "0 .5 .5 1 1\n", "labels/val/b.txt": "1 .5 .5 1 1\n"})
    photo(tmp_path, "images/train/a.png")
    photo(tmp_path, "images/val/b.png")
    damage(tmp_path)
    problems: list[str] = []
    assert [p.file_name for p in yolo_segment.read(tmp_path, on_problem=problems.append)] == ["val/b.png"]
    assert len(problems) == 1
    assert "a." in problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: ../../../etc\nnames: [a]\n", "leads out"),
        ("train: /etc\nnames: [a]\n", "leads out"),
        ("train: images/none\nnames: [a]\n", "there is no"),
        ("train: images\nnames: [a, a]\n", "two classes"),
        ("train: images\nnames: {a: 0}\n", "class numbers"),
        ("train: images\nnames: [[a]]\n", "without a name"),
        ("train: images\n", "names is missing"),
        ("train: images\nnc: 99999999999999999999\n", "names is missing"),
        ("- a\n", "mapping"),
        ("a: [b\n", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("names: !!python/object/apply:os.system [true]\ntrain: images\n", "names|class"),
    ],
)
def test_a_bad_data_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    tree(tmp_path, {"data.yaml": text, "labels/a.txt": ""})
    photo(tmp_path, "images/a.png")
    if "python/object" in text:  # nothing is run: it is read as a list of one class
        assert [label.name for label in yolo_detect.read(tmp_path).labels] == ["true"]
        return
    with pytest.raises(FormatError, match=message):
        yolo_detect.read(tmp_path)
    assert yolo_segment.matches(tmp_path) is False


def test_names_that_leave_the_folder_are_not_written(tmp_path: Path) -> None:
    for name in ("../../x.png", "/abs.png", "C:\\x.png"):
        with pytest.raises(FormatError):
            yolo_detect.write(dataset_of(Picture(name, 20, 10)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_outlines_of_others_are_read(tmp_path: Path) -> None:
    lines = "0 .1 .1 .6 .1 .6 .6 .1 .6\n1 0 0 .5 0 .5 .5 .9\n0 .5 .5 .5 .5\n0 .2 .2 .2001 .2 .2 .2001\n"
    tree(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": lines, "labels/val/x.txt": ""})
    photo(tmp_path, "images/train/a.png")
    photo(tmp_path, "images/val/x.png")
    assert yolo_segment.matches(tmp_path)
    items = next(iter(yolo_segment.read(tmp_path))).items
    assert [item.score for item in items] == [None, 0.9, None, None]
    first = items[0].mask
    assert first is not None
    assert area(first) == 50
    assert decode(first)[1:6, 2:12].all()
    assert items[2].mask is None
    assert items[2].box == (5, 2.5, 15, 7.5)
    assert items[3].mask is None
    boxes = next(iter(yolo_detect.read(tmp_path))).items
    assert boxes[0].mask is None
    assert boxes[0].box == pytest.approx((2, 1, 12, 6))


def test_classes_without_splits_are_read(tmp_path: Path) -> None:
    """As supervision writes it: names, and the folders images and labels beside."""
    tree(tmp_path, {"data.yaml": "nc: 1\nnames: [cat]", "labels/a.txt": "0 0.5 0.5 0.2 0.2"})
    photo(tmp_path / "images", "a.jpg")
    assert yolo_detect.matches(tmp_path)
    (picture,) = yolo_detect.read(tmp_path)
    assert (picture.file_name, picture.split, [item.label for item in picture.items]) == ("a.jpg", "", ["cat"])
    with pytest.raises(FormatError, match="no split"):
        yolo_detect.read(tree(tmp_path / "bare", {"data.yaml": "names: [cat]"}))
