"""The loop: it learns, it resumes as if nothing had happened, it stops on NaN."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from openseed_core.config import OpenSeeDConfig, nano
from openseed_core.model import OpenSeeD
from openseed_core.training.conditioned import ConditionedBatch, Objective, collate
from openseed_core.training.loop import Progress, Schedule, TrainingDiverged, averaged, train
from openseed_core.training.samples import CropSettings, Record, draw

TEXT = torch.nn.functional.normalize(torch.randn(3, 64, generator=torch.Generator().manual_seed(0)), dim=-1)


def _config() -> OpenSeeDConfig:
    return nano(
        backbone_channels=(16, 32, 32, 64),
        hidden_dim=32,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        decoder_layers=2,
        joint_dim=64,
        text_width=32,
        text_layers=1,
        text_heads=2,
        text_token_dim=8,
    )


def _model() -> OpenSeeD:
    torch.manual_seed(0)
    return OpenSeeD(_config())


def _record() -> Record:
    y, x = np.mgrid[:96, :96]
    disc = ((x - 48) ** 2 + (y - 44) ** 2 < 24**2).astype(np.uint8)
    image = np.where(disc[..., None] > 0, np.uint8(220), np.uint8(30)) * np.ones(3, np.uint8)
    return Record(
        image, np.array([[24, 20, 72, 68]], np.float32), np.array([1]), lambda k: disc, np.ones(1, np.float32)
    )


def _batches(start: int) -> Iterator[ConditionedBatch]:
    config, step = _config(), start
    while True:
        rng = np.random.default_rng(step)
        samples = [draw(_record(), 0, CropSettings(size=64), rng) for _ in range(4)]
        yield collate(samples, mean=config.mean, std=config.std)
        step += 1


def _train(folder: Path, schedule: Schedule) -> tuple[OpenSeeD, list[Progress]]:
    seen: list[Progress] = []
    checkpoint = folder / "checkpoint.pt"
    objective = Objective(points=12)
    model = train(
        _model(),
        TEXT,
        _batches,
        objective=objective,
        schedule=schedule,
        checkpoint=checkpoint,
        seed=1,
        on_progress=seen.append,
    )
    return model, seen


def test_the_loss_falls(tmp_path: Path) -> None:
    _, seen = _train(tmp_path, Schedule(steps=80, warmup=5, lr=3e-3, backbone_lr=1e-3, report_every=20))
    assert seen[-1].losses["total"] < 0.8 * seen[0].losses["total"]
    assert [p.step for p in seen] == [20, 40, 60, 80]


def test_an_interrupted_run_goes_on_exactly(tmp_path: Path) -> None:
    schedule = Schedule(steps=12, warmup=2, save_every=5)
    straight, _ = _train(tmp_path / "straight", schedule)

    class Stop(Exception):
        pass

    def stopping(start: int) -> Iterator[ConditionedBatch]:
        for n, batch in enumerate(_batches(start)):
            if n == 7:
                raise Stop
            yield batch

    checkpoint = tmp_path / "resumed" / "checkpoint.pt"
    options = {"objective": Objective(points=12), "schedule": schedule, "checkpoint": checkpoint, "seed": 1}
    with pytest.raises(Stop):
        train(_model(), TEXT, stopping, on_progress=lambda _: None, **options)  # type: ignore[arg-type]
    resumed, _ = _train(tmp_path / "resumed", schedule)
    for (name, a), b in zip(straight.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_frozen_parameters_stay_and_the_checkpoint_holds_the_average(tmp_path: Path) -> None:
    before = _model().state_dict()
    model, _ = _train(tmp_path, Schedule(steps=6, warmup=1, freeze=("text_encoder.", "backbone.")))
    after = model.state_dict()
    for name in before:
        frozen = name.startswith(("text_encoder.", "backbone."))
        assert torch.equal(before[name], after[name]) or not frozen, name
    assert not torch.equal(before["heads.lang_mapper"], after["heads.lang_mapper"])
    loaded = averaged(_model(), tmp_path / "checkpoint.pt")
    assert torch.equal(loaded.state_dict()["heads.lang_mapper"], after["heads.lang_mapper"])


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path: Path) -> None:
    def poisoned(start: int) -> Iterator[ConditionedBatch]:
        for batch in _batches(start):
            batch.pixels.fill_(float("nan"))
            yield batch

    with pytest.raises(TrainingDiverged, match="lower lr"):
        train(
            _model(),
            TEXT,
            poisoned,
            objective=Objective(points=12),
            schedule=Schedule(steps=3),
            checkpoint=tmp_path / "checkpoint.pt",
            seed=0,
            on_progress=lambda _: None,
        )
