"""Whole tasks: masks for the boxes they have, or objects that the model finds by itself.

One result for each task, in the order of the tasks, whatever fails: Label Studio drops a batch of another length.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np

from app.label_studio.answers import Answer, kinds_for, mask_regions, model_version
from app.label_studio.config import LabelConfig
from app.label_studio.engine import Engine, Question
from app.label_studio.photos import pages_in
from app.label_studio.prompts import Prompt, boxes_of_task
from app.serving.loading import ModelFailed, NotReady
from exporters.label_studio_regions import RegionError, box_of
from labelers.photos import PhotoError
from labelers.records import Boxes
from labelers.rows import describe
from labelers.vocabulary import Vocabulary

_log = logging.getLogger(__name__)

Task = Mapping[str, Any]


class OutOfTime(RuntimeError):
    """Label Studio has stopped waiting. What was done is remembered: asked again, it goes on from there."""

    def __init__(self, done: int, tasks: int) -> None:
        super().__init__(
            f"{done} of {tasks} tasks were done before Label Studio gave up waiting; ask again and it goes on from "
            "there, or use `openseed-label label-studio push`, which has no time limit"
        )
        self.done = done


def predict_batch(
    tasks: Sequence[Task],
    config: LabelConfig,
    engine: Engine,
    *,
    project: str | None = None,
    deadline: float | None = None,
    on_problem: Callable[[object, str], object] = lambda task_id, problem: None,
) -> list[dict[str, Any]]:
    """``results`` for the tasks: ``{"result": regions, "score", "model_version"}``, and "error" where a task failed.

    Args:
        project: as Label Studio names it; tells where the photos are.
        deadline: on the clock of ``time.monotonic``; None: however long it takes.
        on_problem: hears the task's id and what could not be done.

    Raises:
        NotReady, ModelFailed: no labeler, so nothing can be said about any task.
        OutOfTime: the deadline came first.
    """
    version = model_version(engine.identity, engine.settings.answering, config)
    questions = [Question(task, config, project) for task in tasks]
    results: list[dict[str, Any]] = []
    for question, answer in _answers(questions, engine, version=version, deadline=deadline):
        for problem in answer.problems:
            on_problem(question.task_id, problem)
        result = answer.to_result(version)
        if answer.failed:
            result["error"] = "; ".join(answer.problems)
        results.append(result)
    return results


def _answers(
    questions: Sequence[Question], engine: Engine, *, version: str, deadline: float | None
) -> Iterator[tuple[Question, Answer]]:
    """In order; the photo of the next one is fetched and opened meanwhile."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        try:
            for number, question in enumerate(questions):
                if deadline is not None and time.monotonic() > deadline:
                    raise OutOfTime(number, len(questions))
                if number + 1 < len(questions):
                    pool.submit(_warm, questions[number + 1], engine)
                yield question, _remembered(question, engine, version)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _warm(question: Question, engine: Engine) -> None:
    """Open the photos of a task's boxes; what is wrong with them is said when it is their turn."""
    with suppress(Exception):
        for image, item in {(prompt.image, prompt.item) for prompt in boxes_of_task(question.task, question.config)[0]}:
            engine.open(question, image=image, item=item)


class _NotKept(Exception):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def _remembered(question: Question, engine: Engine, version: str) -> Answer:
    """The answer, from an earlier try where nothing has changed since: Label Studio repeats what took too long."""
    asked = [question.task.get(key) for key in ("id", "data", "annotations", "drafts", "predictions")]
    told = json.dumps([version, question.project, asked], sort_keys=True, default=str)

    def make() -> Answer:
        answer = answer_task(question, engine)
        if answer.failed:
            raise _NotKept(answer)
        return answer

    try:
        return engine.answers.get(hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest(), make)
    except _NotKept as failed:
        return failed.answer


