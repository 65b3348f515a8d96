"""Who works through the photos: this process, or workers of a Ray cluster. The results are the same.

An engine gets tasks, which are small and know no pixels, and gives results in the order of the tasks. All that a
result depends on is in the task, in the ``Work`` and in the labeler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np

from app.convert.plan import Plan, State
from app.convert.result import PhotoResult
from app.convert.run import Asked, PhotoTask, look, opening, raising, refined
from app.convert.settings import Settings
from labelers.driver import Job, Outcome, run
from labelers.photos import PhotoError
from labelers.protocol import Labeler, LabelerSpec
from labelers.records import Boxes, Photo
from labelers.remote import RemoteFolder
from labelers.vocabulary import Vocabulary

OnResult = Callable[[str, PhotoResult], None]


@dataclass(frozen=True)
class Work:
    """What is the same for all photos of a run.

    Attributes:
        images: the folder of photos; the same path or URL on every machine that works.
        vocabulary: the classes and their prompts.
        settings: the options; those that decide a mask are used.
    """

    images: Path | RemoteFolder
    vocabulary: Vocabulary
    settings: Settings

    @staticmethod
    def of(plan: Plan) -> Work:
        return Work(plan.images, plan.vocabulary, plan.settings)


class Engine(Protocol):
    """Tasks in, results out."""

    @property
    def spec(self) -> LabelerSpec:
        """Of the labeler that works. Starts what has to be started; raises what building the labeler raises."""
        ...

    def label(self, tasks: Iterable[PhotoTask], *, on_result: OnResult) -> None:
        """Label every photo. ``on_result`` is called in the caller's thread, in the order of the tasks.

        ``tasks`` is read as it is needed, never as a whole. What goes wrong with a photo is its result; errors of
        ``tasks`` and ``on_result``, and ``KeyboardInterrupt``, are raised.
        """
        ...

    def close(self) -> None:
        """Let go of devices and workers. Closing twice is fine."""
        ...


@dataclass(frozen=True)
class LocalEngine:
    """This process, with the next photos decoded in threads."""

    labeler: Labeler
    work: Work

    @property
    def spec(self) -> LabelerSpec:
        return self.labeler.spec

    def label(self, tasks: Iterable[PhotoTask], *, on_result: OnResult) -> None:
        asked: dict[str, tuple[PhotoTask, Asked | None]] = {}

        def jobs() -> Iterator[Job]:
            for task in tasks:
                job, found = job_of(task, self.work)
                asked[task.key] = task, found
                yield job

        def keep(outcome: Outcome) -> None:
            on_result(outcome.key, result_of(outcome, *asked.pop(outcome.key), self.work.settings))

        run(self.labeler, jobs(), self.work.vocabulary, on_outcome=keep)

    def close(self) -> None:
        return None


class PhotoWorker:
    """One photo after the other, for an engine whose workers are processes of their own.

    ``prepare`` may run for the next photo while ``answer`` works on one.
    """

    def __init__(self, work: Work, labeler: Labeler) -> None:
        self._work = work
        self._labeler = labeler

    @property
    def spec(self) -> LabelerSpec:
        return self._labeler.spec

    def prepare(self, task: PhotoTask) -> tuple[PhotoTask, Job, Asked | None]:
        """The photo with its pixels in memory, or with the error that reading it raised."""
        job, asked = job_of(task, self._work)
        return task, decoded(job), asked

    def answer(self, prepared: tuple[PhotoTask, Job, Asked | None]) -> PhotoResult:
        task, job, asked = prepared
        outcomes: list[Outcome] = []
        run(self._labeler, [job], self._work.vocabulary, prefetch=0, on_outcome=outcomes.append)
        return result_of(outcomes[0], task, asked, self._work.settings)


def lost(task: PhotoTask, reason: str) -> PhotoResult:
    """The result of a photo that no worker survived. It is not final: the next run tries again."""
    return replace(PhotoResult.unread(task.rows, reason), states=(State.FAILED,) * len(task.rows))


def job_of(task: PhotoTask, work: Work) -> tuple[Job, Asked | None]:
    """The task for the driver; None where the photo's header can't be read, which the job will raise."""
    try:
        found = look(task, work.images, work.settings.exif)
    except PhotoError as error:
        return Job(task.key, raising(error), Boxes(np.zeros((0, 4), np.float32), ())), None
    return Job(task.key, opening(found.header, task.key), found.boxes), found


def result_of(outcome: Outcome, task: PhotoTask, asked: Asked | None, settings: Settings) -> PhotoResult:
    """The driver's outcome in the frame of the input, corrected as the user asked for."""
    if asked is None or outcome.instances is None:
        return PhotoResult.unread(task.rows, outcome.error or "the photo could not be read")
    instances = refined(outcome.instances, settings)
    result = PhotoResult.of(asked.rows, instances, asked.frame, mismatch=asked.mismatch)
    return result.without_poor(settings.min_quality)


def decoded(job: Job) -> Job:
    """The same job with its pixels in memory. What reading raises, the new job raises when it is opened."""
    if not len(job.boxes):
        return job
    try:
        photo = job.open()
        pixels = photo.pixels()
    except Exception as error:
        return replace(job, open=partial(_raise, error))
    ready = replace(photo, load=lambda: pixels)
    return replace(job, open=lambda: ready)


def _raise(error: Exception) -> Photo:
    raise error
