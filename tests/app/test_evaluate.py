"""evaluate: the numbers are what they say, checked against arithmetic done another way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import annotation, dataset, read, save_photo
from fakes import FakeLabeler
from scipy.stats import spearmanr

from app.cli.main import main
from app.evaluation.boxes import Answers, ask_all, jittered
from app.evaluation.ellipse import EllipseLabeler
from app.evaluation.measures import Measures, average_precision, measure
from app.evaluation.plot import plot
from app.evaluation.table import as_json, as_text
from app.evaluation.truth import image_rows, neighbours, photos
from exporters.coco import CocoDocument
from exporters.masks import encode
from labelers.protocol import LabelerSpec
from labelers.records import Boxes, Photo
from labelers.rectangle import RectangleLabeler
from labelers.vocabulary import Vocabulary


def left_half(box: list[int]) -> list[list[int]]:
    x, y, w, h = box
    return [[x, y, x + w // 2, y, x + w // 2, y + h, x, y + h]]


def whole(box: list[int]) -> list[list[int]]:
    """The box as a polygon of six corners."""
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h, x, y + h // 2]]


def ask(source: Path, labeler: Any, **options: Any) -> Answers:
    document = CocoDocument.open(source)
    skipped: list[str] = []
    truths = photos(document, source.parent, image_rows(document, None), skipped=skipped)
    answers = ask_all(labeler, truths, Vocabulary.of(c.name for c in document.categories), **options)
    assert not skipped
    return answers


def measured(source: Path, labeler: Any, **options: Any) -> Measures:
    names = [c.name for c in CocoDocument.open(source).categories]
    return measure(ask(source, labeler, **options), labeler="x", version="1", class_names=names)


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Six instances whose truth is the left half or the whole of the box, so that a rectangle has IoU 0.5 or 1."""
    boxes = [[2, 2, 20, 20], [10, 10, 40, 30], [0, 0, 64, 48], [3, 3, 10, 10], [30, 20, 20, 20]]
    annotations = [
        annotation(k, k % 2 + 1, box, [0, 17][k % 2], segmentation=(left_half if k < 3 else whole)(box), part=k == 4)
        for k, box in enumerate(boxes)
    ]
    crowd = annotation(8, 1, [0, 0, 9, 9], segmentation={"size": [48, 64], "counts": [0, 48 * 64]}) | {"iscrowd": 1}
    return dataset(tmp_path, [*annotations, crowd, annotation(9, 2, [5, 5, 9, 9])], photos=2)


def test_mean_iou_in_every_cut(halves: Path) -> None:
    found = measured(halves, RectangleLabeler())
    assert found.instances == 5
    assert found.photos == 2
    assert found.iou["all"] == pytest.approx(0.7)
    # true masks have 200, 600, 1536, 100 and 400 pixels
    assert found.iou["small"] == pytest.approx((0.5 + 0.5 + 1 + 1) / 4)
    assert found.iou["medium"] == pytest.approx(0.5)
    assert found.iou["large"] is None
    assert found.iou["part"] == pytest.approx(1.0)
    assert found.iou["thing"] == pytest.approx((0.5 * 3 + 1) / 4)
    assert found.by_class == {"person": (pytest.approx(2 / 3, abs=1e-4), 3), "traffic light": (0.75, 2)}
    assert found.counts == {"all": 5, "small": 4, "medium": 1, "large": 0, "thing": 4, "part": 1}


def test_masks_are_compared_at_the_photos_own_resolution_and_rotation(tmp_path: Path) -> None:
    box = [4, 6, 20, 30]
    source = dataset(tmp_path, [annotation(1, 1, box, segmentation=left_half(box))])
    for orientation, (width, height) in {6: (64, 48), 8: (48, 64)}.items():
        save_photo(tmp_path / "photo1.jpg", width=64, height=48, orientation=orientation)
        content = read(source)
        content["images"][0] |= {"file_name": "photo1.jpg", "width": width, "height": height}
        source.write_text(json.dumps(content))
        answers = ask(source, RectangleLabeler())
        assert answers.truths[0]["size"] == [64, 48]  # upright
        assert answers.iou["exact"].tolist() == [0.5]


def test_jitter_moves_edges_by_their_share_and_is_seeded_by_row() -> None:
    boxes = np.tile(np.array([100, 200, 300, 240], np.float32), (500, 1))
    rows = np.arange(500)
    for percent in (5, 20):
        moved = jittered(boxes, rows, percent)
        share = np.abs(moved - boxes) / np.array([200, 40, 200, 40])
        assert share.max() <= percent / 100 + 1e-6
        assert share.max() > 0.95 * percent / 100
        assert abs(float((moved - boxes).mean())) < 0.2 * percent
        assert (jittered(boxes[7:9], rows[7:9], percent) == moved[7:9]).all()
    assert jittered(boxes[:0], rows[:0], 5).shape == (0, 4)


