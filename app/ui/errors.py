"""Every error as the same JSON, ``{"error": {"kind", "message", ...}}``, with a status that fits and no traceback."""

from __future__ import annotations

import logging
import os
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from app.serving.loading import ModelFailed, NotReady
from app.store.errors import Busy, Conflict, Leased, NotFound, StoreError, Unavailable
from app.store.projects import Project
from app.ui.answers import annotation_json
from labelers.photos import MissingPhoto, PhotoError

_log = logging.getLogger(__name__)

_KINDS = {401: "unauthorised", 403: "forbidden", 404: "not_found", 413: "too_large", 429: "throttled", 503: "busy"}


def error_response(status: int, kind: str, message: str, *, retry_after: float | None = None, **more: Any) -> Response:
    """``more`` goes beside kind and message."""
    headers = {"Cache-Control": "no-store"}
    if retry_after is not None:
        headers["Retry-After"] = str(max(1, round(retry_after)))
    return JSONResponse({"error": {"kind": kind, "message": message, **more}}, status, headers)


def unforeseen(method: str, path: str, error: Exception) -> Response:
    """For what no route expected: the log gets the traceback, the client does not."""
    if isinstance(error, MemoryError):
        return error_response(503, "busy", "not enough memory for this now; try again in a moment", retry_after=5)
    _log.error("%s %s failed", method, path, exc_info=error)
    return error_response(500, "failed", "the server could not do this; its log says why")


def install(app: FastAPI) -> None:
    """Let the app answer what its routes raise."""

    @app.exception_handler(Conflict)
    def conflict(_: Request, error: Conflict) -> Response:
        theirs = annotation_json(error.theirs)
        return error_response(
            409, "conflict", str(error), annotation_id=error.annotation_id, theirs=theirs, by=error.by
        )

    @app.exception_handler(Leased)
    def leased(_: Request, error: Leased) -> Response:
        return error_response(423, "leased", str(error), by=error.by, until=error.until)

    @app.exception_handler(NotFound)
    @app.exception_handler(MissingPhoto)
    def not_found(request: Request, error: Exception) -> Response:
        return error_response(404, "not_found", told(error, request.app.state.server.project))

    @app.exception_handler(StoreError)
    @app.exception_handler(PhotoError)
    def invalid(request: Request, error: Exception) -> Response:
        return error_response(422, "invalid", told(error, request.app.state.server.project))

    @app.exception_handler(RequestValidationError)
    def unfit(_: Request, error: RequestValidationError) -> Response:
        return error_response(422, "invalid", "; ".join(map(_sentence, error.errors()[:5])))

    @app.exception_handler(Busy)
    @app.exception_handler(NotReady)
    def busy(request: Request, error: Exception) -> Response:
        return error_response(503, "busy", told(error, request.app.state.server.project), retry_after=2)

    @app.exception_handler(Unavailable)
    def unavailable(request: Request, error: Unavailable) -> Response:
        _log.error("%s", error)
        return error_response(503, "storage", told(error, request.app.state.server.project), retry_after=5)

    @app.exception_handler(ModelFailed)
    def model_failed(_: Request, error: ModelFailed) -> Response:
        return error_response(503, "failed", str(error))

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> Response:
        return error_response(error.status_code, _KINDS.get(error.status_code, "invalid"), str(error.detail))


def told(error: Exception, project: Project) -> str:
    """The message without the server's own folders and addresses, which are nobody's business."""
    if isinstance(error, Unavailable):
        return "the server can't use its database now; is its disk full, or the database stopped? Its log says why"
    root, place = str(project.images_root), project.database.url
    text = str(error).replace(f"{place}: ", "").replace(place, "the project's database")
    return text.replace(f"{root}{os.sep}", "").replace(root, "the folder of photos")


def _sentence(problem: dict[str, Any]) -> str:
    """Where it is and what is wrong, without repeating what the client sent."""
    where = ".".join(str(part) for part in problem.get("loc", ()) if part != "body")
    return f"{where}: {problem.get('msg', 'is not valid')}" if where else str(problem.get("msg", "is not valid"))
