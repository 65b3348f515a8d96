"""Many measurements in one pass over the photos: each photo is opened once, however many numbers are wanted.

A ``Task`` knows the truth of some photos and keeps count; ``run_tasks`` opens the photos, asks the labeler
what the tasks need, and hands them the answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.errors import UsageError
from exporters.coco import CocoError
from exporters.masks import MaskError
from labelers.photos import PhotoError, PhotoHeader, read_header
from labelers.records import Boxes
from labelers.vocabulary import Vocabulary

if TYPE_CHECKING:
    from labelers.protocol import Labeler
    from labelers.scene import Scene

T = TypeVar("T", covariant=True)

Need = Literal["instances", "panoptic", "semantic", "detections"]


@dataclass(frozen=True, slots=True)
class PhotoAt:
    """Where a photo is; two tasks with the same one share its opening. ``file_name`` is relative to ``root``."""

    root: Path
    file_name: str


@dataclass(frozen=True)
class Source(Generic[T]):
    """The truth of some photos, read when it is needed.

    Attributes:
        photos: where they are.
        read: place in ``photos`` and the photo's header -> its truth, in the upright frame. Raises PhotoError,
            CocoError or MaskError.
    """

    photos: tuple[PhotoAt, ...]
    read: Callable[[int, PhotoHeader], T]


@dataclass(frozen=True)
class Answer:
    """What the labeler said of one photo; what no task needed is None.

    Attributes:
        scene: see ``labelers.scene``.
        boxes, scores: box-only detections, best first.
    """

    scene: Scene | None = None
    boxes: Boxes | None = None
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Result:
    """The numbers of one task. Fractions, not percent; None where there is nothing to average.

    Attributes:
        name: what was measured, unique within a run.
        photos: how many were measured.
        numbers: in the order to be shown.
        by_class: class name -> number name -> value.
        notes: what a reader has to know.
    """

    name: str
    photos: int
    numbers: dict[str, float | None]
    by_class: dict[str, dict[str, float | None]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Task(Protocol):
    """One kind of number over one data set."""

    @property
    def name(self) -> str: ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    @property
    def needs(self) -> frozenset[Need]: ...

    @property
    def top(self) -> int | None:
        """How many instances or detections of a photo count; None for as many as there are."""
        ...

    @property
    def photos(self) -> tuple[PhotoAt, ...]: ...

    def add(self, index: int, header: PhotoHeader, answer: Answer) -> None:
        """Count one photo, ``photos[index]``. Raises as ``Source.read`` does; then the photo doesn't count."""
        ...

    def result(self) -> Result: ...


@dataclass(frozen=True)
class Run:
    """All results of one labeler; ``skipped``: one message for each photo or truth that could not be read."""

    results: tuple[Result, ...]
    skipped: tuple[str, ...]
    photos: int
    seconds: float


def photos_of(tasks: Sequence[Task], limit: int | None = None) -> tuple[PhotoAt, ...]:
    """The photos of all tasks, each once, those of the first task first; at most ``limit``."""
    return tuple(dict.fromkeys(at for task in tasks for at in task.photos))[:limit]


def run_tasks(
    labeler: Labeler,
    tasks: Sequence[Task],
    *,
    limit: int | None = None,
    on_photo: Callable[[], object] = lambda: None,
) -> Run:
    """Measure. A photo that can't be read is reported and the rest goes on; an exception of the labeler ends it.

    Raises:
        UsageError: the labeler sees no scenes, or not one photo could be measured.
    """
    if not labeler.spec.makes_boxes:
        raise UsageError(f"labeler {labeler.spec.name!r} finds nothing by itself; use --labeler conditioned")
    places = [{at: index for index, at in enumerate(task.photos)} for task in tasks]
    groups = _by_vocabulary(tasks)
    photos = photos_of(tasks, limit)
    skipped: list[str] = []
    measured = 0
    seconds = 0.0
    for at in photos:
        start = time.perf_counter()
        try:
            header = read_header(at.root, at.file_name)
            opened = labeler.open(header.photo(at.file_name))
        except PhotoError as error:
            skipped.append(str(error))
            on_photo()
            continue
        fine = True
        for group in groups:
            here = [k for k in group if at in places[k]]
            if not here:
                continue
            answer = ask(opened, [tasks[k] for k in here])
            for k in here:
                try:
                    tasks[k].add(places[k][at], header, answer)
                except (PhotoError, CocoError, MaskError) as error:
                    message = str(error)
                    skipped.append(message if at.file_name in message else f"photo {at.file_name!r}: {message}")
                    fine = False
        measured += fine
        seconds += time.perf_counter() - start
        on_photo()
    if not measured:
        listed = "".join(f"\n  {message}" for message in skipped[:5])
        raise UsageError(f"not one of {len(photos)} photos could be measured{listed}")
    return Run(tuple(task.result() for task in tasks), tuple(skipped), measured, seconds)


def ask(opened: object, tasks: Sequence[Task]) -> Answer:
    """Ask once for what several tasks with the same vocabulary need. Raises UsageError: no scenes to be had."""
    from labelers.protocol import SceneOpened

    if not isinstance(opened, SceneOpened):
        raise UsageError("this labeler sees no scenes, only boxes; use --labeler conditioned, or --protocol boxes")
    needs = frozenset().union(*(task.needs for task in tasks))
    vocabulary = tasks[0].vocabulary
    tops = [task.top for task in tasks]
    top = None if None in tops else max(n for n in tops if n is not None)
    scene = boxes = scores = None
    if needs & {"instances", "panoptic", "semantic"}:
        scene = opened.scene(vocabulary, panoptic="panoptic" in needs, semantic="semantic" in needs, top=top)
    if "detections" in needs:
        boxes, scores = opened.detections(vocabulary, top=top)
    return Answer(scene, boxes, scores)


def _by_vocabulary(tasks: Sequence[Task]) -> list[list[int]]:
    groups: dict[Vocabulary, list[int]] = {}
    for k, task in enumerate(tasks):
        groups.setdefault(task.vocabulary, []).append(k)
    return list(groups.values())
