"""Tasks over Ray actors: a bounded number under way, results in order, and deaths that cost little.

A worker that dies takes the tasks it had in hand with it. Each is then tried again by a worker that has nothing else in
hand, so that a second death can have one cause only; a task that this happens to is given up and reported.
Nothing here knows of photos.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import ray

from app.errors import UsageError
from app.version import version
from labelers.protocol import LabelerSpec

T = TypeVar("T")
R = TypeVar("R")

IN_HAND = 2
"""Tasks that a worker has: one it works on, and the next, which it reads meanwhile."""

TRIES = 2
"""So many workers may die of a task."""

AHEAD = 8
"""Tasks begun beyond the first that is not finished, for each worker, and at least ``LEAST_AHEAD``."""

LEAST_AHEAD = 64

START_SECONDS = 600.0
"""How long to wait for a worker while there is none."""

_FAILED_STARTS = 3  # so many workers of one place may die in a row before they are ready


class EngineError(UsageError):
    """The cluster can't do it; the message says what to do."""


class Body(Protocol):
    """What a worker does; made in the worker's process. ``prepare`` and ``answer`` run in two threads."""

    @property
    def spec(self) -> LabelerSpec: ...

    def prepare(self, task: Any) -> Any: ...

    def answer(self, prepared: Any) -> Any: ...


class Worker:
    """The actor. The body is made in ``ready`` and not before, so that its errors keep their type.

    ``threads``: at most so many are used for arithmetic, so that workers of one machine don't stand in each other's
    way; fewer where OMP_NUM_THREADS says so.
    """

    def __init__(self, build: Callable[[], Body], threads: int) -> None:
        given = os.environ.get("OMP_NUM_THREADS", "")
        os.environ["OMP_NUM_THREADS"] = str(min(threads, int(given)) if given.isdecimal() and int(given) else threads)
        self._build = build
        self._body: Body | None = None
        self._turn = threading.Lock()

    def ready(self) -> tuple[LabelerSpec, str]:
        """Load the model. Returns its spec and the version of this package."""
        self._body = self._build()
        return self._body.spec, version()

    def work(self, task: Any) -> Any:
        """Runs in two threads: one prepares a task while the other answers one."""
        assert self._body is not None
        prepared = self._body.prepare(task)
        with self._turn:
            return self._body.answer(prepared)


@dataclass(frozen=True)
class Needs:
    """What one worker claims of its machine."""

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass
class _Given(Generic[T]):
    """A task under way: its number in the order, and how many workers have died with it in hand."""

    number: int
    task: T
    deaths: int = 0


@dataclass(eq=False)
class _Slot(Generic[T]):
    """A worker, or the one that takes its place.

    ``starting`` is None once it is ready. ``alone``: it may have one task in hand only, a suspect. ``failures``: so
    many workers of this place have died before they were ready, one after the other.
    """

    actor: Any
    starting: Any
    hand: dict[Any, _Given[T]] = field(default_factory=dict)
    alone: bool = False
    failures: int = 0


