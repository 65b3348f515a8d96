"""``train my.toml`` goes on with its own run only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mini_sets import TINY_RUN, classes, image, masked, photos_beside, write

from app.cli.main import main
from app.training.run_folder import OtherRun, begin
from app.training.settings import Settings, read
from app.training.toml_text import as_toml, document_of

BUNDLED = sorted(
    path
    for path in (Path(__file__).parents[3] / "app" / "training").glob("*.toml")
    if not path.name.startswith("fine_tune")
)

TINY = f"""{TINY_RUN}[photos]
size = 64
segmentation = 1
[[segmentation]]
path = "{{folder}}/seg"
[schedule]
report_every = 1
"""


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """Settings of a tiny training on two photos of a cat."""
    rows = [masked(k, k, 1, (5, 6, 30, 30)) for k in (1, 2)]
    photos_beside(write(tmp_path / "seg" / "annotations.json", [image(1), image(2)], rows, classes("cat")), 1, 2)
    path = tmp_path / "my.toml"
    path.write_text(TINY.format(folder=tmp_path))
    return path


def train(toml: Path, more: str) -> int:
    """``more``: further settings of [schedule]."""
    path = toml.with_name("changed.toml")
    path.write_text(toml.read_text() + more)
    return main(["train", str(path)])


def checkpoint(settings: Settings, name: str = "step-0000001.pt") -> None:
    folder = settings.run.output / "checkpoints"
    (folder / name).mkdir(parents=True) if name.startswith("sharded") else folder.mkdir(parents=True, exist_ok=True)
    if not name.startswith("sharded"):
        (folder / name).write_bytes(b"")


def test_other_settings_are_refused_and_nothing_is_touched(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(toml, "steps = 1\n") == 0
    out = toml.with_name("out")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert train(toml, "steps = 1\nlr = 1e-3\n[objective]\nclasses = 1.5\n") == 2
    told = capsys.readouterr().err
    assert "[schedule] lr was 0.0005, now 0.001" in told
    assert "[objective] classes was 0.05, now 1.5" in told
    assert str(out) in told
    assert "another output" in told
    assert "delete the folder" in told
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_run_is_made_longer(toml: Path) -> None:
    """Steps and what doesn't change the learning may differ; the folder then tells the new ones."""
    assert train(toml, "steps = 1\nsave_every = 1\nkeep = 5\n") == 0
    assert train(toml, "steps = 2\nkeep = 7\nsave_every = 2\n") == 0
    out = toml.with_name("out")
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2]
    assert torch.load(out / "checkpoints" / "step-0000002.pt", weights_only=True)["step"] == 2
    assert read(out / "settings.toml").schedule.steps == 2


@pytest.mark.parametrize("name", ["step-0000001.pt", "sharded-0000001"])
def test_each_changed_setting_is_named(toml: Path, name: str) -> None:
    settings = read(toml)
    begin(settings)
    checkpoint(settings, name)
    source = settings.segmentation[0]
    changed: dict[str, Any] = {
        "[run] init was": replace(settings, run=replace(settings.run, init=None)),
        "[crops] size was 64, now 96": replace(settings, crops=replace(settings.crops, size=96)),
        "[joint] weights.l1 was 5.0, now 4.0": replace(
            settings, joint=replace(settings.joint, weights=replace(settings.joint.weights, l1=4.0))
        ),
        "[data] source_weights.web was not set, now 2.0": replace(
            settings, data=replace(settings.data, source_weights={"web": 2.0})
        ),
        "[[segmentation]] 1 weight was 1.0, now 3.0": replace(settings, segmentation=(replace(source, weight=3.0),)),
        "[[segmentation]] 2 path was not set": replace(settings, segmentation=(source, source)),
        "[[detection]] 1 path was not set": replace(settings, detection=(source,)),
        '[machine] precision was "no", now "bf16"': replace(
            settings, machine=replace(settings.machine, precision="bf16")
        ),
    }
    for told, others in changed.items():
        with pytest.raises(OtherRun) as caught:
            begin(others)
        assert told in str(caught.value)
        assert "source_weights was" not in str(caught.value)
    begin(settings)


def test_what_does_not_change_the_learning_may_differ(toml: Path) -> None:
    settings = read(toml)
    begin(settings)
    checkpoint(settings)
    run = replace(settings.run, threads=3, workers=2, tensorboard=False)
    schedule = replace(settings.schedule, steps=7, save_every=3, report_every=2, keep=9, validate_every=4, bad_steps=2)
    data = replace(settings.data, val=Path("elsewhere"), validation_photos=3)
    machine = replace(settings.machine, cpu=True)
    begin(replace(settings, run=run, schedule=schedule, data=data, machine=machine))


@pytest.mark.parametrize("left", [None, "step-0000000.pt", "step-0000003.tmp"])
def test_without_a_step_there_is_no_run_yet(toml: Path, left: str | None) -> None:
    settings = read(toml)
    begin(settings)
    if left is not None:
        checkpoint(settings, left)
    others = replace(settings, run=replace(settings.run, batch=5))
    begin(others)
    assert read(settings.run.output / "settings.toml") == others


def test_a_folder_from_before_is_gone_on_with_and_said(toml: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = read(toml)
    checkpoint(settings)
    begin(settings)
    assert "can't be checked" in capsys.readouterr().err
    with pytest.raises(OtherRun, match="batch"):
        begin(replace(settings, run=replace(settings.run, batch=5)))


def test_settings_that_can_not_be_read_are_another_run(toml: Path) -> None:
    settings = read(toml)
    checkpoint(settings)
    (settings.run.output / "settings.toml").write_text("[run]\nspeed = 3\n")
    with pytest.raises(OtherRun, match=r"can't be read .*'speed'"):
        begin(settings)


def test_the_folder_of_a_fine_tuning_is_another_run(toml: Path) -> None:
    settings = read(toml)
    checkpoint(settings)
    document = document_of(settings)
    document["segmentation"] = [{"path": "team.openseed.db", "kind": "project"}, *document["segmentation"]]
    (settings.run.output / "settings.toml").write_text(as_toml(document))
    with pytest.raises(OtherRun, match='kind was "project"'):
        begin(settings)


def test_other_processes_leave_it_to_the_first(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(toml)
    monkeypatch.setenv("RANK", "1")
    begin(settings)
    assert not settings.run.output.exists()


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.name)
def test_all_settings_come_back_from_their_text(path: Path, tmp_path: Path) -> None:
    settings = read(path)
    (tmp_path / "again.toml").write_text(as_toml(document_of(settings)))
    assert read(tmp_path / "again.toml") == settings
