"""The training loop: optimiser, schedule, moving average, checkpoints. Data comes in as an iterator of batches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from openseed_core.model import OpenSeeD
from openseed_core.training.conditioned import ConditionedBatch, Objective, conditioned_loss


@dataclass(frozen=True)
class Schedule:
    """Optimisation settings.

    Attributes:
        steps: length of the run; the learning rate falls from ``lr`` to 0 along a half cosine.
        lr, backbone_lr: peak learning rates of the transformer parts and of the backbone.
        warmup: steps of linear warm-up.
        weight_decay, clip: AdamW decay and the global gradient norm limit.
        average: decay of the moving average of the weights, which is what gets saved as the model.
        save_every, report_every: steps between checkpoints and between progress reports.
        validate_every: steps between validations; 0 = only at the end.
        freeze: parameter name prefixes that aren't trained.
    """

    steps: int = 10000
    lr: float = 5e-4
    backbone_lr: float = 1.5e-4
    warmup: int = 200
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.998
    save_every: int = 250
    report_every: int = 20
    validate_every: int = 0
    freeze: tuple[str, ...] = ("text_encoder.lang_encoder.", "text_encoder.lang_proj")


@dataclass(frozen=True)
class Progress:
    """One report: step, losses averaged since the last report, crops per second, validation IoU if measured."""

    step: int
    losses: dict[str, float]
    crops_per_second: float
    validation: float | None = None


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; lower ``lr`` or resume from an earlier checkpoint."""


def train(
    model: OpenSeeD,
    text: Tensor,
    batches: Callable[[int], Iterator[ConditionedBatch]],
    *,
    objective: Objective,
    schedule: Schedule,
    checkpoint: Path,
    seed: int,
    on_progress: Callable[[Progress], None],
    validate: Callable[[OpenSeeD], float] | None = None,
) -> OpenSeeD:
    """Train, resuming from ``checkpoint`` when it exists; returns the model with averaged weights.

    Args:
        text: [K + 1, e] features of the training names, last row "object".
        batches: called with the step to start from; yields batches for the following steps, so that a resumed
            run sees the data it would have seen.
        checkpoint: file written every ``save_every`` steps (temp + rename) and at an interruption.

    Raises:
        TrainingDiverged: loss is not finite.
    """
    device = next(model.parameters()).device
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(schedule.freeze))
    optimiser = torch.optim.AdamW(_parameter_groups(model, schedule), betas=(0.9, 0.999))
    average = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    step = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average = state["average"]
        step = int(state["step"])
    sums: dict[str, float] = {}
    crops, since = 0, time.monotonic()
    model.train()
    autocast = torch.autocast("cuda", dtype=torch.bfloat16, enabled=device.type == "cuda")
    try:
        for batch in batches(step):
            if step >= schedule.steps:
                break
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * _factor(step, schedule)
            generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
            with autocast:
                losses = conditioned_loss(model, _to(batch, device), text, objective, generator)
            if not math.isfinite(losses["total"].item()):
                raise TrainingDiverged(
                    f"loss is {losses['total'].item()} at step {step}; lower lr in the TOML and resume"
                )
            optimiser.zero_grad(set_to_none=True)
            losses["total"].backward()  # type: ignore[no-untyped-call]
            _share_gradients(model)
            nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], schedule.clip)
            optimiser.step()
            step += 1
            _blend(average, model, min(schedule.average, (1 + step) / (10 + step)))
            crops += len(batch.pixels)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.item()
            if step % schedule.report_every == 0:
                now = time.monotonic()
                means = {name: value / schedule.report_every for name, value in sums.items()}
                on_progress(Progress(step, means, crops / (now - since)))
                sums, crops, since = {}, 0, now
            if step % schedule.save_every == 0:
                _save(checkpoint, model, optimiser, average, step)
            if validate is not None and schedule.validate_every and step % schedule.validate_every == 0:
                on_progress(Progress(step, {}, 0.0, _validated(model, average, validate)))
                since = time.monotonic()
    finally:
        _save(checkpoint, model, optimiser, average, step)
    model.load_state_dict(average, strict=False)
    model.eval()
    return model


def averaged(model: OpenSeeD, checkpoint: Path) -> OpenSeeD:
    """Load the moving average of a checkpoint into ``model``."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    model.load_state_dict(state["average"], strict=False)
    model.eval()
    return model


def _factor(step: int, schedule: Schedule) -> float:
    warm = min((step + 1) / max(schedule.warmup, 1), 1.0)
    return warm * 0.5 * (1 + math.cos(math.pi * min(step / schedule.steps, 1.0)))


def _parameter_groups(model: OpenSeeD, schedule: Schedule) -> list[dict[str, Any]]:
    """Backbone slower; no weight decay for norms, biases, embeddings and scalars."""
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim < 2 or "embed" in name.rsplit(".", 1)[-1]
            groups.setdefault((name.startswith("backbone."), plain), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": schedule.backbone_lr if backbone else schedule.lr,
            "weight_decay": 0.0 if plain else schedule.weight_decay,
        }
        for (backbone, plain), parameters in groups.items()
    ]


def _share_gradients(model: OpenSeeD) -> None:
    """Average the gradients of all processes of the run, in one message."""
    if not (dist.is_available() and dist.is_initialized()):
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def _blend(average: dict[str, Tensor], model: OpenSeeD, decay: float) -> None:
    named = dict(model.named_parameters())
    names = list(average)
    torch._foreach_lerp_([average[n] for n in names], [named[n].detach() for n in names], 1 - decay)


def _validated(model: OpenSeeD, average: dict[str, Tensor], validate: Callable[[OpenSeeD], float]) -> float:
    """Validation IoU of the averaged weights; the training weights come back afterwards."""
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if name in average}
    model.load_state_dict(average, strict=False)
    model.eval()
    try:
        return validate(model)
    finally:
        model.load_state_dict(kept, strict=False)
        model.train()


def _to(batch: ConditionedBatch, device: torch.device) -> ConditionedBatch:
    if device.type == "cpu":
        return batch
    return ConditionedBatch(
        *(getattr(batch, f).to(device, non_blocking=True) for f in ("pixels", "boxes", "labels", "used", "masks"))
    )


def _save(path: Path, model: OpenSeeD, optimiser: torch.optim.Optimizer, average: dict[str, Tensor], step: int) -> None:
    if dist.is_available() and dist.is_initialized() and dist.get_rank() > 0:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step}
    torch.save(state, temporary)
    temporary.replace(path)
