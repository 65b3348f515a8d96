"""Events of Label Studio: answered at once, worked on later, one after the other.

Label Studio waits one second and never sends an event twice, so nothing that matters may depend on one: what an event
could bring is a head start (new tasks get their masks now instead of with the next push) and a hint what to forget.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger(__name__)

_WAITING = 1000
"""Events that wait at most; one more is refused, and the next push does its work."""

KNOWN = (
    "ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED",
    "TASKS_CREATED", "TASKS_DELETED", "PROJECT_CREATED", "PROJECT_UPDATED", "PROJECT_DELETED", "START_TRAINING",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What is taken from an event: its kind and ids, nothing else, as anybody may have sent it.

    Attributes:
        action: one of ``KNOWN``.
        project: the project's id.
        tasks: ids of the tasks concerned.
    """

    action: str
    project: int
    tasks: tuple[int, ...] = ()


def event_of(body: Any) -> Event | None:
    """Read the body of a webhook request; None where it is no event that is known."""
    if not isinstance(body, Mapping) or body.get("action") not in KNOWN:
        return None
    project = body.get("project")
    number = _id(project.get("id") if isinstance(project, Mapping) else project)
    if number is None:
        return None
    tasks = body.get("tasks") if isinstance(body.get("tasks"), list) else [body.get("task")]
    found = [_id(task.get("id") if isinstance(task, Mapping) else task) for task in tasks or []]
    return Event(str(body["action"]), number, tuple(task for task in found if task is not None))


class Events:
    """The queue and the thread that works it off.

    Args:
        work: called with one event after the other, in a thread of its own; may raise.
    """

    def __init__(self, work: Callable[[Event], object]) -> None:
        self._work = work
        self._queue: queue.Queue[Event | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, event: Event) -> bool:
        """Queue the event; False where too many wait."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            return False
        return True

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def close(self, *, seconds: float = 5.0) -> int:
        """End after the event in work; how many were left undone."""
        left = self._emptied()
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)
        return len(left)

    def _emptied(self) -> Sequence[Event]:
        left: list[Event] = []
        while True:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                return left
            if event is not None:
                left.append(event)

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._work(event)
            except Exception:
                _log.exception("event %s of project %d failed", event.action, event.project)


def _id(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
