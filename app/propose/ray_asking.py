"""``propose --engine ray``: the photos go to workers, their answers into the journal, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from app.convert.ray_engine import Workers, wanted_gpus
from app.propose.asking import Read, answered, proposals_of, with_pixels
from app.propose.result import PhotoProposals
from app.propose.settings import Settings
from app.propose.sources import Asked, Item, Known, Source, known, look
from labelers.journal import Journal
from labelers.protocol import Labeler, LabelerSpec
from labelers.records import Photo
from labelers.remote import RemoteFolder
from labelers.vocabulary import Vocabulary

Task = tuple[Item, Known]
Payload = dict[str, Any]


@dataclass(frozen=True)
class Proposer:
    """A worker; see ``app.convert.ray_pool.Body``."""

    labeler: Labeler
    root: Path | RemoteFolder
    vocabulary: Vocabulary
    settings: Settings

    @property
    def spec(self) -> LabelerSpec:
        return self.labeler.spec

    def prepare(self, task: Task) -> Callable[[], Read]:
        """The photo with its pixels in memory, or the error, as a function that gives or raises it."""
        try:
            read = self._read(task)
        except Exception as error:
            return partial(_raise, error)
        return lambda: read

    def answer(self, prepared: Callable[[], Read]) -> Payload:
        def work(asked: Asked, photo: Photo) -> Payload:
            return proposals_of(self.labeler, asked, photo, self.vocabulary, self.settings).payload()

        return answered(work, prepared)

    def _read(self, task: Task) -> Read:
        item, what = task
        if item.problem is not None:
            raise ValueError(item.problem)
        return with_pixels(look(self.root, item, what, exif=self.settings.exif), item)


class RayAnswerer:
    """See ``app.propose.asking.Answerer``. ``build`` makes the labeler, in each worker."""

    def __init__(
        self, source: Source, vocabulary: Vocabulary, settings: Settings, build: Callable[[], Labeler]
    ) -> None:
        self._source = source
        self._workers: Workers[Task, Payload] = Workers(
            partial(_proposer, build, source.root, vocabulary, settings),
            address=settings.ray_address,
            workers=settings.workers,
            gpus_per_worker=wanted_gpus(settings.gpus_per_worker, labeler=settings.labeler, device=settings.device),
        )

    @property
    def spec(self) -> LabelerSpec:
        return self._workers.pool.spec()

    def answer(self, items: Sequence[Item], journal: Journal, *, on_photo: Callable[[], object]) -> None:
        tasks = ((item, known(self._source, item)) for item in items)
        for (item, _), payload in self._workers.pool.map(tasks, lost=_lost):
            journal.append(item.key, payload)
            on_photo()

    def close(self) -> None:
        self._workers.close()


def _lost(task: Task, reason: str) -> Payload:
    return PhotoProposals(error=reason).payload()


def _proposer(
    build: Callable[[], Labeler], root: Path | RemoteFolder, vocabulary: Vocabulary, settings: Settings
) -> Proposer:
    return Proposer(build(), root, vocabulary, settings)


def _raise(error: Exception) -> Read:
    raise error
