"""Tasks get their predictions as they are created: what ``--predict-new-tasks`` does with events."""

from __future__ import annotations

import logging

from app.label_studio.answers import model_version
from app.label_studio.client import Client, LabelStudioError
from app.label_studio.config import parse_config
from app.label_studio.engine import Engine
from app.label_studio.push import Pushed, has_prediction, push_tasks
from app.label_studio.webhooks import Event

_log = logging.getLogger(__name__)

_BATCH = 8


def predict_new_tasks(event: Event, engine: Engine) -> None:
    """Label the tasks of a ``TASKS_CREATED`` event and import the predictions; other events are nothing to us.

    Only ids are taken from the event; everything else is asked of the configured Label Studio.

    Raises LabelStudioError, ConfigError, ModelFailed.
    """
    access = engine.settings.access
    if not engine.settings.predict_new_tasks or event.action != "TASKS_CREATED":
        return
    if not access.url or not access.api_key:
        return
    with Client(access.url, access.api_key) as client:
        config = parse_config(str(client.project(event.project).get("label_config") or ""))
        done = Pushed(model_version(engine.identity, engine.settings.answering, config))
        for start in range(0, len(event.tasks), _BATCH):
            tasks = []
            for number in event.tasks[start : start + _BATCH]:
                try:
                    task = client.task(number)
                except LabelStudioError as error:
                    if error.status != 404:
                        raise
                    continue  # deleted again
                if task.get("project") == event.project and not has_prediction(task, done.model_version):
                    tasks.append(task)
            push_tasks(client, event.project, tasks, config, engine, done)
    for task_id, reason in [*done.failed, *done.problems]:
        _log.warning("task %s: %s", task_id, reason, extra={"task": task_id, "project": event.project})
    _log.info("project %d: %d new tasks labelled", event.project, done.predicted, extra={"project": event.project})