def test_jitter_makes_rectangles_worse_in_order(halves: Path) -> None:
    iou = measured(halves, RectangleLabeler()).iou
    assert iou["jitter 5"] is not None
    assert iou["jitter 5"] > iou["jitter 10"] > iou["jitter 20"]  # type: ignore[operator]
    assert set(measured(halves, RectangleLabeler(), quick=True).iou) == {
        "all", "small", "medium", "large", "thing", "part",
    }  # fmt: skip


@dataclass(frozen=True)
class NameReader:
    """Fills the left half for a person, the right half for a traffic light, all for anything else."""

    spec: LabelerSpec = LabelerSpec("reader", "1", uses_names=True)  # noqa: RUF009

    def open(self, photo: Photo) -> Any:
        inner = RectangleLabeler()

        class Opened:
            def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Any:
                xyxy = boxes.xyxy.copy()
                middle = (xyxy[:, 0] + xyxy[:, 2]) / 2
                xyxy[:, 2] = np.where(np.array(boxes.names) == "person", middle, xyxy[:, 2])
                xyxy[:, 0] = np.where(np.array(boxes.names) == "traffic light", middle, xyxy[:, 0])
                return inner.open(photo).masks(Boxes(xyxy, boxes.names), vocabulary)

        return Opened()


def test_names_are_compared_only_where_two_classes_share_a_place(tmp_path: Path) -> None:
    a, b, c = [0, 0, 40, 40], [0, 4, 40, 40], [44, 0, 20, 20]
    right_half = [[20, 4, 40, 4, 40, 44, 20, 44]]
    annotations = [
        annotation(1, 1, a, 0, segmentation=left_half(a)),
        annotation(2, 1, b, 17, segmentation=right_half),
        annotation(3, 1, c, 0, segmentation=left_half(c)),
    ]
    found = measured(dataset(tmp_path, annotations), NameReader())
    assert found.iou["all"] == pytest.approx(1.0)
    assert found.iou["name object"] == pytest.approx(0.5)
    assert found.pairs == {"right": 1.0, "object": 0.5, "neighbour": 0.0, "count": 2}


def test_neighbours_need_half_overlap_and_another_name() -> None:
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 19], [0, 0, 10, 10]], np.float32)
    assert neighbours(Boxes(xyxy, ("cat", "dog", "dog", "cat"))) == ("dog", "cat", "cat", "dog")
    assert neighbours(Boxes(xyxy[:1], ("cat",))) == (None,)
    assert neighbours(Boxes(xyxy[:0], ())) == ()
    far = np.array([[0, 0, 10, 10], [0, 0, 10, 21]], np.float32)
    assert neighbours(Boxes(far, ("cat", "dog"))) == (None, None)


def answers_with(ious: list[float], scores: list[float], categories: list[int]) -> Answers:
    """Instances of 100 x 100 pixels whose answers overlap their truths by the given IoU."""
    truth = np.zeros((100, 200), bool)
    truth[:, :100] = True
    masks = []
    for iou in ious:
        mask = np.zeros((100, 200), bool)
        mask[:, : round(100 * iou)] = True
        masks.append(encode(mask) if iou else None)
    n = len(ious)
    return Answers(
        iou={"exact": np.array(ious)},
        score=np.array(scores),
        areas=np.full(n, 10_000),
        category_rows=np.array(categories),
        image_rows=np.arange(n),  # one instance a photo: nothing can be matched with another's truth
        part=np.zeros(n, bool),
        in_pair=np.zeros(n, bool),
        masks=tuple(masks),
        truths=(encode(truth),) * n,
        photos=n,
        seconds=2.0,
        skipped=(),
    )


def test_average_precision_against_arithmetic_by_hand() -> None:
    perfect = average_precision(answers_with([1, 1, 1], [0.3, 0.2, 0.1], [0, 0, 1]))
    assert perfect["AP"] == perfect["AP50"] == perfect["AP75"] == pytest.approx(1.0)
    assert perfect["AP small"] is None
    # one class, IoU 0.8 and 0.6: both right up to 0.60, one up to 0.80. Where one of two is right and stands first,
    # 51 of the 101 recall points have precision 1; where it stands second, precision is 1/2 there
    well = average_precision(answers_with([0.8, 0.6], [0.9, 0.1], [0, 0]))
    badly = average_precision(answers_with([0.8, 0.6], [0.1, 0.9], [0, 0]))
    assert well["AP"] == pytest.approx((3 * 1 + 4 * 51 / 101) / 10, abs=1e-3)
    assert badly["AP"] == pytest.approx((3 * 1 + 4 * 0.5 * 51 / 101) / 10, abs=1e-3)
    missing = average_precision(answers_with([1.0, 0.0], [0.9, 0.0], [0, 0]))
    assert missing["AP"] == pytest.approx(51 / 101, abs=1e-3)


