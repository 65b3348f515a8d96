"""The training engine: optimiser, precision, several processes, moving average, checkpoints, NaN guard.

Precision and distribution are accelerate's; data comes in as an iterator of batches that depend on seed and step
only, so that a resumed run sees what it would have seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, FullyShardedDataParallelPlugin
from torch import Tensor, nn

from openseed_core.model import OpenSeeD
from openseed_core.training import checkpoints
from openseed_core.training.objective import JointObjective, StepBatch, to_device
from openseed_core.training.schedule import Schedule, parameter_groups


@dataclass(frozen=True)
class Machine:
    """How the run uses the hardware.

    Attributes:
        precision: ``no``, ``bf16`` or ``fp16`` (pixel decoder and decoder stay in fp32, spec 7.6).
        accumulate: batches whose gradients are added up for one step.
        sharding: ``ddp`` copies the model to every process, ``fsdp`` shards it over GPUs (without moving average).
        cpu: stay on the CPU even where there is a GPU.
    """

    precision: Literal["no", "bf16", "fp16"] = "no"
    accumulate: int = 1
    sharding: Literal["ddp", "fsdp"] = "ddp"
    cpu: bool = False


@dataclass(frozen=True)
class Progress:
    """One report: step, losses averaged since the last report, pictures per second, validation score if measured."""

    step: int
    losses: dict[str, float]
    pictures_per_second: float
    validation: float | None = None
    learning_rate: float = 0.0
    gradient_norm: float = 0.0
    skipped: int = 0


class TrainingDiverged(RuntimeError):
    """The loss stayed NaN or infinite; lower ``lr`` or resume from an earlier checkpoint."""


def accelerator_for(machine: Machine) -> Accelerator:
    """The run's accelerator; joins the other processes where torchrun started several."""
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # a step without detection leaves some
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2) if machine.sharding == "fsdp" else None
    return Accelerator(
        cpu=machine.cpu or not torch.cuda.is_available(),
        mixed_precision=machine.precision,
        kwargs_handlers=[unused],
        fsdp_plugin=plugin,
    )


def train(
    objective: JointObjective,
    batches: Callable[[int], Iterator[StepBatch]],
    *,
    accelerator: Accelerator,
    machine: Machine,
    schedule: Schedule,
    folder: Path,
    on_progress: Callable[[Progress], None],
    validate: Callable[[OpenSeeD], float] | None = None,
) -> None:
    """Train ``objective.model`` to the end of the schedule, resuming from the newest checkpoint in ``folder``.

    The model ends with the averaged weights. Reports and validation happen in the first process.

    Args:
        batches: called with the number of the first micro-batch (step times ``accumulate``).

    Raises:
        TrainingDiverged: more than ``bad_steps`` steps in a row without a finite loss and gradient.
    """
    run = _Run(objective, accelerator, schedule, folder)
    step = run.resume()
    accumulate = max(machine.accumulate, 1)
    stream = batches(step * accumulate)
    sums: dict[str, float] = {}
    pictures, since, bad, skipped, norm = 0, time.monotonic(), 0, 0, 0.0
    objective.train()
    try:
        while step < schedule.steps:
            run.set_rate(step)
            run.optimiser.zero_grad()
            losses: dict[str, float] = {}
            for part in range(accumulate):
                batch = to_device(next(stream), accelerator.device)
                last = part + 1 == accumulate
                with _synchronised(accelerator, run.wrapped, last), accelerator.autocast():
                    found: dict[str, Tensor] = run.wrapped(batch)
                    accelerator.backward(found["total"] / accumulate)
                pictures += len(batch) * accelerator.num_processes
                for name, value in found.items():
                    losses[name] = losses.get(name, 0.0) + value.item() / accumulate
            norm = float(accelerator.clip_grad_norm_(run.wrapped.parameters(), schedule.clip))
            # gradients are shared, so every process sees the same norm and takes the same way
            if math.isfinite(norm):
                run.optimiser.step()
                bad = 0
            else:
                bad, skipped = bad + 1, skipped + 1
                if bad > schedule.bad_steps:
                    raise TrainingDiverged(
                        f"the gradient is not finite in {bad} steps in a row up to step {step} "
                        f"(loss {losses['total']}); lower lr in the TOML, delete settings.toml in the run's folder and "
                        f"run again: it goes on from {folder}"
                    )
            step += 1
            run.blend(step)
            for name, total in losses.items():
                sums[name] = sums.get(name, 0.0) + total
            if step % schedule.report_every == 0:
                now = time.monotonic()
                means = {name: value / schedule.report_every for name, value in sums.items()}
                rate = schedule.lr * schedule.factor(step - 1)
                if accelerator.is_main_process:
                    on_progress(Progress(step, means, pictures / (now - since), None, rate, norm, skipped))
                sums, pictures, since = {}, 0, now
            if step % schedule.save_every == 0:
                run.save(step)
            if validate is not None and schedule.validate_every and step % schedule.validate_every == 0:
                if accelerator.is_main_process:
                    on_progress(Progress(step, {}, 0.0, run.validated(validate)))
                accelerator.wait_for_everyone()
                since = time.monotonic()
    finally:
        run.save(step)
    run.finish()


