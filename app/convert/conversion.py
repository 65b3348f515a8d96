"""The whole way of one conversion, and its dry run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.convert.digest import digest_of
from app.convert.engines import Engine, LocalEngine, Work
from app.convert.ledger import ORPHAN, Ledger
from app.convert.parts import INPUT, finished_part, merge, results_path
from app.convert.plan import Plan, State, folder_text, make_plan, scratch_folder
from app.convert.progress import bar
from app.convert.run import ask, label, unfinished
from app.convert.settings import Settings
from app.convert.summary import Summary, summarise
from app.convert.write import write_all
from app.errors import UsageError
from exporters.long_columns import long_copy, long_zeros
from labelers.journal import Journal, journal_path
from labelers.photos import PhotoError
from labelers.protocol import Labeler
from labelers.records import Status

if TYPE_CHECKING:
    from app.propose.settings import Settings as ProposeSettings

# Journal keys of photos are numbers; this one and INPUT are not.
_WRITTEN = "written"

_PROBLEM_STATES = {Status.DEGENERATE: State.DEGENERATE, Status.OUTSIDE: State.OUTSIDE}


def convert(
    settings: Settings,
    *,
    labeler: Labeler | None = None,
    build: Callable[[], Labeler] | None = None,
    quiet: bool = True,
) -> Summary:
    """Convert, or go on with a conversion that was interrupted.

    ``labeler`` replaces the one that the settings name, and this process works; ``build`` makes another one wherever
    the settings' engine works. Raises UsageError, CocoError, JournalError and OSError; what an earlier or this run has
    finished is kept whatever is raised.
    """
    if settings.part is None:  # a part leaves the output alone
        _refuse_to_lose(settings)
    if settings.merge is not None:
        return merge(settings, quiet=quiet)
    plan = make_plan(settings, quiet=quiet)  # before the journal, so that a wrong option leaves nothing behind
    with plan.document, closing(_engine(plan, labeler, build or partial(labeler_of, settings))) as engine:
        spec = engine.spec
        fingerprint = {
            "labeler": spec.name,
            "version": spec.version,
            **settings.fingerprint(),
            # relative, so that a folder may be moved with its journal
            "images": folder_text(plan.images, settings.output.parent),
        }
        with Journal.open(results_path(settings), fingerprint=fingerprint, overwrite=settings.overwrite) as journal:
            return _convert(plan, engine, journal, quiet=quiet)


def _engine(plan: Plan, labeler: Labeler | None, build: Callable[[], Labeler]) -> Engine:
    """What works through the photos. Raises UsageError and what building the labeler raises."""
    settings, work = plan.settings, Work.of(plan)
    if labeler is not None or settings.engine == "local":
        return LocalEngine(labeler or build(), work)
    from app.convert.ray_engine import RayEngine, wanted_gpus

    return RayEngine(
        work,
        build,
        address=settings.ray_address,
        workers=settings.workers,
        gpus_per_worker=wanted_gpus(settings.gpus_per_worker, labeler=settings.labeler, device=settings.device),
    )


def _convert(plan: Plan, engine: Engine, journal: Journal, *, quiet: bool) -> Summary:
    """Label what the journal lacks, then write."""
    settings, spec = plan.settings, engine.spec
    earlier = _finished_in_place(settings, journal)
    if earlier is not None:
        journal.remove()
        return earlier
    waiting = unfinished(plan, journal)
    resumed = len(plan.todo) - len(waiting)
    with bar(total=len(plan.todo), done=resumed, unit="photos", what="converting", quiet=quiet) as progress:
        label(plan, waiting, engine, journal, on_photo=progress.update)
    engine.close()  # others may have the devices while the output is written
    if settings.part is not None:
        return finished_part(plan, journal, spec, resumed=resumed)

    def note(digest: str, found: Summary) -> None:
        journal.append(_WRITTEN, {"sha256": digest, "summary": found.as_dict()})

    summary = write_all(plan, journal, spec, resumed=resumed, quiet=quiet, on_written=note)
    journal.remove()
    return summary


def check(settings: Settings, *, quiet: bool = True) -> Summary:
    """The dry run: what would be converted, and what is known to fail, from the boxes and the photos' headers."""
    plan = make_plan(settings, quiet=quiet)
    folder = scratch_folder(settings)
    state = long_copy(plan.state, folder)
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    mismatched: set[int] = set()
    with bar(total=len(plan.todo), unit="photos", what="checking", quiet=quiet) as progress:
        for image_row in plan.todo.tolist():
            progress.update()
            try:
                asked = ask(plan, image_row)
            except PhotoError as error:
                annotations, chosen = plan.rows(image_row)
                state[annotations.rows[chosen]] = State.NO_PHOTO
                reasons.update(dict.fromkeys(annotations.rows[chosen].tolist(), str(error)))
                continue
            if asked.frame.note:
                notes[image_row] = asked.frame.note
            if asked.mismatch:
                mismatched.add(image_row)
            problems = asked.boxes.problems(height=asked.header.height, width=asked.header.width)
            for row, problem in zip(asked.rows.tolist(), problems, strict=True):
                if problem is not None:
                    state[row], reasons[row] = _PROBLEM_STATES[problem[0]], problem[1]
    ledger = Ledger(state, long_zeros(len(state), np.float32, folder), reasons, notes, frozenset(mismatched))
    reasons.update(dict.fromkeys(ledger.rows(State.NO_IMAGE), ORPHAN))
    return summarise(plan, ledger, spec=None, written=False)


def _refuse_to_lose(settings: Settings) -> None:
    """Never replace a file that somebody may have worked on since.

    An unfinished run leaves its journal beside the output: then the output, if there is one, is that run's own.
    """
    output = settings.output
    if settings.in_place or settings.overwrite or not output.exists() or journal_path(output).exists():
        return
    raise UsageError(
        f"{output} exists already. To convert only what has no mask in it yet: convert-boxes {output} --in-place. "
        "To start over: --overwrite. To keep both: another -o/--output"
    )


def _finished_in_place(settings: Settings, journal: Journal) -> Summary | None:
    """What an earlier run did, if it was stopped after replacing the input and before removing its journal.

    Raises:
        UsageError: the input is another one than the journal's.
    """
    digest = digest_of(settings)
    if not journal.done(INPUT):
        journal.append(INPUT, {"sha256": digest})
        return None
    if journal.read(INPUT)["sha256"] == digest:
        return None
    if settings.in_place and journal.done(_WRITTEN) and journal.read(_WRITTEN)["sha256"] == digest:
        return Summary.from_dict(journal.read(_WRITTEN)["summary"])
    raise UsageError(
        f"{settings.source} has changed since {journal.path} was begun, so its results may belong to other boxes; "
        "start over with --overwrite, or put the old file back"
    )


def labeler_of(settings: Settings | ProposeSettings) -> Labeler:
    """The labeler that the settings name. Raises as ``build``."""
    return build(
        settings.labeler,
        model=settings.model,
        weights=settings.weights,
        device=settings.device,
        batch_size=settings.batch_size,
        mirror=settings.mirror,
        runtime=settings.runtime,
    )


def build(
    name: str,
    *,
    model: str,
    weights: Path | None,
    device: str,
    batch_size: int | None,
    mirror: bool,
    runtime: str = "torch",
) -> Labeler:
    """The labeler that the options name. Raises UsageError and what loading a model raises."""
    from app.examples import PHOTOS
    from labelers.build import build_labeler

    return build_labeler(
        name,
        model=model,
        weights=weights,
        device=device,
        batch_size=batch_size,
        mirror=mirror or None,
        runtime=runtime,
        calibration=PHOTOS,
    )