def test_a_photo_with_more_than_a_hundred_boxes_counts_them_all(tmp_path: Path) -> None:
    boxes = [[3 * (k % 20), 3 * (k // 20), 3, 3] for k in range(150)]
    annotations = [annotation(k, 1, box, segmentation=whole(box)) for k, box in enumerate(boxes)]
    found = measured(dataset(tmp_path, annotations), RectangleLabeler(), quick=True)
    assert found.instances == 150
    assert found.ap["AP"] == pytest.approx(1.0)


def test_spearman_and_speed() -> None:
    random = np.random.default_rng(1)
    iou = random.uniform(0.2, 1, 40).round(2)
    score = iou + random.normal(0, 0.2, 40)
    answers = answers_with(iou.tolist(), score.tolist(), [0] * 40)
    found = measure(answers, labeler="x", version="1", class_names=["cat"])
    assert found.spearman["all"] == pytest.approx(spearmanr(score, iou).statistic, abs=1e-4)
    assert found.spearman["all"] == found.spearman["large"]
    assert found.spearman["small"] is None
    assert found.images_per_second == 20.0
    constant = measure(answers_with([0.5, 0.6, 0.7], [1, 1, 1], [0] * 3), labeler="x", version="1", class_names=["cat"])
    assert constant.spearman["all"] is None


def test_ellipse_is_the_inscribed_one(tmp_path: Path) -> None:
    box = [4, 6, 50, 36]
    source = dataset(tmp_path, [annotation(1, 1, box, segmentation=whole(box))])
    assert measured(source, EllipseLabeler()).iou["all"] == pytest.approx(np.pi / 4, abs=0.01)
    assert ask(source, EllipseLabeler()).masks[0] == ask(source, FakeLabeler()).masks[0]


def test_table_json_and_plot(halves: Path, tmp_path: Path) -> None:
    results = [measured(halves, RectangleLabeler()), measured(halves, NameReader())]
    text = as_text(results, classes=1)
    assert "70.0" in text
    assert "person (3)" in text
    assert "traffic light" not in text
    found = json.loads(json.dumps(as_json(results, source="a.json", protocol="boxes")))
    assert found["labelers"][0]["iou"]["all"] == pytest.approx(0.7)
    plot(results, tmp_path / "iou.png", title="a $ in a title")
    assert (tmp_path / "iou.png").read_bytes().startswith(b"\x89PNG")


def test_the_command(halves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = halves.with_name("iou.png")
    words = ["evaluate", str(halves), "--labeler", "rectangle,ellipse", "-q"]
    assert main([*words, "--json", "--plot", str(picture)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [labeler["labeler"] for labeler in found["labelers"]] == ["rectangle", "ellipse"]
    assert found["labelers"][0]["instances"] == 5
    assert picture.exists()
    (halves.parent / "photo2.png").write_bytes(b"broken")
    assert main([*words, "--limit", "2"]) == 1
    shown = capsys.readouterr().out
    assert "not measured" in shown
    assert "photo2.png" in shown


def test_a_photo_that_only_one_labeler_has_to_decode(halves: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = halves.parent / "photo2.png"
    photo.write_bytes(photo.read_bytes()[:-200])
    assert main(["evaluate", str(halves), "--labeler", "rectangle,grabcut", "-q", "--quick"]) == 1
    assert "not measured" in capsys.readouterr().out


def test_the_command_refuses_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boxes_only = str(dataset(tmp_path, [annotation(1, 1, [5, 5, 20, 20])]))
    empty = str(dataset(tmp_path / "empty", []))
    for words, message in (
        ([boxes_only, "--labeler", "rectangle"], "no photo with a box and a true mask"),
        ([empty, "--labeler", "rectangle"], "nothing can be measured"),
        ([boxes_only, "--labeler", "rectangl"], "no labeler 'rectangl'"),
        ([boxes_only, "--labeler", ","], "at least one"),
        ([str(tmp_path)], "folder"),
        ([boxes_only, "--plot", "iou.xyz"], "must end in one of .png"),
        ([boxes_only, "--plot", str(tmp_path / "none" / "iou.png")], "does not exist"),
    ):
        assert main(["evaluate", "-q", *words]) == 2
        assert message in capsys.readouterr().err