class Pool(Generic[T, R]):
    """Workers that each made a body with ``build``. Ray must be running; ``close`` ends the workers.

    Args:
        build: makes the body, in the worker's process; has to be picklable.
        workers: how many.
        needs: of each worker.

    Raises ``EngineError`` where no machine of the cluster could hold a worker.
    """

    def __init__(self, build: Callable[[], Body], *, workers: int, needs: Needs) -> None:
        _check_room(needs)
        self._build, self._needs = build, needs
        self._spec: LabelerSpec | None = None
        self._last_death = ""
        self._slots: list[_Slot[T]] = []
        for _ in range(workers):
            self._slots.append(self._start())

    def spec(self) -> LabelerSpec:
        """Wait for the first worker. Raises what making its body raised."""
        while self._spec is None:
            self._handle(self._wait(), deque())
        return self._spec

    def map(self, tasks: Iterable[T], *, lost: Callable[[T, str], R]) -> Iterator[tuple[T, R]]:
        """Each task with its result, in order. ``lost`` makes that of a task given up, from it and the reason.

        ``tasks`` is read as it is needed: at most ``AHEAD`` for each worker beyond the first unfinished one. Raises
        ``EngineError`` if there are no workers any more, and what ``Body.answer`` raises.
        """
        source = enumerate(tasks)
        finished: dict[int, tuple[T, R]] = {}
        suspects: deque[_Given[T]] = deque()
        limit = max(LEAST_AHEAD, AHEAD * len(self._slots))
        following, emitted = next(source, None), 0
        while True:
            for slot in self._slots:
                if slot.starting is not None or slot.alone:
                    continue
                if suspects and not slot.hand:
                    self._give(slot, suspects.popleft(), alone=True)
                    continue
                while following is not None and len(slot.hand) < IN_HAND and following[0] < emitted + limit:
                    self._give(slot, _Given(*following))
                    following = next(source, None)
            if following is None and not suspects and not any(slot.hand for slot in self._slots):
                return
            for given, answer in self._handle(self._wait(), suspects):
                finished[given.number] = given.task, answer
            for given in [one for one in suspects if one.deaths >= TRIES]:
                suspects.remove(given)
                finished[given.number] = given.task, lost(given.task, _LOST)
            while emitted in finished:
                yield finished.pop(emitted)
                emitted += 1

    def close(self) -> None:
        """End the workers. Closing twice is fine."""
        while self._slots:
            _kill(self._slots.pop().actor)

    def _start(self, failures: int = 0) -> _Slot[T]:
        options = {
            "num_cpus": self._needs.cpus,
            "num_gpus": self._needs.gpus,
            "max_restarts": 0,  # a worker is replaced here, where it is known what it had in hand
            "max_concurrency": IN_HAND,
            "scheduling_strategy": "SPREAD",
        }
        actor = ray.remote(**options)(Worker).remote(self._build, max(1, int(self._needs.cpus)))
        return _Slot(actor, actor.ready.remote(), failures=failures)

    def _give(self, slot: _Slot[T], given: _Given[T], *, alone: bool = False) -> None:
        slot.hand[slot.actor.work.remote(given.task)] = given
        slot.alone = alone

    def _wait(self) -> list[Any]:
        """Everything that has ended, at least one thing. Raises EngineError: there is no worker, and none comes."""
        waiting: list[Any] = []
        for slot in self._slots:
            waiting += slot.hand if slot.starting is None else [slot.starting]
        began = time.monotonic()
        while True:
            ended, rest = ray.wait(waiting, num_returns=1, timeout=5.0)
            if ended:
                more, _ = ray.wait(rest, num_returns=len(rest), timeout=0) if rest else ([], [])
                return [*ended, *more]
            if all(slot.starting is not None for slot in self._slots) and time.monotonic() - began > START_SECONDS:
                raise EngineError(
                    f"no Ray worker came up in {START_SECONDS:.0f} s: each needs {_said(self._needs)}, and what the "
                    "cluster has may be taken; see `ray status`, or ask for less with --gpus-per-worker"
                )

    def _handle(self, ended: list[Any], suspects: deque[_Given[T]]) -> list[tuple[_Given[T], R]]:
        """Results of these refs. Dead workers are replaced, and what they had in hand goes to ``suspects``."""
        results: list[tuple[_Given[T], R]] = []
        refs = set(ended)
        for slot in list(self._slots):
            died = False
            for ref in [ref for ref in (slot.starting, *slot.hand) if ref is not None and ref in refs]:
                died = not self._collect(slot, ref, results) or died
            if not died:
                continue
            for ref in list(slot.hand):  # what it finished before it died is not lost
                self._collect(slot, ref, results, timeout=0)
            suspects.extend(_Given(one.number, one.task, one.deaths + 1) for one in slot.hand.values())
            _kill(slot.actor)
            place = self._slots.index(slot)
            if slot.failures < _FAILED_STARTS:
                self._slots[place] = self._start(slot.failures)
                continue
            del self._slots[place]  # a bad machine, say: the others go on
            if not self._slots:
                raise EngineError(
                    f"all Ray workers die before they are ready, {slot.failures} in a row (is openseed-label installed "
                    f"on their machines? is there memory for the model?). Ray says: {self._last_death}"
                )
        return results

    def _collect(
        self, slot: _Slot[T], ref: Any, results: list[tuple[_Given[T], R]], *, timeout: float | None = None
    ) -> bool:
        """Take one answer from a worker. False if there is none, because the worker died."""
        try:
            answer = ray.get(ref, timeout=timeout)
        except ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from error
        except ray.exceptions.RayError as error:
            if ref is slot.starting:
                slot.failures += 1
                self._last_death = " ".join(str(error).split())
            return False
        if ref is slot.starting:
            self._greet(slot, *answer)
        else:
            results.append((slot.hand.pop(ref), answer))
            slot.alone = False
        return True

    def _greet(self, slot: _Slot[T], spec: LabelerSpec, its_version: str) -> None:
        """Raises EngineError: this worker would give other masks than the others."""
        if its_version != version():
            raise EngineError(
                f"a Ray worker has openseed-label {its_version}, this machine {version()}; install the same everywhere"
            )
        if self._spec is not None and (self._spec.name, self._spec.version) != (spec.name, spec.version):
            raise EngineError(
                f"Ray workers have different labelers ({self._spec.name} {self._spec.version} and {spec.name} "
                f"{spec.version}); give all machines the same weights"
            )
        self._spec, slot.failures, slot.starting = spec, 0, None


_LOST = (
    f"{TRIES} workers died while they worked on it, the last with nothing else in hand (too large for their memory? "
    "a file that crashes its decoder?); look at it, then run again"
)


def _check_room(needs: Needs) -> None:
    """Raises EngineError: no machine of the cluster, empty as it may be, could hold one worker."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(m.get("CPU", 0) >= needs.cpus and m.get("GPU", 0) >= needs.gpus for m in machines):
        return
    raise EngineError(
        f"a worker needs {_said(needs)}, and no machine of the cluster has that (the largest: "
        f"{max((m.get('CPU', 0) for m in machines), default=0):g} CPUs, "
        f"{max((m.get('GPU', 0) for m in machines), default=0):g} GPUs); change --gpus-per-worker"
    )


def _said(needs: Needs) -> str:
    return f"{needs.cpus:g} CPU and {needs.gpus:g} GPU"


def _kill(actor: Any) -> None:
    try:
        ray.kill(actor)
    except ray.exceptions.RayError:
        return  # it is gone already
