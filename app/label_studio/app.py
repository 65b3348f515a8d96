"""The routes: thin, the protocol is in the other modules.

``/health`` and ``/setup`` answer at once whatever the model does; ``/predict`` waits for it; ``/webhook`` only queues.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from app.label_studio.answers import model_version
from app.label_studio.batch import OutOfTime, predict_batch
from app.label_studio.config import ConfigError, LabelConfig, parse_config
from app.label_studio.engine import Engine, Question
from app.label_studio.guard import Guard, addresses_of, problem
from app.label_studio.interactive import answer_click
from app.label_studio.memory import Remembered
from app.label_studio.metrics import CONTENT_TYPE, Metrics
from app.label_studio.settings import BackendSettings
from app.label_studio.tokens import Introduction
from app.label_studio.webhooks import Event, Events, event_of
from app.serving.loading import ModelFailed, NotReady
from labelers.protocol import Labeler

_log = logging.getLogger(__name__)

_MOST_TASKS = 100_000
_ANY_CONFIG = '<View><Image name="image" value="$image"/></View>'
_AT_ONCE = 8
"""Predictions in work at the same time: more threads would only take turns, and make ``/health`` wait for its own."""


def build_app(
    labeler_factory: Callable[[], Labeler],
    *,
    identity: str,
    settings: BackendSettings,
    on_event: Callable[[Event, Engine], object] = lambda event, engine: None,
) -> FastAPI:
    """The backend. The model begins to load when the server starts.

    Args:
        labeler_factory: builds the labeler.
        identity: what it will be (``labelers.build.identity``).
        on_event: what to do with queued events besides forgetting what they make stale.
    """
    engine = Engine(labeler_factory, identity=identity, settings=settings)
    metrics = Metrics()

    def work(event: Event) -> None:
        if event.action in ("TASKS_DELETED", "PROJECT_DELETED"):
            for task in event.tasks:
                engine.texts.forget((str(event.project), task))
        on_event(event, engine)

    events = Events(work)
    places = anyio.CapacityLimiter(_AT_ONCE)
    resolved: Remembered[frozenset[str]] = Remembered(keys=64, seconds=60.0)

    def resolve(host: str) -> frozenset[str]:
        found = resolved.recall(host)
        if found is None:
            found = addresses_of(host)
            resolved.tell(host, found)
        return found

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        parse_config(_ANY_CONFIG)  # loads the SDK, which would make the first /setup slow
        engine.start()
        events.start()
        try:
            yield
        finally:
            undone = events.close()
            if undone:
                _log.warning("%d events were not worked on; the next push does what they asked for", undone)
            engine.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    app.state.engine = engine

    async def health() -> dict[str, str]:
        return {"status": "UP", "model_class": "OpenSeeD", "model": engine.model.state.state}

    async def setup(request: Request) -> Response:
        body = await _json(request)
        if body is None:
            return problem(400, "the body is no JSON object")
        hostname, token = body.get("hostname"), body.get("access_token")
        project = _project(body)
        if project is not None and isinstance(hostname, str) and hostname:
            told = Introduction(hostname, token if isinstance(token, str) else "")
            engine.introductions.tell(project, told)
        try:
            config = parse_config(str(body.get("schema") or ""))
        except ConfigError as error:
            return problem(400, str(error))
        return JSONResponse({"model_version": model_version(engine.identity, settings.answering, config)})

    async def versions() -> dict[str, list[str]]:
        return {"versions": [f"openseed-{engine.identity}"]}

    async def predict(request: Request) -> Response:
        body = await _json(request)
        if body is None or not isinstance(body.get("tasks"), list):
            return problem(400, 'the body is no JSON object with a list "tasks"')
        return await anyio.to_thread.run_sync(_predict, body, engine, metrics, limiter=places)

    async def webhook(request: Request) -> Response:
        event = event_of(await _json(request))
        if event is None:
            return JSONResponse({"status": "Unknown event"}, 200)
        if not events.put(event):
            return problem(
                503, "too many events wait; run `openseed-label label-studio push` instead", {"Retry-After": "60"}
            )
        return JSONResponse({"status": "ok", "job": None}, 201)

    async def numbers() -> Response:
        text = metrics.text(ready=engine.model.state.state == "ready", waiting=events.waiting)
        return Response(text, media_type=CONTENT_TYPE)

    app.add_api_route("/", health, methods=["GET"])
    app.add_api_route("/health", health, methods=["GET"])
    app.add_api_route("/setup", setup, methods=["POST"])
    app.add_api_route("/predict", predict, methods=["POST"])
    app.add_api_route("/webhook", webhook, methods=["POST"])
    app.add_api_route("/versions", versions, methods=["GET"])
    app.add_api_route("/metrics", numbers, methods=["GET"])
    app.add_middleware(Guard, settings=settings, metrics=metrics, resolve=resolve)
    return app


def _predict(body: dict[str, Any], engine: Engine, metrics: Metrics) -> Response:
    try:
        config = parse_config(str(body.get("label_config") or ""))
        tasks = body["tasks"]
        if len(tasks) > _MOST_TASKS or not all(isinstance(task, dict) for task in tasks):
            return problem(400, f"tasks must be objects, {_MOST_TASKS:,} at most")
        params = body.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        if context:
            question = Question(tasks[0] if tasks else {}, config, _project(body))
            results = [_clicked(question, context, engine, metrics)]
        else:
            results = _labelled(tasks, config, engine, metrics, _project(body))
        return JSONResponse({"results": results})
    except ConfigError as error:
        return problem(400, str(error))
    except (NotReady, OutOfTime) as error:
        _log.warning("%s", error)
        return problem(503, str(error), {"Retry-After": "5"})
    except ModelFailed as error:
        return problem(503, str(error))


def _clicked(question: Question, context: Any, engine: Engine, metrics: Metrics) -> dict[str, Any]:
    answer = answer_click(question, context, engine)
    metrics.task("click", regions=len(answer.regions), failed=answer.failed)
    for said in answer.problems:
        _log.warning(
            "task %s: %s", question.task_id, said, extra={"task": question.task_id, "project": question.project}
        )
    return answer.to_result(model_version(engine.identity, engine.settings.answering, question.config))


def _labelled(
    tasks: list[dict[str, Any]], config: LabelConfig, engine: Engine, metrics: Metrics, project: str | None
) -> list[dict[str, Any]]:
    deadline = time.monotonic() + engine.settings.batch_seconds

    def note(task_id: object, said: str) -> None:
        _log.warning("task %s: %s", task_id, said, extra={"task": task_id, "project": project})

    results = predict_batch(tasks, config, engine, project=project, deadline=deadline, on_problem=note)
    for result in results:
        metrics.task("batch", regions=len(result["result"]), failed=result.pop("error", None) is not None)
    return results


def _project(body: dict[str, Any]) -> str | None:
    """``7.1795354753`` (id and time of creation) -> ``7``."""
    project = body.get("project")
    return str(project).partition(".")[0] if isinstance(project, str | int | float) and str(project) else None


async def _json(request: Request) -> dict[str, Any] | None:
    try:
        found = json.loads(await request.body())
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