def answer_task(question: Question, engine: Engine) -> Answer:
    """One task. What goes wrong with its photos or boxes is told in the answer. Raises NotReady, ModelFailed."""
    try:
        prompts, problems = boxes_of_task(question.task, question.config)
        answer = Answer(problems=problems)
        if prompts:
            for place, group in groupby(sorted(prompts, key=_place), key=_place):
                answer = _joined(answer, _of_boxes(question, engine, list(group), *place))
            return answer
        if not engine.settings.answering.propose or not engine.model.get().spec.makes_boxes:
            return Answer(problems=problems, asked=False)
        for image, key in question.config.sources.items():
            pages = pages_in(question.data, key)
            for item in [None] if pages is None else range(pages):
                answer = _joined(answer, _proposed(question, engine, image, item))
        return answer
    except (NotReady, ModelFailed):
        raise
    except Exception as error:
        _log.exception("task %s failed", question.task_id)
        return Answer(problems=[f"failed: {describe(error)}"], failed=True)


def _place(prompt: Prompt) -> tuple[str, int]:
    return prompt.image, prompt.item


def _of_boxes(question: Question, engine: Engine, prompts: Sequence[Prompt], image: str, item: int) -> Answer:
    """Masks of the boxes on one picture."""
    try:
        photo = engine.open(question, image=image, item=item)
    except PhotoError as error:
        return Answer(problems=[str(error)], failed=True)
    answer = Answer()
    usable: list[tuple[Prompt, tuple[float, float, float, float]]] = []
    for prompt in prompts:
        try:
            usable.append((prompt, box_of(prompt.region, height=photo.height, width=photo.width)))
        except RegionError as error:
            answer.problems.append(str(error))
    if not usable:
        return answer
    boxes = Boxes(np.array([box for _, box in usable], np.float32), tuple(prompt.label for prompt, _ in usable))
    found = photo.opened.masks(boxes, question.config.vocabulary)
    rows = zip(usable, found.masks, found.scores.tolist(), found.reasons, strict=True)
    for (prompt, _), mask, score, reason in rows:
        if mask is None:
            answer.problems.append(f"region {prompt.id!r} ({prompt.label}): {reason}")
            continue
        answering = engine.settings.answering
        answer.add(mask_regions(mask, prompt, config=question.config, answering=answering, score=score), score)
    return answer


def _proposed(question: Question, engine: Engine, image: str, item: int | None) -> Answer:
    """Objects that the model finds on one picture, if there is a control for them. ``item``: None, or which page."""
    config, answering = question.config, engine.settings.answering
    kinds = kinds_for(answering)
    targets = {
        label: target
        for label in config.vocabulary.names
        if (target := config.target(label, image=image, kinds=kinds)) is not None
    }
    if not targets:
        return Answer()
    try:
        photo = engine.open(question, image=image, item=item or 0)
    except PhotoError as error:
        return Answer(problems=[str(error)], failed=True)
    # the labeler has a threshold of its own, which must not hide what a lower one of the config asks for
    wanted = Vocabulary(
        tuple(
            replace(entry, threshold=config.threshold(entry.name, targets[entry.name]) or answering.threshold or None)
            for entry in config.vocabulary.entries
            if entry.name in targets
        )
    )
    found = photo.opened.propose(wanted)
    answer = Answer()
    rows = zip(found.boxes.names, found.masks, found.scores.tolist(), strict=True)
    for number, (name, mask, score) in enumerate(rows):
        if mask is not None and name in targets:
            page = {} if item is None else {"item_index": item}
            prompt = Prompt({"id": f"proposal {question.task_id}", **page}, targets[name], name, image, item or 0)
            salt = f"{item} {number}" if item else str(number)
            answer.add(mask_regions(mask, prompt, config=config, answering=answering, score=score, salt=salt), score)
    return answer


def _joined(first: Answer, second: Answer) -> Answer:
    return Answer(
        first.regions + second.regions,
        first.scores + second.scores,
        first.problems + second.problems,
        first.failed or second.failed,
    )
