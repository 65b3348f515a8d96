"""A labeler that loads in the background, so that a server answers before its model is there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from labelers.protocol import Labeler
from labelers.rows import describe

_log = logging.getLogger(__name__)


class NotReady(RuntimeError):
    """The model is still being loaded."""


class ModelFailed(RuntimeError):
    """The model could not be loaded; the message says why. Trying again does not help."""


@dataclass(frozen=True)
class ModelState:
    """What people are told of the model. ``message`` is empty unless it failed."""

    name: str
    state: Literal["loading", "ready", "failed"]
    message: str = ""


class LoadingLabeler:
    """Safe to use from several threads.

    Args:
        factory: builds the labeler; called once, in a thread of its own.
        name: shown while the model loads.
        wait: seconds that ``get`` waits for the model.
    """

    def __init__(self, factory: Callable[[], Labeler], *, name: str, wait: float) -> None:
        self._factory, self._name, self._wait = factory, name, wait
        self._labeler: Labeler | None = None
        self._failure: str | None = None
        self._loaded = threading.Event()

    def start(self) -> None:
        """Begin to load the model; returns at once."""
        threading.Thread(target=self._load, name="model", daemon=True).start()

    def get(self) -> Labeler:
        """The labeler, as soon as it is there. Raises NotReady, ModelFailed."""
        if not self._loaded.wait(self._wait):
            raise NotReady(f"the model {self._name} is still being loaded; try again in a moment")
        if self._labeler is None:
            raise ModelFailed(f"the model {self._name} can't be used: {self._failure}")
        return self._labeler

    def wait(self) -> Labeler | None:
        """Wait however long it takes; None: it can't be used."""
        self._loaded.wait()
        return self._labeler

    @property
    def state(self) -> ModelState:
        labeler = self._labeler
        if self._failure is not None:
            return ModelState(self._name, "failed", self._failure)
        if labeler is None:
            return ModelState(self._name, "loading")
        return ModelState(labeler.spec.name, "ready")

    def _load(self) -> None:
        try:
            self._labeler = self._factory()
        except Exception as error:
            self._failure = str(error) if isinstance(error, ValueError) and str(error) else describe(error)
            _log.error("the model %s can't be used: %s", self._name, self._failure, exc_info=error)
        finally:
            self._loaded.set()
