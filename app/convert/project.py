"""Boxes to masks over a project: photo by photo, each in one act, beside annotators who go on working.

What is in the database is the journal: an interrupted run goes on where it stopped. A photo that an annotator holds is
put off to the end, and reported if they don't let go of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.convert.plan import UNKNOWN_NAME, State
from app.convert.progress import bar
from app.convert.project_plan import ACTOR, ProjectPlan, fingerprint, interrupted, make_project_plan
from app.convert.project_summary import Book, summarise
from app.convert.result import STATE
from app.convert.run import opening, raising, refined
from app.convert.settings import Settings
from app.convert.summary import Summary
from app.store.acts import Update, commit
from app.store.annotations import annotations_of
from app.store.errors import Busy, Conflict, Leased, NotFound
from app.store.images import image as image_of
from app.store.leases import LEASE_SECONDS
from app.store.outline import stated_sizes
from app.store.projects import Project
from app.store.records import AnnotationRecord, ImageRecord
from app.store.records import State as Review
from app.store.runs import begin_run, finish_run
from exporters.masks import box_xyxy
from labelers.driver import Job, Outcome, run
from labelers.photos import PhotoError, PhotoHeader, Unreadable, read_header
from labelers.protocol import Labeler
from labelers.records import Boxes, Instances

KIND = "convert run"
"""What these acts are called in the history. Undo steps over them: they are nobody's click."""

_POLL_SECONDS = 2.0
_ATTEMPTS = 5


def convert_project(
    project: Project,
    settings: Settings,
    labeler: Labeler,
    *,
    quiet: bool = True,
    wait_seconds: float = LEASE_SECONDS + 30,
    on_wait: Callable[[str], object] = lambda text: None,
    sleep: Callable[[float], object] = time.sleep,
) -> Summary:
    """Make the masks that are missing in the project, or go on with a run that was interrupted.

    Of ``settings`` the fields count that concern masks; ``images`` replaces the project's folder of photos. Annotations
    that were rejected or deleted are left alone, and with ``redo`` so is what a person drew or decided.

    Args:
        wait_seconds: how long to wait in the end for photos that annotators hold.
        on_wait: hears what is waited for.

    Raises:
        UsageError, StoreError, PhotoError, VocabularyError. What is done stays done.
    """
    spec = labeler.spec
    past = interrupted(project, spec, settings)
    plan = make_project_plan(project, settings, since=past[1] if past else None)
    if past is None:
        begun = begin_run(project, labeler=spec.name, version=spec.version, settings=fingerprint(settings))
        past = begun, 0.0
    book = Book()
    done = [row for row, state in zip(plan.rows, plan.state.tolist(), strict=True) if state == State.CONVERTED]
    resumed = {row.image_id for row in done}
    with bar(total=len(plan.todo), unit="photos", what="converting", quiet=quiet) as progress:
        _convert_all(plan, labeler, book, progress.update, wait_seconds=wait_seconds, on_wait=on_wait, sleep=sleep)
    summary = summarise(plan, book, spec=spec, resumed=len(resumed - set(plan.todo)))
    finish_run(
        project,
        past[0],
        photos=len(book.photos | resumed),
        annotations=summary.annotations.get(State.CONVERTED.name.lower(), 0),
    )
    return summary


def check_project(project: Project, settings: Settings, *, quiet: bool = True) -> Summary:
    """The dry run: what would be converted, and what is known to fail, from the boxes and the photos' headers."""
    plan = make_project_plan(project, settings)
    book = Book()
    stated = stated_sizes(project)
    with bar(total=len(plan.todo), unit="photos", what="checking", quiet=quiet) as progress:
        for image_id in plan.todo:
            progress.update()
            photo, wanted = _wanted(plan, image_id)
            try:
                header = _header(plan, photo, stated, book)
            except PhotoError as error:
                for one in wanted:
                    book.note(one.id, State.NO_PHOTO, str(error))
                continue
            problems = _boxes(plan, wanted).problems(height=header.height, width=header.width)
            for one, problem in zip(wanted, problems, strict=True):
                if problem is not None:
                    book.note(one.id, STATE[problem[0]], problem[1])
    return summarise(plan, book, spec=None, resumed=0)


def _convert_all(
    plan: ProjectPlan,
    labeler: Labeler,
    book: Book,
    on_photo: Callable[[], object],
    *,
    wait_seconds: float,
    on_wait: Callable[[str], object],
    sleep: Callable[[float], object],
) -> None:
    """Rounds over the photos that are left: put off because somebody holds them, or changed under our hands."""
    stated = stated_sizes(plan.project)
    left, attempts, waited, told = list(plan.todo), 0, 0.0, False
    while left:
        turn = _Round(plan, labeler, book, stated, on_photo)
        turn.label(left)
        attempts = attempts + 1 if turn.again else 0
        if turn.again and attempts < _ATTEMPTS:
            left = [image_id for image_id in left if image_id in turn.again or image_id in turn.held]
            continue
        if not turn.held or waited >= wait_seconds:
            for image_id, reason in (turn.again | turn.held).items():
                for one in _wanted(plan, image_id)[1]:
                    book.note(one.id, State.FAILED, reason)
            return
        if not told:
            on_wait(f"waiting for {len(turn.held):,} photos that annotators work on (Ctrl+C: they stay as they are)")
            told = True
        sleep(_POLL_SECONDS)
        waited += _POLL_SECONDS
        left = list(turn.held)


