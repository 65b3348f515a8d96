"""The engine: it learns, it resumes as if nothing had happened, it skips and stops on NaN, it runs in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState

from openseed_core.config import OpenSeeDConfig, nano
from openseed_core.model import OpenSeeD
from openseed_core.training import checkpoints
from openseed_core.training.conditioned import Objective, collate
from openseed_core.training.engine import Machine, Progress, TrainingDiverged, accelerator_for, averaged, train
from openseed_core.training.objective import JointObjective, JointSettings, PhotoBatch, StepBatch, Words
from openseed_core.training.samples import CropSettings, Record, draw
from openseed_core.training.schedule import Schedule
from openseed_core.training.targets import Targets

TEXT = torch.nn.functional.normalize(torch.randn(4, 64, generator=torch.Generator().manual_seed(0)), dim=-1)
WORDS = Words(torch.tensor([True, True, False]), TEXT[:3])


def _config(**more: object) -> OpenSeeDConfig:
    sizes: dict[str, object] = {
        "backbone_channels": (16, 32, 32, 64),
        "hidden_dim": 32,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "decoder_layers": 2,
        "object_queries": 20,
        "background_queries": 6,
        "joint_dim": 64,
        "text_width": 32,
        "text_layers": 1,
        "text_heads": 2,
        "text_token_dim": 8,
        "train_points": 64,
    }
    return nano(**(sizes | more))


def _model() -> OpenSeeD:
    torch.manual_seed(0)
    return OpenSeeD(_config())


def _crops(number: int) -> object:
    y, x = np.mgrid[:96, :96]
    disc = ((x - 48) ** 2 + (y - 44) ** 2 < 24**2).astype(np.uint8)
    image = np.where(disc[..., None] > 0, np.uint8(220), np.uint8(30)) * np.ones(3, np.uint8)
    box = np.array([[24, 20, 72, 68]], np.float32)
    record = Record(image, box, np.array([1]), lambda k: disc, np.ones(1, np.float32))
    rng = np.random.default_rng(number)
    config = _config()
    return collate([draw(record, 0, CropSettings(size=64), rng) for _ in range(2)], mean=config.mean, std=config.std)


def _photos(number: int, *, masked: bool) -> PhotoBatch:
    """A bright square (class 0) on a dark ground (class 2, stuff)."""
    generator = torch.Generator().manual_seed(number)
    pixels, targets = torch.zeros(2, 3, 64, 64), []
    for b in range(2):
        x, y = (int(v) for v in torch.randint(4, 28, (2,), generator=generator))
        pixels[b, :, y : y + 24, x : x + 24] = 2.0
        square = torch.zeros(64, 64)
        square[y : y + 24, x : x + 24] = 1
        boxes = torch.tensor([[x + 12, y + 12, 24, 24], [32, 32, 64, 64]], dtype=torch.float32) / 64
        if masked:
            targets.append(Targets(torch.tensor([0, 2]), boxes, torch.stack((square, 1 - square))))
        else:
            targets.append(Targets(torch.tensor([0]), boxes[:1]))
    return PhotoBatch(pixels, tuple(targets), WORDS, masked)


def _batch(number: int) -> StepBatch:
    return StepBatch(
        step=number,
        seed=1000 + number,
        crops=_crops(number),
        crop_text=TEXT,
        segmentation=_photos(number, masked=True),
        detection=_photos(number + 1, masked=False),
    )


def _batches(start: int) -> Iterator[StepBatch]:
    number = start
    while True:
        yield _batch(number)
        number += 1


def _train(folder: Path, schedule: Schedule, *, machine: Machine | None = None) -> tuple[OpenSeeD, list[Progress]]:
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
    machine = machine or Machine(cpu=True)
    model, seen = _model(), []
    settings = JointSettings(budget=8, online_from=2, assistance_context="solo")
    train(
        JointObjective(model, settings, Objective(points=12)),
        _batches,
        accelerator=accelerator_for(machine),
        machine=machine,
        schedule=schedule,
        folder=folder,
        on_progress=seen.append,
    )
    return model, seen


SHORT = Schedule(steps=6, warmup=1, lr=1e-3, backbone_lr=5e-4, report_every=2, save_every=2)


def _same(a: OpenSeeD, b: OpenSeeD) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_the_loss_falls(tmp_path: Path) -> None:
    _, seen = _train(tmp_path, Schedule(steps=60, warmup=5, lr=3e-3, backbone_lr=1e-3, report_every=20))
    assert seen[-1].losses["total"] < 0.7 * seen[0].losses["total"]
    assert [p.step for p in seen] == [20, 40, 60]
    parts = {name.partition("/")[0] for name in seen[0].losses}
    assert parts == {"crops", "segmentation", "detection", "total"}


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, _ = _train(tmp_path / "whole", SHORT)
    from dataclasses import replace

    class Stop(Exception):
        pass

    def stopping(start: int) -> Iterator[StepBatch]:
        for number, batch in enumerate(_batches(start), start):
            if number == 3:
                raise Stop
            yield batch

    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()
    machine = Machine(cpu=True)
    objective = JointObjective(
        _model(), JointSettings(budget=8, online_from=2, assistance_context="solo"), Objective(points=12)
    )
    with pytest.raises(Stop):
        train(
            objective,
            stopping,
            accelerator=accelerator_for(machine),
            machine=machine,
            schedule=replace(SHORT),
            folder=tmp_path / "cut",
            on_progress=lambda p: None,
        )
    again, seen = _train(tmp_path / "cut", SHORT)
    assert [p.step for p in seen] == [4, 6]
    assert _same(whole, again)


def test_old_checkpoints_go_and_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    model, _ = _train(tmp_path, Schedule(**{**vars(SHORT), "keep": 2}))
    assert [p.name for p in checkpoints.all_of(tmp_path)] == ["step-0000004.pt", "step-0000006.pt"]
    assert _same(averaged(_model(), checkpoints.path_of(tmp_path, 6)), model)  # type: ignore[arg-type]
    checkpoints.path_of(tmp_path, 6).write_bytes(b"cut off")
    state = checkpoints.newest(tmp_path, device=torch.device("cpu"))
    assert state is not None
    assert state["step"] == 4


def test_accumulated_batches_make_one_step(tmp_path: Path) -> None:
    _, seen = _train(tmp_path, SHORT, machine=Machine(cpu=True, accumulate=2))
    assert seen[-1].step == 6
    assert seen[-1].pictures_per_second > 0


def test_bfloat16_trains(tmp_path: Path) -> None:
    _, seen = _train(tmp_path, SHORT, machine=Machine(cpu=True, precision="bf16"))
    assert np.isfinite(seen[-1].losses["total"])


@pytest.mark.parametrize("bad_until", [3, 100])
def test_steps_that_are_not_finite_are_skipped_and_many_stop_the_run(tmp_path: Path, bad_until: int) -> None:
    for state in (AcceleratorState, PartialState, GradientState):
        state._reset_state()

    def poisoned(start: int) -> Iterator[StepBatch]:
        for number, batch in enumerate(_batches(start), start):
            if 1 <= number < bad_until:
                batch.segmentation.pixels.fill_(torch.nan)  # type: ignore[union-attr]
            yield batch

    model, seen = _model(), []
    machine = Machine(cpu=True)

    def go() -> None:
        train(
            JointObjective(model, JointSettings(budget=8), Objective(points=12)),
            poisoned,
            accelerator=accelerator_for(machine),
            machine=machine,
            schedule=Schedule(**{**vars(SHORT), "bad_steps": 3, "steps": 10}),
            folder=tmp_path,
            on_progress=seen.append,
        )

    if bad_until > 10:
        with pytest.raises(TrainingDiverged, match="lower lr"):
            go()
        state = checkpoints.newest(tmp_path, device=torch.device("cpu"))
        assert state is not None
        assert all(v.isfinite().all() for v in state["model"].values() if v.is_floating_point())
    else:
        go()
        assert seen[-1].skipped == 2
        assert all(p.isfinite().all() for p in model.parameters())


DISTRIBUTED = """
import sys, torch
sys.path.insert(0, {tests!r})
import test_training_engine as t
from pathlib import Path
from openseed_core.training.engine import Machine, accelerator_for, train
from openseed_core.training.objective import JointObjective, JointSettings
from openseed_core.training.conditioned import Objective
machine = Machine(cpu=True)
accelerator = accelerator_for(machine)
torch.set_num_threads(1)
model = t._model()
def batches(start):
    for batch in t._batches(start * accelerator.num_processes + accelerator.process_index):
        yield batch
seen = []
train(JointObjective(model, JointSettings(budget=8), Objective(points=12)), batches, accelerator=accelerator,
      machine=machine, schedule=t.SHORT, folder=Path({folder!r}), on_progress=seen.append)
digest = torch.stack([p.detach().double().sum() for p in model.parameters()]).sum().item()
found = f"{{accelerator.num_processes}} {{digest!r}} {{len(seen)}}"
Path({folder!r}, f"rank{{accelerator.process_index}}").write_text(found)
"""


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    """gloo, started by torchrun: both processes end with equal weights, and the first one reports and saves."""
    script = tmp_path / "go.py"
    script.write_text(DISTRIBUTED.format(tests=str(Path(__file__).parent), folder=str(tmp_path)))
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = ((tmp_path / f"rank{rank}").read_text().split() for rank in (0, 1))
    assert first[0] == second[0] == "2"
    assert first[1] == second[1]
    assert (first[2], second[2]) == ("3", "0")
    assert [p.name for p in checkpoints.all_of(tmp_path)] == ["step-0000004.pt", "step-0000006.pt"]
