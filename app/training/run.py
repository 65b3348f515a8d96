"""Runs a training described by ``Settings``: builds the model, feeds it, logs, draws the curve, saves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from app.training.curve import draw_curve
from app.training.dataset import Batches, load
from app.training.settings import DataSettings, RunSettings, Settings
from openseed_core.backbones.csp import CSPBackbone
from openseed_core.config import PRESETS
from openseed_core.model import OpenSeeD
from openseed_core.training.loop import Progress, train
from openseed_core.weights.nanodet import load_nanodet
from openseed_core.weights.store import load_model, save_model

# The stand-in for a dropped name.
ANY_NAME = "object"


def run(settings: Settings) -> Path:
    """Train to the end of the schedule (resuming if the output folder holds a checkpoint); returns the model folder."""
    torch.set_num_threads(settings.run.threads or torch.get_num_threads())
    torch.manual_seed(settings.run.seed)
    rank, world = _join()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = load(
        settings.data.train / "annotations.json",
        settings.data.train / "images",
        leave_out=settings.data.leave_out,
        source_weights=dict(settings.data.source_weights),
        balance=settings.data.balance,
    )
    model = build(settings.run)
    model.to(device, memory_format=torch.channels_last)
    text = text_features(model, data.names, settings.run.features).to(device)
    batches = Batches(
        data,
        settings.crops,
        batch=settings.run.batch // world,
        seed=settings.run.seed * world + rank,
        mean=model.config.mean,
        std=model.config.std,
    )
    output = settings.run.output
    output.mkdir(parents=True, exist_ok=True)
    (output / "names.json").write_text(json.dumps(data.names))
    log = output / "log.jsonl"
    with tqdm(total=settings.schedule.steps, unit="step", file=sys.stderr, mininterval=5, disable=rank > 0) as bar:

        def report(progress: Progress) -> None:
            if rank > 0:
                return
            with log.open("a") as file:
                file.write(json.dumps(asdict(progress)) + "\n")
            bar.update(progress.step - bar.n)
            if progress.validation is not None:
                bar.write(f"step {progress.step}: validation IoU {progress.validation:.4f}", file=sys.stderr)
                draw_curve(log, output / "curve.png")
            else:
                bar.set_postfix(loss=f"{progress.losses['total']:.3f}", crops_s=f"{progress.crops_per_second:.1f}")

        model = train(
            model,
            text,
            batches,
            objective=settings.objective,
            schedule=settings.schedule,
            checkpoint=output / "checkpoint.pt",
            seed=settings.run.seed * world + rank,
            on_progress=report,
            validate=_validator(settings.data) if rank == 0 else None,
        )
    if rank > 0:
        return output / "model"
    draw_curve(log, output / "curve.png")
    save_model(model, output / "model", half=True)
    return output / "model"


def _join() -> tuple[int, int]:
    """(rank, number of processes), joining the others where torchrun started several."""
    if "WORLD_SIZE" not in os.environ:
        return 0, 1
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=timedelta(hours=1))
    return dist.get_rank(), dist.get_world_size()


def build(settings: RunSettings) -> OpenSeeD:
    """A model of the preset with the initial weights that the settings name."""
    model = OpenSeeD(PRESETS[settings.preset]())
    if settings.backbone is not None:
        assert isinstance(model.backbone, CSPBackbone), "only nano starts from NanoDet-g"
        load_nanodet(model.backbone, settings.backbone)
    if settings.text is not None:
        model.text_encoder.load_state_dict({key: value.float() for key, value in load_file(settings.text).items()})
    elif settings.preset == "nano" and settings.features is None:
        # distilled apart from the masks (benchmarks/distil_text.py), so a new training starts from the shipped one
        model.text_encoder.load_state_dict(load_model("nano").text_encoder.state_dict())
    if settings.init is not None:
        model.load_state_dict(load_file(settings.init), strict=False)
    return model


@torch.no_grad()
def text_features(model: OpenSeeD, names: tuple[str, ...], stored: Path | None) -> Tensor:
    """[K + 1, e] features of the names and of ``ANY_NAME``, from the model or from an ``.npz``."""
    wanted = [*names, ANY_NAME]
    if stored is None:
        return model.encode_text([[name] for name in wanted])
    with np.load(stored, allow_pickle=False) as arrays:
        row = {str(name): i for i, name in enumerate(arrays["names"])}
        return torch.from_numpy(arrays["emb"][[row[name] for name in wanted]].astype(np.float32))


def _validator(data: DataSettings) -> Callable[[OpenSeeD], float] | None:
    """A function model -> mean IoU on the first photos of val, or None."""
    val = data.val
    if val is None:
        return None
    from app.training.validation import mean_iou

    return lambda model: mean_iou(model, val, limit=data.validation_photos)
