"""The protocols on files of one's own: what is read, what counts, what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mini_suites import class_map, coco_json, panoptic_json, photos
from PIL import Image
from truth_teller import HEIGHT, WIDTH, Painted, TruthTeller, paint, save_values

from app.cli.main import main
from app.errors import UsageError
from app.evaluation.protocols import Asked, read_vocabulary, tasks_for
from app.evaluation.scene_table import as_json, as_text
from app.evaluation.seginw import find_sets, summarised
from app.evaluation.suites import SUITES
from app.evaluation.task import Result, Run, run_tasks
from labelers.rectangle import RectangleLabeler
from labelers.vocabulary import VocabularyError

CATEGORIES = {"person": 1, "dog": 18, "cat": 17}
STUFF = {"sky": 301, "grass-merged": 302}
EMPTY = paint([], [])


@pytest.fixture
def scenes(tmp_path: Path) -> dict[str, Painted]:
    true = {f"photo{k}.jpg": paint(["person", "dog", "person", "cat"][: k + 2], list(STUFF), seed=k) for k in range(3)}
    photos(tmp_path, true)
    return true


def result(protocol: str, source: Path, labeler: TruthTeller, **options: Any) -> Result:
    run = run_tasks(labeler, tasks_for(protocol, Asked(source, **options)))
    assert not run.skipped
    return run.results[0]


def numbers(protocol: str, source: Path, labeler: TruthTeller, **options: Any) -> Mapping[str, float | None]:
    return result(protocol, source, labeler, **options).numbers


@pytest.mark.parametrize("protocol", ["instance", "detection"])
def test_objects(tmp_path: Path, scenes: dict[str, Painted], protocol: str) -> None:
    source = coco_json(tmp_path / "gt.json", scenes, CATEGORIES)
    right = result(protocol, source, TruthTeller(scenes))
    assert right.numbers["AP"] == pytest.approx(1)
    assert right.numbers["AR 100"] == pytest.approx(1)
    assert right.photos == 3
    assert right.by_class["person"] == {"AP": pytest.approx(1), "count": 5.0}
    # of 10 pixels 2 are beside it: IoU about 0.67, right at 0.5 to 0.65 and wrong from 0.75 on
    moved = numbers(protocol, source, TruthTeller(scenes, shift=2))
    assert moved["AP50"] == pytest.approx(1)
    assert moved["AP75"] == pytest.approx(0)
    confused = result(protocol, source, TruthTeller(scenes, renamed={"dog": "person"}))
    assert confused.by_class["dog"]["AP"] == 0
    assert confused.by_class["cat"]["AP"] == pytest.approx(1)


def test_found_in_a_photo_without_objects_is_wrong(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    extra = [("person", (1.0, 1.0, 9.0, 9.0), 0.99)]
    source = coco_json(tmp_path / "gt.json", {**scenes, "photo3.jpg": EMPTY}, CATEGORIES)
    photos(tmp_path, {**scenes, "photo3.jpg": EMPTY})
    only_there = TruthTeller({**scenes, "photo3.jpg": EMPTY}, extra=extra)
    assert result("instance", source, only_there).by_class["person"]["AP"] < 0.75  # type: ignore[operator]


def test_partly_marked_photos(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    """An extra person in each photo: an error, unless the photo is partly marked; again one if persons are complete."""
    labeler = TruthTeller(scenes, extra=[("person", (0.0, 40.0, 9.0, 48.0), 0.99)])

    def ap(**fields: Any) -> float:
        source = coco_json(tmp_path / "gt.json", scenes, CATEGORIES, fields=dict.fromkeys(scenes, fields))
        value = result("instance", source, labeler).by_class["person"]["AP"]
        assert value is not None
        return value

    assert ap() < 0.9
    assert ap(partial=False, annotated=None) < 0.9
    assert ap(partial=True) == pytest.approx(1)
    assert ap(partial=True, annotated=["dog"]) == pytest.approx(1)
    assert ap(partial=True, annotated=["person"]) < 0.9
    note = tasks_for("instance", Asked(tmp_path / "gt.json"))[0].result().notes
    assert "partial" in note[0]


def test_rotated_photos(tmp_path: Path) -> None:
    """The file's frame is that of the stored pixels, the labeler sees the photo upright."""
    raw = {"turned.jpg": paint(["person", "dog"], list(STUFF), seed=4)}
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "turned.jpg", exif=exif)
    upright = {"turned.jpg": replace(raw["turned.jpg"], ids=np.rot90(raw["turned.jpg"].ids, -1).copy())}
    everything = {**CATEGORIES, **STUFF}
    panoptic_json(tmp_path / "pan.json", tmp_path / "pan", raw, everything, set(STUFF))
    for protocol, source, number in (
        ("instance", coco_json(tmp_path / "gt.json", raw, CATEGORIES), "AP"),
        ("detection", tmp_path / "gt.json", "AP"),
        ("panoptic", tmp_path / "pan.json", "PQ"),
        ("semantic", tmp_path / "pan.json", "mIoU"),
    ):
        assert numbers(protocol, source, Turned(upright))[number] == pytest.approx(1), protocol


