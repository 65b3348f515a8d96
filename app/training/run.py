"""Runs a training described by ``Settings``: builds the model, feeds it, logs, draws the curve, saves."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from app.errors import UsageError
from app.training.build import ANY_NAME, build, teacher, text_features
from app.training.curve import draw_curve
from app.training.data import PhotoSet, read_set
from app.training.dataset import Batches, TrainingSet, load
from app.training.joined import joined
from app.training.photo_batches import PhotoBatches, Source
from app.training.settings import DataSettings, Settings, SettingsError, SourceSettings
from app.training.stream import Stream
from app.training.validation import check, mean_iou
from app.training.words import name_source
from openseed_core.model import OpenSeeD
from openseed_core.training.engine import Progress, accelerator_for, train
from openseed_core.training.objective import JointObjective
from openseed_core.training.photos import Jitter
from openseed_core.training.schedule import FROZEN_TEXT
from openseed_core.weights.store import save_model


def run(settings: Settings, *, added: Sequence[PhotoSet] = (), crops_of: TrainingSet | None = None) -> Path:
    """Train to the end of the schedule (resuming if the output folder holds a checkpoint); returns the model folder.

    Args:
        added: further segmentation sets that no file describes (a project's accepted annotations).
        crops_of: what crops are drawn from, in place of [data] train.
    """
    if settings.data.val is not None:
        check(settings.data.val)
    if settings.machine.precision == "fp16" and (settings.machine.cpu or not torch.cuda.is_available()):
        raise SettingsError(
            '[machine] precision = "fp16" needs a GPU, which is not there or not wanted; write "bf16" or "no"'
        )
    torch.set_num_threads(settings.run.threads or torch.get_num_threads())
    torch.manual_seed(settings.run.seed)
    accelerator = accelerator_for(settings.machine)
    main, world = accelerator.is_main_process, accelerator.num_processes
    model = build(settings.run)
    model.to(accelerator.device)
    model.to(memory_format=torch.channels_last)
    seed = settings.run.seed * world + accelerator.process_index
    stream = make_stream(settings, model, seed=seed, world=world, added=added, crops_of=crops_of)
    taught = teacher(settings.run, model)
    if taught is not None:
        taught.to(accelerator.device)
    output = settings.run.output
    output.mkdir(parents=True, exist_ok=True)
    log = output / "log.jsonl"
    board = _board(output) if main and settings.run.tensorboard else None
    with tqdm(total=settings.schedule.steps, unit="step", file=sys.stderr, mininterval=5, disable=not main) as bar:

        def report(progress: Progress) -> None:
            with log.open("a") as file:
                file.write(json.dumps(asdict(progress)) + "\n")
            if board is not None:
                _to_board(board, progress)
            bar.update(progress.step - bar.n)
            if progress.validation is not None:
                bar.write(f"step {progress.step}: validation IoU {progress.validation:.4f}", file=sys.stderr)
                draw_curve(log, output / "curve.png")
            else:
                shown = {"loss": f"{progress.losses['total']:.3f}", "pictures_s": f"{progress.pictures_per_second:.1f}"}
                bar.set_postfix(shown | ({"skipped": str(progress.skipped)} if progress.skipped else {}))

        train(
            JointObjective(model, settings.joint, settings.objective, taught),
            stream,
            accelerator=accelerator,
            machine=settings.machine,
            schedule=settings.schedule,
            folder=output / "checkpoints",
            on_progress=report,
            validate=_validator(settings.data) if main else None,
        )
    if board is not None:
        board.close()
    if main:
        if log.exists():
            draw_curve(log, output / "curve.png")
        save_model(model, output / "model", half=True)
    accelerator.wait_for_everyone()
    return output / "model"


def make_stream(
    settings: Settings,
    model: OpenSeeD,
    *,
    seed: int,
    world: int = 1,
    added: Sequence[PhotoSet] = (),
    crops_of: TrainingSet | None = None,
) -> Stream:
    """All data that the settings name, as batches of one process; ``added`` and ``crops_of`` as in ``run``."""
    frozen = all(any(name.startswith(prefix) for prefix in settings.schedule.freeze) for name in FROZEN_TEXT)
    pixels = {"mean": model.config.mean, "std": model.config.std}
    crops = crop_text = None
    data = crops_of
    if data is None and settings.data.train is not None:
        files = ["annotations.json", *(["annotations_stuff.json"] if settings.data.stuff else [])]
        data = joined(
            [
                load(
                    settings.data.train / file,
                    settings.data.train / "images",
                    leave_out=settings.data.leave_out,
                    source_weights=dict(settings.data.source_weights),
                    balance=settings.data.balance,
                )
                for file in files
            ]
        )
    if data is not None:
        crops = Batches(data, settings.crops, batch=max(settings.run.batch // world, 1), seed=seed, **pixels)
        crop_text = _crop_text(model, data, settings.run.features)

    def photos(sources: Sequence[SourceSettings], more: Sequence[PhotoSet], batch: int, offline: int | None) -> Any:
        sets = [(_read(source), source.weight) for source in sources] + [(photo_set, 1.0) for photo_set in more]
        if not sets or batch < 1:
            return None
        jitter = Jitter(
            size=settings.photos.size, scale=settings.photos.scale, flip=settings.photos.flip, empty=offline is None
        )
        made = tuple(Source(found, name_source(found, model, frozen=frozen), weight) for found, weight in sets)
        return PhotoBatches(made, batch, jitter, offline_from=offline, **pixels)

    return Stream(
        seed=seed,
        accumulate=settings.machine.accumulate,
        crops=crops,
        crop_text=crop_text,
        segmentation=photos(settings.segmentation, added, settings.photos.segmentation, None),
        detection=photos(settings.detection, (), settings.photos.detection, settings.photos.offline_from),
        workers=settings.run.workers,
    )


@torch.no_grad()
def _crop_text(model: OpenSeeD, data: TrainingSet, stored: Path | None) -> Tensor:
    """[K + 1, e] features of the names, the mean of its synonyms for each as in labeling, and of ``ANY_NAME``."""
    if not data.synonyms or stored is not None:
        return text_features(model, data.names, stored).cpu()
    return model.encode_text([*map(list, data.synonyms), [ANY_NAME]]).cpu()


def _read(source: SourceSettings) -> PhotoSet:
    try:
        found = read_set(
            source.path,
            kind=source.kind,
            images=source.images,
            masks=source.masks,
            leave_out=source.leave_out,
            limit=source.limit,
            quiet=os.environ.get("RANK", "0") != "0",
        )
    except UsageError as error:  # there is no such option here
        raise UsageError(str(error).replace("with --images", 'with images = "..." in the TOML file')) from error
    for problem in found.problems:
        print(f"warning: {problem}", file=sys.stderr)
    return found


def _board(output: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(output / "tensorboard"))


def _to_board(board: Any, progress: Progress) -> None:
    for name, value in progress.losses.items():
        board.add_scalar(f"loss/{name}", value, progress.step)
    if progress.validation is not None:
        board.add_scalar("validation/iou", progress.validation, progress.step)
        return
    board.add_scalar("speed/pictures_per_second", progress.pictures_per_second, progress.step)
    board.add_scalar("optimiser/learning_rate", progress.learning_rate, progress.step)
    board.add_scalar("optimiser/gradient_norm", progress.gradient_norm, progress.step)
    board.add_scalar("optimiser/skipped", progress.skipped, progress.step)


def _validator(data: DataSettings) -> Callable[[OpenSeeD], float] | None:
    """A function model -> mean IoU on the first photos of val, or None."""
    val = data.val
    if val is None:
        return None
    return lambda model: mean_iou(model, val, limit=data.validation_photos)
