"""What there is to do in a project: which annotations of which photos, and what an interrupted run has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import UNKNOWN_NAME, State, make_vocabulary, photo_folder, wanted_rows
from app.convert.settings import Settings
from app.store.outline import Outline, file_names, orphans, outline
from app.store.projects import Project, categories, vocabulary
from app.store.records import State as Review
from app.store.runs import runs
from exporters.coco import Category
from labelers.protocol import LabelerSpec
from labelers.vocabulary import Vocabulary

ACTOR = "convert-boxes"
"""Who stands in a project's history for what this command did."""


@dataclass(frozen=True)
class ProjectPlan:
    """One conversion of a project, before it starts.

    Attributes:
        project: with the folder that the photos are taken from.
        vocabulary: the classes and their prompts.
        names: by database id of a class, what it is called.
        rows: the annotations in file order.
        state: uint8 [rows], a ``State`` each; TODO for what will be tried, CONVERTED for what an interrupted run did.
        todo: photos that have something to convert, in file order: database id -> ids of the annotations.
        files: file name of each photo, by database id.
        lost: ids of the annotations that have no photo.
        notes: what the user should know before anything has run.
    """

    project: Project
    settings: Settings
    vocabulary: Vocabulary
    names: Mapping[int | None, str]
    rows: list[Outline]
    state: NDArray[np.uint8]
    todo: dict[int, frozenset[int]]
    files: Mapping[int, str]
    lost: list[str]
    notes: tuple[str, ...]

    def count(self, state: State) -> int:
        return int(np.count_nonzero(self.state == state)) + (len(self.lost) if state is State.NO_IMAGE else 0)


def make_project_plan(project: Project, settings: Settings, *, since: float | None = None) -> ProjectPlan:
    """Choose. Raises UsageError: a class that the project doesn't have, or photos that are nowhere.

    Args:
        since: when the interrupted run began that is to be gone on with, unix seconds; None for a new one.
    """
    known = categories(project)
    columns = tuple(Category(row=k, id=None, name=category.name) for k, category in enumerate(known))
    wanted = wanted_rows(settings.categories, columns)
    make_vocabulary(settings.prompts, columns)  # refuses what can't be meant
    chosen = None if wanted is None else {known[row].id for row in wanted}
    rows, files = outline(project), file_names(project)
    state = np.array([_choose(row, chosen, redo=settings.redo, since=since) for row in rows], np.uint8)
    waiting: dict[int, set[int]] = {}
    for row, what in zip(rows, state.tolist(), strict=True):
        if what == State.TODO:
            waiting.setdefault(row.image_id, set()).add(row.id)
    todo = {image_id: frozenset(waiting[image_id]) for image_id in files if image_id in waiting}
    if settings.limit is not None:
        todo = dict(list(todo.items())[: settings.limit])
        left = [k for k, row in enumerate(rows) if state[k] == State.TODO and row.image_id not in todo]
        state[left] = State.LEFT_OUT
    # a project takes no URL
    given = settings.images if isinstance(settings.images, Path) else project.images_root
    folder, note = photo_folder(given, given, (files[image_id] for image_id in todo))
    return ProjectPlan(
        project=replace(project, images_root=folder),
        settings=settings,
        vocabulary=vocabulary(project).with_prompts(settings.prompts),
        names={category.id: category.name if category.name.strip() else UNKNOWN_NAME for category in known},
        rows=rows,
        state=state,
        todo=todo,
        files=files,
        lost=orphans(project),
        notes=(note,) if note else (),
    )


def _choose(row: Outline, wanted: set[int] | None, *, redo: bool, since: float | None) -> State:
    if row.iscrowd:
        return State.CROWD
    if wanted is not None and row.category_id not in wanted:
        return State.LEFT_OUT
    if row.has_mask:
        if since is not None and row.author == ACTOR and row.updated_at >= since:
            return State.CONVERTED
        # what somebody drew, or looked at and decided, is never made anew
        anew = redo and row.has_box and row.state == Review.PROPOSED and row.source != "human"
        return State.TODO if anew else State.KEPT
    return State.TODO if row.has_box else State.DEGENERATE


def fingerprint(settings: Settings) -> dict[str, Any]:
    """What a run is remembered by: one that was interrupted is gone on with only if all of it is the same."""
    chosen = {name: getattr(settings, name) for name in ("limit", "form", "simplify", "tighten")}
    return settings.fingerprint() | chosen


def interrupted(project: Project, spec: LabelerSpec, settings: Settings) -> tuple[int, float] | None:
    """(run id, start in unix seconds) of the last run, if it was the same one and never finished."""
    past = runs(project)
    if not past or past[-1].finished_at is not None:
        return None
    last = past[-1]
    same = (last.labeler, last.version, last.settings) == (spec.name, spec.version, fingerprint(settings))
    return (last.id, last.started_at) if same else None
