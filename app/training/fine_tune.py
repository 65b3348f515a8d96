"""From the annotations that a team has accepted to a better model, and to the numbers that say whether it is one."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.errors import UsageError
from app.store.database import open_database
from app.store.projects import open_project
from app.training.before_after import Comparison, Measured, as_json, as_text, compare, measure
from app.training.data.lazy import RleMasks
from app.training.data.photo_set import DataError, PhotoSet
from app.training.fine_tune_settings import Plan, shown
from app.training.from_project import read_project, split
from app.training.photo_crops import readable, records_of
from app.training.run_folder import begin_fine_tuning
from exporters.files import replacing
from labelers.build import build_labeler

FEWEST_PHOTOS = 2
"""In either part of the split."""


@dataclass(frozen=True)
class Parts:
    """The photos to train on and those to measure on."""

    train: PhotoSet
    held: PhotoSet


@dataclass(frozen=True)
class Tuned:
    """What came of it: the folder of the new model, the numbers, and the report as text."""

    model: Path
    comparison: Comparison
    text: str


def fine_tune(
    project: Path | str,
    made: Plan,
    *,
    name: str | None = None,
    images: Path | None = None,
    share: float = 0.2,
    quiet: bool = False,
) -> Tuned | None:
    """Measure, train, measure again. What an interrupted call has trained is gone on with.

    Writes into the output folder: ``model/``, ``report.json``, ``report.txt``, ``settings.toml``, ``data.json`` (which
    photos were in which part), and what every training leaves there.

    Args:
        project: the database file, or the URL of a database.
        made: the settings (``app.training.fine_tune_settings.plan``).
        name: which project of it (default: the only one).
        images: folder of the photos (default: the project's own).
        share: of the photos that are measured on.
        quiet: no progress bars and warnings.

    Returns:
        None in all but the first of several processes.

    Raises:
        UsageError: too few accepted annotations; or another run, or one on other annotations, is in the folder.
        StoreError: the database can't be read.
        WeightsError: the model to start from can't be loaded.
    """
    settings = made.settings
    first = os.environ.get("RANK", "0") == "0"
    quiet = quiet or not first
    parts = _parts(project, name=name, images=images, share=share, seed=settings.run.seed, quiet=quiet)
    output = settings.run.output
    # The first of several processes writes these files before the others leave the first step of the training.
    before = None
    if first:
        begin_fine_tuning(output, made.whole, made.document)
        _remember_data(output, parts)
        before = _measured(settings.run.init, settings.machine.cpu, parts.held, "measuring before", quiet)
    from app.training.run import run

    crops = records_of(parts.train, balance=settings.data.balance)
    added = [parts.train] if settings.photos.segmentation else []
    model = run(settings, added=added, crops_of=crops)
    if before is None:
        return None
    after = _measured(model, settings.machine.cpu, parts.held, "measuring after", quiet)
    comparison = compare(before, after)
    text = f"{_heading(parts, settings.schedule.steps)}\n\n{as_text(comparison)}\n"
    report: dict[str, Any] = {
        **as_json(comparison),
        "project": shown(project),
        "started_from": str(settings.run.init),
        "model": str(model),
        "steps": settings.schedule.steps,
        "photos": {"train": len(parts.train.records), "measured": len(parts.held.records)},
        "objects": {"train": _objects(parts.train), "measured": _objects(parts.held)},
        "left_out": list(parts.train.problems),
    }
    _write(output / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    _write(output / "report.txt", text)
    return Tuned(model, comparison, text)


def _parts(
    project: Path | str, *, name: str | None, images: Path | None, share: float, seed: int, quiet: bool
) -> Parts:
    """Raises UsageError: too few photos."""
    called = shown(project) if isinstance(project, str) else project
    database = open_database(project, create=False)
    try:
        data = readable(read_project(open_project(database, name), images=images, source=called), quiet=quiet)
    finally:
        database.close()
    for problem in () if quiet else data.problems:
        print(f"warning: {problem}", file=sys.stderr)
    count = len(data.records)
    if count < 2 * FEWEST_PHOTOS:
        raise DataError(
            f"{called}: {_photos(count)} with accepted masks; at least {2 * FEWEST_PHOTOS} are needed to train and to "
            "measure, and some dozen to see a difference; accept more annotations"
        )
    train, held = split(data, share, seed)
    for part, what, other in ((held, "measure", "a larger"), (train, "train", "a smaller")):
        if len(part.records) < FEWEST_PHOTOS:
            raise UsageError(
                f"{called}: of {count} photos with accepted masks {_photos(len(part.records))} would be left to "
                f"{what} on, and at least {FEWEST_PHOTOS} are needed; accept more annotations, or give {other} --share"
            )
    return Parts(train, held)


def _remember_data(output: Path, parts: Parts) -> None:
    """Leave a list of the photos, or check that they are those the run began with.

    Raises:
        UsageError: what is trained on has changed; going on would mix two trainings.
    """
    file = output / "data.json"
    digest = _digest(parts.train)
    if file.is_file():
        try:
            old = json.loads(file.read_text(encoding="utf-8")).get("digest")
        except (ValueError, AttributeError):
            old = None
        if old != digest:
            raise UsageError(
                f"{output}: the run there was started on other annotations than the project has accepted now; give "
                "another folder with --output to train on these (or remove the old one)"
            )
        return
    keys = {name: [record.key for record in part.records] for name, part in vars(parts).items()}
    _write(file, json.dumps({"digest": digest, **keys}, indent=1, ensure_ascii=False) + "\n")


def _digest(photos: PhotoSet) -> str:
    """Of everything that is learnt from, but the pixels."""
    found = hashlib.sha256(repr((photos.names, photos.synonyms, sorted(photos.things))).encode())
    for record in photos.records:
        found.update(record.key.encode())
        found.update(record.boxes.tobytes())
        found.update(record.labels.tobytes())
        found.update(b"all" if record.annotated is None else record.annotated.tobytes())
        if isinstance(record.mask, RleMasks):
            for rle in record.mask.rles:
                found.update(rle["counts"])
    return found.hexdigest()


def _measured(weights: Path | None, cpu: bool, photos: PhotoSet, what: str, quiet: bool) -> Measured:
    """As every other command would use the model: loaded from its file, at the labeler's own settings."""
    device = "cpu" if cpu else "auto"
    named = weights is None or not weights.exists()
    labeler = build_labeler(
        "conditioned", model=str(weights or "nano"), weights=None if named else weights, device=device
    )
    return measure(labeler, photos, what=what, quiet=quiet)


def _heading(parts: Parts, steps: int) -> str:
    return (
        f"Trained {steps} steps on {_photos(len(parts.train.records))} with {_objects(parts.train):,} accepted masks. "
        f"Measured on {_photos(len(parts.held.records))} with {_objects(parts.held):,} that it was not trained on."
    )


def _photos(count: int) -> str:
    return f"{count:,} photo{'' if count == 1 else 's'}"


def _objects(photos: PhotoSet) -> int:
    return sum(len(record.labels) for record in photos.records)


def _write(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text.encode())