class _Run:
    """Optimiser, moving average and checkpoints of one run."""

    def __init__(self, objective: JointObjective, accelerator: Accelerator, schedule: Schedule, folder: Path) -> None:
        self.accelerator, self.schedule, self.folder = accelerator, schedule, folder
        self.sharded = getattr(accelerator.state, "fsdp_plugin", None) is not None
        if self.sharded and schedule.average:
            raise ValueError("sharding = 'fsdp' keeps no moving average; set average = 0 in [schedule]")
        self.model = objective.model
        optimiser = torch.optim.AdamW(parameter_groups(self.model, schedule), betas=(0.9, 0.999))
        self.wrapped, self.optimiser = accelerator.prepare(objective, optimiser)
        trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.average = {n: p.detach().clone() for n, p in trained.items()} if schedule.average else {}

    def resume(self) -> int:
        """Load the newest checkpoint; returns the step to go on from."""
        if self.sharded:
            states = sorted(self.folder.glob("sharded-*"))
            if not states:
                return 0
            self.accelerator.load_state(str(states[-1]))
            return int(states[-1].name.rpartition("-")[2])
        state = checkpoints.newest(self.folder, device=self.accelerator.device)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self.optimiser.optimizer.load_state_dict(state["optimiser"])
        if self.accelerator.scaler is not None and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        for name, value in state["average"].items():
            if name in self.average:
                self.average[name].copy_(value)
        return int(state["step"])

    def set_rate(self, step: int) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.schedule.factor(step)

    @torch.no_grad()
    def blend(self, step: int) -> None:
        """Move the average towards the weights; faster at first, so that it forgets the start."""
        if not self.average:
            return
        decay = min(self.schedule.average, (1 + step) / (10 + step))
        named = dict(self.model.named_parameters())
        names = list(self.average)
        torch._foreach_lerp_([self.average[n] for n in names], [named[n].detach() for n in names], 1 - decay)

    def save(self, step: int) -> None:
        if self.sharded:
            self.accelerator.save_state(str(self.folder / f"sharded-{step:07d}"))
            return
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state: dict[str, Any] = {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.optimizer.state_dict(),
                "average": self.average,
                "scaler": scaler.state_dict() if scaler is not None else {},
            }
            checkpoints.save(self.folder, step, state, keep=self.schedule.keep)

    def validated(self, validate: Callable[[OpenSeeD], float]) -> float:
        """Score of the averaged weights; the training weights come back afterwards."""
        kept = {name: p.detach().clone() for name, p in self.model.named_parameters() if name in self.average}
        self.model.load_state_dict(self.average, strict=False)
        self.model.eval()
        try:
            return validate(self.model)
        finally:
            self.model.load_state_dict(kept, strict=False)
            self.model.train()

    def finish(self) -> None:
        self.model.load_state_dict(self.average, strict=False)
        self.model.eval()


def _synchronised(accelerator: Accelerator, module: nn.Module, last: bool) -> Any:
    """Gradients are shared among processes with the last batch of a step only."""
    return nullcontext() if last else accelerator.no_sync(module)


def averaged(model: nn.Module, checkpoint: Path) -> nn.Module:
    """Load the moving average of a checkpoint into ``model``."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    model.load_state_dict(state["average"], strict=False)
    return model.eval()
