"""Pre-annotate a whole project: tasks by API, masks here, predictions by API.

Label Studio itself is the journal: a task that has a prediction of the present version is done. A run that was killed
goes on with the rest and loses at most the batch in work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from app.label_studio.answers import model_version
from app.label_studio.batch import predict_batch
from app.label_studio.client import Client, LabelStudioError
from app.label_studio.config import LabelConfig, parse_config
from app.label_studio.engine import Engine

Task = dict[str, Any]


@dataclass
class Pushed:
    """What a run did.

    Attributes:
        model_version: of its predictions.
        predicted: tasks that got a prediction, empty ones included.
        skipped: tasks that had one already.
        unasked: tasks without boxes, where the model finds nothing by itself; they get no prediction.
        regions: in all predictions together.
        failed: task ids, and why they got no prediction.
        problems: task ids, and what could not be done of a task that did.
    """

    model_version: str
    predicted: int = 0
    skipped: int = 0
    unasked: int = 0
    regions: int = 0
    failed: list[tuple[int, str]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        return 1 if self.failed or self.problems else 0


def push(
    client: Client,
    project: int,
    engine: Engine,
    *,
    limit: int | None = None,
    batch: int = 8,
    dry_run: bool = False,
    on_start: Callable[[int], object] = lambda tasks: None,
    on_tasks: Callable[[int], object] = lambda count: None,
) -> Pushed:
    """Label every task of the project that has no prediction of the present version yet.

    Args:
        limit: label so many tasks at most.
        batch: tasks between two imports.
        dry_run: predict, but import nothing.
        on_start: hears how many tasks the project has; ``on_tasks``: how many more are done or skipped.

    Raises:
        LabelStudioError: Label Studio can't be reached or refuses.
        ConfigError: the labeling config can't be used.
        ModelFailed: there is no model.
    """
    settings = client.project(project)
    config = parse_config(str(settings.get("label_config") or ""))
    done = Pushed(model_version(engine.identity, engine.settings.answering, config))
    on_start(int(settings.get("task_number") or 0))

    def open_tasks() -> Iterator[Task]:
        for task in client.tasks(project):
            if has_prediction(task, done.model_version):
                done.skipped += 1
                on_tasks(1)
            else:
                yield task

    # predictions that are imported meanwhile don't move tasks from page to page: those are in the order of their ids
    waiting = islice(open_tasks(), limit)
    while tasks := list(islice(waiting, batch)):
        push_tasks(client, project, tasks, config, engine, done, dry_run=dry_run)
        on_tasks(len(tasks))
    return done


def push_tasks(
    client: Client,
    project: int,
    tasks: Sequence[Task],
    config: LabelConfig,
    engine: Engine,
    done: Pushed,
    *,
    dry_run: bool = False,
) -> None:
    """Label these tasks and import the predictions. What becomes of them is added to ``done``. Raises as ``push``."""
    said: dict[object, list[str]] = {}
    results = predict_batch(
        tasks,
        config,
        engine,
        project=str(project),
        on_problem=lambda task_id, problem: said.setdefault(task_id, []).append(problem),
    )
    predictions: list[dict[str, Any]] = []
    for task, result in zip(tasks, results, strict=True):
        error = result.pop("error", None)
        if error is not None:
            done.failed.append((task["id"], error))
            continue
        if result["model_version"] != done.model_version:
            done.unasked += 1
            continue
        done.problems += [(task["id"], problem) for problem in said.get(task.get("id"), [])]
        done.regions += len(result["result"])
        predictions.append({"task": task["id"], **result})
    if predictions and not dry_run:
        _imported(client, project, predictions, done)
    else:
        done.predicted += len(predictions)


def _imported(client: Client, project: int, predictions: Sequence[dict[str, Any]], done: Pushed) -> None:
    """All at once; where Label Studio refuses that, one by one, so that only the bad ones are left out."""
    try:
        created = client.import_predictions(project, predictions)
    except LabelStudioError as error:
        if error.status != 400:
            raise
        created = -1
    if created == len(predictions):
        done.predicted += created
        return
    if created > 0:
        raise LabelStudioError(
            f"Label Studio created {created} of {len(predictions)} predictions and doesn't say which; run again, "
            "it goes on with the tasks that have none"
        )
    for prediction in predictions:
        try:
            created = client.import_predictions(project, [prediction])
        except LabelStudioError as error:
            if error.status != 400:
                raise
            done.failed.append((prediction["task"], str(error)))
            continue
        if created == 1:
            done.predicted += 1
        else:
            done.failed.append((prediction["task"], "Label Studio did not store the prediction; check the labels"))


def has_prediction(task: Task, version: str) -> bool:
    """Has the task a prediction of this version?"""
    predictions: Iterable[Any] = task.get("predictions") or ()
    return any(isinstance(one, dict) and one.get("model_version") == version for one in predictions)
