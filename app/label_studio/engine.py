"""The labeler and the photos behind the backend: loaded in the background, opened once, shared by all requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.label_studio.answers import Answer
from app.label_studio.config import LabelConfig
from app.label_studio.fetch import Fetcher, shown
from app.label_studio.memory import Remembered
from app.label_studio.photos import PhotoFiles, address_in
from app.label_studio.settings import BackendSettings
from app.label_studio.tokens import Introduction
from app.serving.cache import SharedCache
from app.serving.loading import LoadingLabeler
from app.serving.opened import bytes_of
from labelers.paths import MissingPhoto
from labelers.protocol import Labeler, Opened


@dataclass(frozen=True)
class Question:
    """A task, and what is needed to make sense of it.

    Attributes:
        task: as Label Studio sends it.
        config: the labeling config of its project.
        project: the project's id as text; tells which introduction counts. None where nobody has said.
    """

    task: Mapping[str, Any]
    config: LabelConfig
    project: str | None = None

    @property
    def task_id(self) -> object:
        return self.task.get("id", "")

    @property
    def data(self) -> Mapping[str, Any]:
        found = self.task.get("data")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class OpenedPhoto:
    """A photo that the labeler has looked at; height and width in pixels of the upright photo."""

    opened: Opened
    height: int
    width: int


class Engine:
    """Safe to use from several threads.

    Args:
        labeler_factory: builds the labeler; called once, in a thread of its own.
        identity: what the labeler will be, known before it is built.
        settings: of the backend.
    """

    def __init__(self, labeler_factory: Callable[[], Labeler], *, identity: str, settings: BackendSettings) -> None:
        self.identity = identity
        self.settings = settings
        self.model = LoadingLabeler(labeler_factory, name=settings.model_name, wait=settings.model_wait)
        self.files = PhotoFiles(Fetcher(settings.access))
        self._opened: SharedCache[str, OpenedPhoto] = SharedCache(settings.opened_photos, settings.opened_bytes)
        self.introductions: Remembered[Introduction] = Remembered(keys=10_000)
        self.texts: Remembered[str] = Remembered(keys=10_000, seconds=3600.0)
        self.answers: SharedCache[str, Answer] = SharedCache(
            10_000, settings.answer_bytes, at_once=64, size_of=lambda answer: answer.bytes
        )

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        self.model.start()

    def close(self) -> None:
        self._opened.clear()
        self.files.close()

    def open(self, question: Question, *, image: str, item: int = 0) -> OpenedPhoto:
        """The photo of a task on the image tag ``image``, fetched and opened if it is not here.

        Args:
            item: which picture, where the task holds a list.

        Raises NotReady, ModelFailed, PhotoError, and whatever opening raises.
        """
        known = self.introductions.recall(question.project)
        value = address_in(question.data, question.config.sources[image], item)
        key, url = self.files.key(value, task_id=question.task_id, known=known)
        labeler = self.model.get()

        def look() -> OpenedPhoto:
            header = self.files.get(key, url, source=shown(value), known=known)
            return OpenedPhoto(labeler.open(header.photo(key)), header.height, header.width)

        header = self.files.get(key, url, source=shown(value), known=known)
        size = bytes_of(height=header.height, width=header.width)
        try:
            return self._opened.get(key, look, size=size)
        except MissingPhoto:  # the file was let go between the two steps: fetch it again
            return self._opened.get(key, look, size=size)