class Turned(TruthTeller):
    """The scene is HEIGHT wide and WIDTH high."""

    def open(self, photo: Any) -> Any:
        assert (photo.width, photo.height) == (HEIGHT, WIDTH)
        return super().open(photo)


def test_panoptic_and_semantic_of_a_panoptic_file(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = panoptic_json(tmp_path / "gt.json", tmp_path / "gt", scenes, {**CATEGORIES, **STUFF}, set(STUFF))
    right = numbers("panoptic", source, TruthTeller(scenes))
    assert {right[name] for name in ("PQ", "SQ", "RQ", "PQ things", "PQ stuff")} == {1.0}
    moved = numbers("panoptic", source, TruthTeller(scenes, shift=1))
    assert moved["RQ"] == 1
    assert 0.7 < moved["SQ things"] < moved["SQ stuff"] < 1  # type: ignore[operator]
    confused = result("panoptic", source, TruthTeller(scenes, renamed={"sky": "grass-merged"}))
    assert confused.by_class["sky"]["PQ"] == 0
    assert confused.numbers["PQ things"] == 1
    semantic = result("semantic", source, TruthTeller(scenes))
    assert set(semantic.numbers.values()) == {1.0}
    worse = result("semantic", source, TruthTeller(scenes, renamed={"cat": "dog"}))
    assert worse.by_class["cat"]["IoU"] == 0
    assert worse.numbers["pixel accuracy"] > 0.8  # type: ignore[operator]


def test_panoptic_of_coco_files_of_things_and_stuff(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = coco_json(tmp_path / "things.json", scenes, CATEGORIES)
    some = dict(list(scenes.items())[:2])
    stuff = coco_json(tmp_path / "stuff.json", some, STUFF)
    right = numbers("panoptic", source, TruthTeller(scenes), stuff=stuff)
    # photo2 has no stuff marked: stuff found there is no error
    assert {right[name] for name in ("PQ", "PQ things", "PQ stuff")} == {1.0}
    assert numbers("semantic", source, TruthTeller(scenes), stuff=stuff)["mIoU"] == 1
    wrong = TruthTeller(scenes, renamed={"sky": "grass-merged"})
    assert numbers("panoptic", source, wrong, stuff=stuff)["PQ stuff"] < 0.6  # type: ignore[operator]
    assert numbers("semantic", source, TruthTeller(scenes))["mIoU"] == 1  # things alone


def test_semantic_of_a_folder(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    names = (*CATEGORIES, *STUFF)
    for name, scene in scenes.items():
        values = class_map(scene, {label: k + 1 for k, label in enumerate(names)}, ignored=255)
        save_values(tmp_path / "labels" / "a" / f"{Path(name).stem}.png", values)
    photos(tmp_path / "photos" / "a", scenes)
    (tmp_path / "classes.txt").write_text("\n".join(names))
    for vocab in (", ".join(names), str(tmp_path / "classes.txt")):
        options = {"images": tmp_path / "photos", "vocab": vocab, "first_label": 1}
        assert numbers("semantic", tmp_path / "labels", TruthTeller(scenes), **options)["mIoU"] == 1
    with pytest.raises(UsageError, match="--vocab"):
        tasks_for("semantic", Asked(tmp_path / "labels"))
    assert len(read_vocabulary("ADE20K_150").entries) == 150
    with pytest.raises(VocabularyError):
        read_vocabulary(" , ")


def test_seginw(tmp_path: Path) -> None:
    for name in ("Cows", "Hens", "Pigs"):
        true = {"photo0.jpg": paint(["cow", "hen"], [], seed=0)}
        photos(tmp_path / name / "valid", true)
        coco_json(tmp_path / name / "valid" / "_annotations.coco.json", true, {"parent": 0, "cow": 1, "hen": 2})
    (tmp_path / "notes").mkdir()
    assert list(find_sets(tmp_path)) == ["Cows", "Hens", "Pigs"]
    tasks = tasks_for("seginw", Asked(tmp_path))
    assert [task.vocabulary.names for task in tasks] == [("cow", "hen")] * 3
    run = summarised(run_tasks(TruthTeller({"photo0.jpg": true["photo0.jpg"]}, renamed={"hen": "cow"}), tasks))
    first = run.results[0]
    for number in ("AP mean", "AP median"):
        assert first.numbers[number] == pytest.approx(run.results[1].numbers["AP"])
    assert first.numbers["AP mean"] < 0.6  # type: ignore[operator]
    assert list(first.by_class) == ["Cows", "Hens", "Pigs"]
    with pytest.raises(UsageError, match="holds no folder"):
        find_sets(tmp_path / "notes")


def test_bad_photos_and_pngs_are_reported_and_the_rest_is_measured(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = panoptic_json(tmp_path / "gt.json", tmp_path / "gt", scenes, {**CATEGORIES, **STUFF}, set(STUFF))
    (tmp_path / "photo0.jpg").write_bytes(b"no photo")
    (tmp_path / "gt" / "photo1.png").write_bytes(b"no PNG")
    run = run_tasks(TruthTeller(scenes), tasks_for("panoptic", Asked(source)))
    assert run.results[0].photos == run.photos == 1
    assert run.results[0].numbers["PQ"] == 1
    assert ["photo0.jpg" in run.skipped[0], "photo1" in run.skipped[1]] == [True, True]
    (tmp_path / "photo2.jpg").unlink()
    with pytest.raises(UsageError, match="not one of 3 photos") as caught:
        run_tasks(TruthTeller(scenes), tasks_for("panoptic", Asked(source)))
    assert "photo0.jpg" in str(caught.value)


def test_limit_and_labelers_that_find_nothing(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = coco_json(tmp_path / "gt.json", scenes, CATEGORIES)
    run = run_tasks(TruthTeller(scenes), tasks_for("instance", Asked(source)), limit=2)
    assert run.photos == run.results[0].photos == 2
    with pytest.raises(UsageError, match="finds nothing by itself"):
        run_tasks(RectangleLabeler(), tasks_for("instance", Asked(source)))


def test_prompts_reach_the_labeler(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = panoptic_json(tmp_path / "gt.json", tmp_path / "gt", scenes, {**CATEGORIES, **STUFF}, set(STUFF))
    vocabulary = tasks_for("panoptic", Asked(source, prompts=("sky = blue sky | clouds",)))[0].vocabulary
    assert vocabulary.prompts("sky") == ("blue sky", "clouds")
    assert vocabulary.prompts("grass-merged") == ("grass",)
    assert [entry.name for entry in vocabulary.entries if entry.stuff] == list(STUFF)
    with pytest.raises(UsageError, match="unicorn"):
        tasks_for("instance", Asked(coco_json(tmp_path / "x.json", scenes, CATEGORIES), prompts=("unicorn = horse",)))


def test_table_and_json(tmp_path: Path, scenes: dict[str, Painted]) -> None:
    source = coco_json(tmp_path / "gt.json", scenes, CATEGORIES)
    run = run_tasks(TruthTeller(scenes, shift=2), tasks_for("instance", Asked(source)))
    published = SUITES["coco"].published
    text = as_text([("nano", replace(run, skipped=("photo x: bad",)))], title="mine", classes=1, published=published)
    for part in ("mine: 3 photos", "nano", "OpenSeeD Swin-L", "AP50", "100.0", "53.2", "person (5)", "photo x: bad"):
        assert part in text
    assert "dog" not in text
    found = json.loads(json.dumps(as_json([("nano", run)], source="x", protocol="instance", published=published)))
    assert found["labelers"][0]["results"][0]["numbers"]["AP50"] == pytest.approx(1)
    assert found["published"][1]["percent"]["panoptic PQ"] == 59.5
    assert as_text([("nano", Run((), (), 0, 0.0))], title="nothing")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the file"),
        (["--suite", "coco"], "needs --root"),
        (["gt.json", "--suite", "coco", "--root", "."], "no other file"),
        (["--suite", "coco", "--root", "{}"], "annotations/panoptic_val2017.json"),
        (["{}/none.json", "--protocol", "instance"], "no such file"),
        (["{}/none.json", "--protocol", "panoptic"], "no such file"),
        (["{}/gt.json", "--protocol", "panoptic", "--images", "{}/none"], "--images"),
        (["{}/pan.json", "--protocol", "panoptic"], "--panoptic-dir"),
        (["{}/pan.json", "--protocol", "instance"], "is a panoptic file"),
        (["{}/gt.json", "--protocol", "instance", "--labeler", "rectangle"], "finds nothing by itself"),
        (["{}/gt.json", "--protocol", "instance", "--plot", "a.png"], "--plot"),
        (["{}", "--protocol", "seginw"], "holds no folder"),
        (["{}/empty.json", "--protocol", "detection"], "nothing can be measured"),
    ],
)
def test_the_command_refuses(
    tmp_path: Path,
    scenes: dict[str, Painted],
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    coco_json(tmp_path / "gt.json", scenes, CATEGORIES)
    coco_json(tmp_path / "empty.json", {"photo0.jpg": EMPTY}, CATEGORIES)
    panoptic_json(tmp_path / "pan.json", tmp_path / "elsewhere", scenes, {**CATEGORIES, **STUFF}, set(STUFF))
    assert main(["evaluate", "-q", *[word.replace("{}", str(tmp_path)) for word in words]]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["instance", "panoptic", "semantic"])
def test_a_file_of_boxes_is_no_truth_for_masks(tmp_path: Path, scenes: dict[str, Painted], protocol: str) -> None:
    source = coco_json(tmp_path / "gt.json", scenes, CATEGORIES)
    document = json.loads(source.read_text())
    for annotation in document["annotations"]:
        del annotation["segmentation"]
    source.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="has no masks to compare with"):
        tasks_for(protocol, Asked(source))
    assert numbers("detection", source, TruthTeller(scenes))["AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    "options",
    [
        ["gt.json", "--protocol", "instance", "--stuff", "stuff.json"],
        ["gt.json", "--protocol", "instance", "--quick"],
        ["gt.json", "--vocab", "coco-133"],
        ["gt.json", "--protocol", "detection", "--first-label", "1"],
        ["gt.json", "--root", "data"],
        ["--suite", "coco", "--root", "data", "--images", "photos"],
        ["--suite", "coco", "--root", "data", "--prompt", "cat=kitten"],
    ],
)
def test_options_that_would_do_nothing_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", *options]) == 2
    assert "does nothing with --" in capsys.readouterr().err