@dataclass
class _Round:
    """One pass over photos. ``again`` and ``held`` are those that are left, each with the reason."""

    plan: ProjectPlan
    labeler: Labeler
    book: Book
    stated: Mapping[int, tuple[int | None, int | None]]
    on_photo: Callable[[], object]
    again: dict[int, str] = field(default_factory=dict)
    held: dict[int, str] = field(default_factory=dict)
    _asked: dict[str, list[AnnotationRecord]] = field(default_factory=dict)

    def label(self, image_ids: Sequence[int]) -> None:
        run(self.labeler, self._jobs(image_ids), self.plan.vocabulary, on_outcome=self._keep)

    def _jobs(self, image_ids: Sequence[int]) -> Iterator[Job]:
        for image_id in image_ids:
            photo, wanted = _wanted(self.plan, image_id)
            if photo.lease_by not in (None, ACTOR) and (photo.lease_until or 0) > time.time():
                self.held[image_id] = f"{photo.lease_by} works on this photo; run the command again later"
                continue
            key = str(image_id)
            self._asked[key] = wanted
            try:
                header = _header(self.plan, photo, self.stated, self.book)
            except PhotoError as error:
                yield Job(key, raising(error), Boxes(np.zeros((0, 4), np.float32), ()))
                continue
            yield Job(key, opening(header, key), _boxes(self.plan, wanted))

    def _keep(self, outcome: Outcome) -> None:
        image_id, wanted = int(outcome.key), self._asked.pop(outcome.key)
        if outcome.instances is None or len(outcome.instances) != len(wanted):
            for one in wanted:
                self.book.note(one.id, State.NO_PHOTO, outcome.error or "the photo could not be read")
            self.on_photo()
            return
        instances = refined(outcome.instances, self.plan.settings)
        try:
            self._commit(image_id, wanted, instances)
        except Leased as error:
            self.held[image_id] = f"{error.by} works on this photo; run the command again later"
            return
        except (Conflict, NotFound, Busy) as error:
            self.again[image_id] = str(error)
            return
        for k, one in enumerate(wanted):
            self.book.note(one.id, STATE[instances.status[k]], instances.reasons[k])
        self.book.scores += [
            _rounded(s) for s, mask in zip(instances.scores.tolist(), instances.masks, strict=True) if mask
        ]
        self.book.photos.add(image_id)
        self.on_photo()

    def _commit(self, image_id: int, wanted: Sequence[AnnotationRecord], instances: Instances) -> None:
        """One act for the photo, or none where no mask came out."""
        settings, source = self.plan.settings, f"model:{self.labeler.spec.name}"
        changes = []
        for one, mask, score in zip(wanted, instances.masks, instances.scores.tolist(), strict=True):
            if mask is None:
                continue
            values: dict[str, Any] = {
                "mask": mask,
                "quality": _rounded(score),
                "source": source,
                "form": settings.form,
                "simplify": settings.simplify,
            }
            if one.state is Review.ACCEPTED:  # as a box; nobody has seen the mask
                values["state"] = Review.PROPOSED
            if settings.tighten:
                values["box"] = tuple(box_xyxy(mask).tolist())
            changes.append(Update(one.id, one.version, values))
        if changes:
            commit(self.plan.project, changes, actor=ACTOR, kind=KIND, image_id=image_id)


def _wanted(plan: ProjectPlan, image_id: int) -> tuple[ImageRecord, list[AnnotationRecord]]:
    """The photo, and which of its annotations are still to be converted, as they are now."""
    found = annotations_of(plan.project, image_id)
    return image_of(plan.project, image_id), [
        one
        for one in found
        if one.id in plan.todo[image_id]
        and one.box is not None
        and one.state is not Review.REJECTED
        and (one.mask is None or (plan.settings.redo and one.state is Review.PROPOSED and one.source != "human"))
    ]


def _header(
    plan: ProjectPlan, photo: ImageRecord, stated: Mapping[int, tuple[int | None, int | None]], book: Book
) -> PhotoHeader:
    """Raises PhotoError: also where the file has another size than at import, because the boxes may not fit."""
    header = read_header(plan.project.images_root, photo.file_name)
    if (header.width, header.height, header.orientation) != (photo.width, photo.height, photo.orientation):
        if not photo.width:
            raise Unreadable(
                header.source,
                "it was missing when the dataset was imported, so nobody knows how its boxes lie",
                "import the dataset into a new project",
            )
        raise Unreadable(
            header.source,
            f"it has {header.width} x {header.height} pixels (EXIF orientation {header.orientation}), and had "
            f"{photo.width} x {photo.height} ({photo.orientation}) when it was imported",
            "put the old file back, or import the dataset into a new project",
        )
    if photo.id in stated and photo.problem:
        book.notes[photo.id] = photo.problem
        size = stated[photo.id]
        if None not in size and size not in {(header.width, header.height), (header.raw_width, header.raw_height)}:
            book.mismatched.add(photo.id)
    return header


def _boxes(plan: ProjectPlan, wanted: Sequence[AnnotationRecord]) -> Boxes:
    names = tuple(plan.names.get(one.category_id, UNKNOWN_NAME) for one in wanted)
    return Boxes(np.array([one.box for one in wanted], np.float32).reshape(-1, 4), names)


def _rounded(score: float) -> float:
    return round(float(score), 4)  # more digits would only make files differ between machines
