"""The ablation's bookkeeping: which classes lose their masks, which settings a variant has, what the table says."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest

from app.evaluation.instances import InstanceTask
from app.evaluation.precision import Object
from app.evaluation.task import Source
from app.training.settings import read
from benchmarks import joint
from labelers.vocabulary import Entry, Vocabulary
from openseed_core.training.schedule import FROZEN_TEXT

VOCABULARY = Vocabulary((Entry("a", ("a",)), Entry("b", ("b",))))


def _train(folder: Path) -> Path:
    names = ["a", "b", "c", "d"]
    counts = [9, 7, 5, 3]
    annotations = [{"category_id": k} for k, n in enumerate(counts) for _ in range(n)]
    categories = [{"id": k, "name": name} for k, name in enumerate(names)]
    (folder / "annotations.json").write_text(json.dumps({"annotations": annotations, "categories": categories}))
    return folder


def test_every_second_class_loses_its_masks(tmp_path: Path) -> None:
    assert joint.half(_train(tmp_path) / "annotations.json") == ["b", "d"]


@pytest.mark.parametrize("variant", list(joint.VARIANTS))
def test_variants_differ_in_one_thing(tmp_path: Path, variant: str) -> None:
    args = argparse.Namespace(train=_train(tmp_path), detection=None, start="nano", steps=5, size=64, freeze="")
    path = tmp_path / "run.toml"
    path.write_text(joint.settings(args, variant, 1, ["b", "d"], tmp_path / "out"))
    found = read(path)
    assert found.segmentation[0].leave_out == ("b", "d")
    assert bool(found.detection) == (variant != "no joint data")
    assert found.joint.decoupled == (variant != "not decoupled")
    assert (found.joint.online_from == 0) == (variant in ("full", "not decoupled"))
    if found.detection:
        assert not found.detection[0].masks
        assert found.detection[0].leave_out == ("a", "c")


def test_parts_can_be_frozen_beside_the_text(tmp_path: Path) -> None:
    options = {"train": _train(tmp_path), "detection": None, "start": "nano", "steps": 5, "size": 64}
    args = argparse.Namespace(**options, freeze="backbone.,pixel_decoder.")
    path = tmp_path / "run.toml"
    path.write_text(joint.settings(args, "full", 1, ["b"], tmp_path / "out"))
    assert read(path).schedule.freeze == (*FROZEN_TEXT, "backbone.", "pixel_decoder.")


def test_overlapping_seeds_are_undecided() -> None:
    assert joint.verdict([1.0, 1.1, 0.9]) == "full is better"
    assert joint.verdict([-1.0, -1.1, -0.9]) == "full is worse"
    assert joint.verdict([1.0, -0.5, 0.2]) == "undecided"
    assert joint.verdict([5.0]) == "undecided"
    mean, spread = joint.interval([1.0, 2.0, 3.0])
    assert (mean, spread) == (2.0, pytest.approx(4.303 / math.sqrt(3)))


def test_the_table_has_a_row_for_each_number() -> None:
    runs = [dict.fromkeys(joint.NUMBERS, value) for value in (1.0, 1.1, 1.2)]
    worse = [dict.fromkeys(joint.NUMBERS, value) for value in (0.0, 0.1, 0.2)]
    text = joint.table({"full": runs, "no assistance": worse})
    assert text.count("full is better") == len(joint.NUMBERS)


def test_one_ranking_keeps_classes_and_photos_apart() -> None:
    task = InstanceTask("instance", Source((), lambda *_: None), VOCABULARY, kind="boxes")  # type: ignore[arg-type,return-value]
    box = (0.0, 0.0, 10.0, 10.0)
    task.sizes = {0: (20, 20), 1: (20, 20)}
    task.truths = [Object(0, 0, box, area=100), Object(1, 1, box, area=100)]
    task.found = [Object(0, 1, box, area=100, score=0.9), Object(1, 1, box, area=100, score=0.5)]
    # the better find has the wrong name; class by class "b" would still have 0.5 and "a" 0
    assert joint.pooled(task, ["a", "b"]) == pytest.approx(0.5 * 51 / 101)
    assert joint.pooled(task, ["a"]) == 0.0
    assert joint.pooled(task, ["b"]) == pytest.approx(0.5)
