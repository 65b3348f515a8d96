"""Every suite on a miniature of its data set in the real layout: 1 for the truth, less for anything else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from mini_suites import class_map, coco_json, panoptic_json, photos
from PIL import Image
from truth_teller import HEIGHT, WIDTH, Painted, TruthTeller, paint, save_jpg, save_values

import app.training
from app.cli.evaluate import SUITES as NAMES
from app.cli.main import main
from app.errors import UsageError
from app.evaluation.protocols import Asked, tasks_for
from app.evaluation.resize import resize_as
from app.evaluation.seginw import summarised
from app.evaluation.suites import SUITES
from app.evaluation.suites.cityscapes import IDS, export_panoptic
from app.evaluation.suites.scannet import IDS_20
from app.evaluation.suites.seginw import SETS
from app.evaluation.task import Run, run_tasks
from app.training.settings import read
from labelers.build import build_labeler
from labelers.conditioned import ConditionedLabeler
from labelers.named_vocabularies import named
from openseed_core.config import PRESETS

MAIN = {"panoptic": "PQ", "instance": "AP", "boxes": "AP", "seginw": "AP mean"}
"""The number of a task that is looked at; mIoU of the semantic ones."""


@dataclass(frozen=True)
class Mini:
    """A data set on disk: what is true by file name, a class and what it is confused with."""

    scenes: Mapping[str, Painted]
    confused: tuple[str, str]
    tasks: tuple[str, ...]


def scenes(names: list[str], things: list[str], stuff: list[str]) -> dict[str, Painted]:
    return {name: paint(things, stuff, seed=k) for k, name in enumerate(names)}


def make_coco(root: Path) -> Mini:
    vocabulary = named("coco-133")
    true = scenes(["000000000139.jpg", "000000000285.jpg"], ["person", "dog", "person"], ["sky-other-merged", "sand"])
    stuff = {entry.name for entry in vocabulary.entries if entry.stuff}
    ids = {name: k + 1 if k < 80 else k + 12 for k, name in enumerate(vocabulary.names)}
    photos(root / "val2017", true)
    coco_json(
        root / "annotations" / "instances_val2017.json", true, {name: i for name, i in ids.items() if name not in stuff}
    )
    panoptic_json(
        root / "annotations" / "panoptic_val2017.json", root / "annotations" / "panoptic_val2017", true, ids, stuff
    )
    return Mini(true, ("dog", "cat"), ("panoptic", "instance", "boxes", "semantic"))


def make_ade20k(root: Path) -> Mini:
    vocabulary = named("ade20k-150")
    true = scenes(["ADE_val_00000001.jpg", "ADE_val_00000002.jpg"], ["bed", "window", "car"], ["wall", "sky"])
    stuff = {entry.name for entry in vocabulary.entries if entry.stuff}
    # the data set's files write other synonyms than the vocabulary for some classes
    spelled = {name: "windowpane, window" if name == "window" else name for name in vocabulary.names}
    respelled = {
        name: Painted(scene.ids, {key: spelled[label] for key, label in scene.names.items()})
        for name, scene in true.items()
    }
    ids = {spelled[name]: k for k, name in enumerate(vocabulary.names)}
    photos(root / "images" / "validation", true)
    for name, scene in true.items():
        values = class_map(scene, {label: k + 1 for k, label in enumerate(vocabulary.names)}, ignored=0)
        save_values(root / "annotations" / "validation" / f"{Path(name).stem}.png", values)
    panoptic_json(
        root / "ade20k_panoptic_val.json", root / "ade20k_panoptic_val", respelled, ids, {spelled[s] for s in stuff}
    )
    coco_json(
        root / "ade20k_instance_val.json",
        respelled,
        {spelled[n]: k for k, n in enumerate(vocabulary.names) if n not in stuff},
    )
    return Mini(true, ("car", "bed"), ("panoptic", "instance", "boxes", "semantic"))


def make_cityscapes(root: Path) -> Mini:
    vocabulary = named("cityscapes-19")
    names = [f"{city}_000000_00000{k}_019_leftImg8bit.png" for k, city in enumerate(("frankfurt", "munster"))]
    true = scenes(names, ["car", "person", "car", "bicycle"], ["road", "sky"])
    for k, (name, scene) in enumerate(true.items()):
        city = name.split("_")[0]
        save_jpg(root / "leftImg8bit" / "val" / city / name, seed=k)
        values = np.zeros((HEIGHT, WIDTH), np.int64)
        values[-2:] = 1  # the bonnet of the own car: not evaluated
        for key, label in scene.names.items():
            number = IDS[vocabulary.names.index(label)]
            values[scene.ids == key] = number if key < 10 else number * 1000 + key - 11
        truth = name.replace("leftImg8bit", "gtFine_instanceIds")
        save_values(root / "gtFine" / "val" / city / truth, values, sixteen=True)
    return Mini(true, ("car", "truck"), ("panoptic", "instance", "semantic"))


def make_lvis(root: Path) -> Mini:
    true = scenes(["000000000139.jpg", "000000000285.jpg"], ["aerosol_can", "cow", "cow"], [])
    photos(root / "val2017", {"000000000139.jpg": true["000000000139.jpg"]})
    photos(root / "train2017", {"000000000285.jpg": true["000000000285.jpg"]})
    path = coco_json(
        root / "annotations" / "lvis_v1_val.json",
        true,
        {"aerosol_can": 1, "cow": 2, "zebra": 3, "yak": 4},
        category_fields={"aerosol_can": {"frequency": "c"}, "cow": {"frequency": "f"}, "yak": {"frequency": "r"}},
    )
    content = json.loads(path.read_text())
    for image, folder in zip(content["images"], ("val2017", "train2017"), strict=True):
        image["coco_url"] = f"http://images.cocodataset.org/{folder}/{image.pop('file_name')}"
        image |= {"neg_category_ids": [3], "not_exhaustive_category_ids": [1]}
    for one in content["annotations"]:
        one.pop("iscrowd")
    path.write_text(json.dumps(content))
    return Mini(true, ("cow", "zebra"), ("boxes", "instance"))


def make_bdd(root: Path) -> Mini:
    many, few = named("bdd-40"), named("bdd-19")
    true = scenes(["7d06fefd-f7be05a6.jpg", "8a1b2c3d-00000000.jpg"], ["car", "person", "car"], ["road", "sky"])
    photos(root / "images" / "10k" / "val", true)
    for name, scene in true.items():
        values = class_map(scene, {label: k for k, label in enumerate(few.names)}, ignored=255)
        save_values(root / "labels" / "sem_seg" / "masks" / "val" / f"{Path(name).stem}.png", values)
        mask = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
        for key, label in scene.names.items():
            mask[scene.ids == key] = (many.names.index(label) + 1, 0, key // 256 + 1, key % 256)
        mask[0, :5, 3] = 99  # a piece of the first stuff with another number: still one segment
        mask[-1, :9] = (many.names.index("car") + 1, 1, 0, 7)  # marked to be ignored
        path = root / "labels" / "pan_seg" / "bitmasks" / "val" / f"{Path(name).stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return Mini(true, ("car", "truck"), ("panoptic", "semantic"))


def make_scannet(root: Path) -> Mini:
    true = scenes(["000000.jpg", "000100.jpg"], ["bed", "chair", "toilet"], ["wall", "floor"])
    forty = {label: k + 1 for k, label in enumerate(named("scannet-40").names)}
    assert all(forty[label] == IDS_20[k] for k, label in enumerate(named("scannet-20").names[:3]))
    frames = root / "scannet_frames_25k"
    for k, (name, scene) in enumerate(true.items()):
        save_jpg(frames / "scene0011_00" / "color" / name, seed=k)
        values = class_map(scene, forty, ignored=0)
        save_values(frames / "scene0011_00" / "label" / f"{Path(name).stem}.png", values)
    save_jpg(frames / "scene0000_00" / "color" / "000000.jpg")  # a training scene
    (root / "scannetv2_val.txt").write_text("scene0011_00\n")
    return Mini(true, ("chair", "bed"), ("semantic 20", "semantic 40"))


def make_sun(root: Path) -> Mini:
    true = scenes(["img-000001.jpg", "img-000002.jpg"], ["bed", "lamp"], ["wall", "floor"])
    numbers = {label: k + 1 for k, label in enumerate(named("sun-37").names)}
    photos(root / "SUNRGBD-test_images", true)
    for name, scene in true.items():
        values = class_map(scene, numbers, ignored=0)
        save_values(root / "sunrgbd_train_test_labels" / f"{Path(name).stem}.png", values)
    return Mini(true, ("lamp", "bed"), ("semantic",))


def make_seginw(root: Path) -> Mini:
    true = {}
    for k, name in enumerate(SETS):
        here = {f"{name}-{k}.jpg": paint(["cow", "hen"] if k else ["cow"], [], seed=k)}
        photos(root / name / "valid", here)
        file = "_annotations_min1cat.coco.json" if k % 2 else "_annotations.coco.json"
        coco_json(root / name / "valid" / file, here, {"animals": 0, "cow": 1, "hen": 2})
        true |= here
    return Mini(true, ("hen", "cow"), ("seginw", *SETS))


MAKERS: dict[str, Callable[[Path], Mini]] = {
    "coco": make_coco,
    "ade20k": make_ade20k,
    "cityscapes": make_cityscapes,
    "lvis": make_lvis,
    "bdd": make_bdd,
    "scannet": make_scannet,
    "sun": make_sun,
    "seginw": make_seginw,
}


def measure(name: str, root: Path, labeler: TruthTeller) -> Run:
    run = run_tasks(labeler, SUITES[name].tasks(root))
    return summarised(run) if SUITES[name].averaged else run


def main_number(run: Run, k: int) -> float:
    result = run.results[k]
    value = result.numbers[MAIN.get(result.name, "AP" if "AP" in result.numbers else "mIoU")]
    assert value is not None
    return value


@pytest.mark.parametrize("name", MAKERS)
def test_truth_is_one_and_anything_else_is_less(tmp_path: Path, name: str) -> None:
    mini = MAKERS[name](tmp_path)
    right = measure(name, tmp_path, TruthTeller(mini.scenes))
    assert not right.skipped
    assert tuple(result.name for result in right.results) == mini.tasks
    assert right.photos == len(mini.scenes)
    for k in range(len(mini.tasks)):
        assert main_number(right, k) == pytest.approx(1.0), mini.tasks[k]
    moved = measure(name, tmp_path, TruthTeller(mini.scenes, shift=3))
    confused = measure(name, tmp_path, TruthTeller(mini.scenes, renamed=dict([mini.confused])))
    for k in range(len(mini.tasks)):
        assert main_number(moved, k) < 0.95, mini.tasks[k]
        if mini.tasks[k] != SETS[0]:  # which has one class only
            assert main_number(confused, k) < 0.95, mini.tasks[k]


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_missing_is_listed(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        SUITES[name].tasks(tmp_path)
    for path in SUITES[name].layout:
        assert path in str(caught.value)
    with pytest.raises(UsageError, match="no folder"):
        SUITES[name].tasks(tmp_path / "none")


@pytest.mark.parametrize("name", MAKERS)
def test_published_rows_name_numbers_that_we_have(tmp_path: Path, name: str) -> None:
    mini = MAKERS[name](tmp_path)
    numbers = {(result.name, number) for result in measure(name, tmp_path, TruthTeller(mini.scenes)).results
               for number in result.numbers}  # fmt: skip
    for row in SUITES[name].published:
        assert set(row.percent) <= numbers
        assert row.source


def test_every_suite_can_be_asked_for() -> None:
    assert tuple(SUITES) == NAMES == tuple(MAKERS)
    assert SUITES["coco"].resize.short == 800
    assert str(SUITES["bdd"].resize) == "short side 800, bicubic"


def test_photos_are_opened_once_for_all_tasks(tmp_path: Path) -> None:
    mini = make_coco(tmp_path)
    labeler = TruthTeller(mini.scenes)
    measure("coco", tmp_path, labeler)
    assert labeler.opened == list(mini.scenes)


def test_a_group_in_cityscapes_is_a_crowd(tmp_path: Path) -> None:
    mini = make_cityscapes(tmp_path)
    path = next((tmp_path / "gtFine" / "val" / "munster").iterdir())
    values = np.asarray(Image.open(path)).astype(np.int64)
    save_values(path, np.where(values >= 26000, np.where(values < 27000, 26, values), values), sixteen=True)
    without = {key: label for key, label in mini.scenes[list(mini.scenes)[1]].names.items() if label != "car"}
    scenes_without = dict(mini.scenes)
    scenes_without[list(mini.scenes)[1]] = Painted(mini.scenes[list(mini.scenes)[1]].ids, without)
    for told in (mini.scenes, scenes_without):  # neither finding nor missing its members is an error
        run = measure("cityscapes", tmp_path, TruthTeller(told))
        assert main_number(run, 0) == pytest.approx(1.0)
        assert main_number(run, 1) == pytest.approx(1.0)


def test_lvis_counts_only_classes_that_were_looked_for(tmp_path: Path) -> None:
    mini = make_lvis(tmp_path)

    def ap(name: str) -> float:
        box = (0.0, 40.0, 12.0, 48.0)
        run = run_tasks(TruthTeller(mini.scenes, extra=[(name, box, 0.99)]), SUITES["lvis"].tasks(tmp_path))
        assert run.results[0].numbers["AP rare"] is None
        return main_number(run, 1)

    assert ap("yak") == pytest.approx(1)  # nobody looked for it
    assert ap("aerosol_can") == pytest.approx(1)  # marked incompletely
    assert ap("cow") < 0.95


def test_a_file_of_another_data_set_is_refused(tmp_path: Path) -> None:
    make_coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "name": "gizmo"}, {"id": 2, "name": "person"}, {"id": 3, "name": "widget"}]
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match="only 1 of 3 classes"):
        SUITES["coco"].tasks(tmp_path)


def test_cityscapes_as_a_panoptic_file_is_the_same_truth(tmp_path: Path) -> None:
    mini = make_cityscapes(tmp_path)
    export_panoptic(tmp_path, "val", tmp_path / "panoptic.json")
    asked = Asked(tmp_path / "panoptic.json", images=tmp_path / "leftImg8bit" / "val")
    run = run_tasks(TruthTeller(mini.scenes), tasks_for("panoptic", asked))
    assert run.results[0].numbers["PQ"] == 1
    assert run.results == (measure("cityscapes", tmp_path, TruthTeller(mini.scenes)).results[0],)


@pytest.mark.parametrize("name", ["ade20k", "cityscapes"])
def test_presets_of_fine_tuning_can_be_read(name: str) -> None:
    path = Path(app.training.__file__).with_name(f"{name}.toml")
    settings = read(path)
    assert settings.run.preset in PRESETS
    assert settings.segmentation[0].kind == "panoptic"
    assert settings.photos.size % 32 == 0
    assert "NOT RUN" in path.read_text()


def test_the_resize_rule_is_used_by_models_that_were_trained_like_the_released_ones() -> None:
    rule = SUITES["ade20k"].resize
    assert "as they are" in resize_as(TruthTeller({}), rule)
    nano = build_labeler("conditioned", model="nano", device="cpu")
    assert isinstance(nano, ConditionedLabeler)
    config = nano.model.config
    before = (config.image_short_side, config.image_long_side)
    assert "as nano was trained" in resize_as(nano, rule)
    assert (config.image_short_side, config.image_long_side) == before
    config.image_short_side, config.image_long_side = 800, 1333
    assert resize_as(nano, rule) == "photos resized: short side 640, long side at most 2560, bilinear"
    assert (config.image_short_side, config.image_long_side) == (640, 2560)


def test_the_command_measures_a_suite_with_nano(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Photos of noise: nothing to be found, but every answer of the real model has the right form."""
    make_bdd(tmp_path)
    (tmp_path / "images" / "10k" / "val" / "7d06fefd-f7be05a6.jpg").write_bytes(b"")
    words = ["evaluate", "--suite", "bdd", "--root", str(tmp_path), "-q", "--device", "cpu", "--json"]
    assert main(words) == 1
    found = json.loads(capsys.readouterr().out)
    results = found["labelers"][0]["results"]
    assert [result["name"] for result in results] == ["panoptic", "semantic"]
    assert results[0]["photos"] == 1
    assert 0 <= results[1]["numbers"]["mIoU"] <= 1
    assert "7d06fefd" in found["labelers"][0]["skipped"][0]
    assert "as nano was trained" in found["remarks"][0]
