"""The door: request size, basic auth, a number for each request in the log, and no tracebacks to anybody.

Label Studio sends basic auth with everything but webhook events. Those may come without, but then only from where
Label Studio is, and the queue behind them takes nothing from their content but ids.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.label_studio.metrics import Metrics
from app.label_studio.settings import BackendSettings
from app.label_studio.tokens import is_loopback_host
from app.serving.limits import TooLargeBody, announced_problem, limited

_log = logging.getLogger(__name__)

_PATHS = ("/", "/health", "/setup", "/predict", "/webhook", "/versions", "/metrics")


@dataclass(frozen=True)
class Guard:
    """ASGI middleware.

    Attributes:
        app: what is guarded.
        settings: of the backend.
        metrics: counts what passes.
        resolve: addresses of a host name, so that tests need no network.
    """

    app: ASGIApp
    settings: BackendSettings
    metrics: Metrics
    resolve: Callable[[str], frozenset[str]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        begun = False

        async def noting(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        headers = Headers(scope=scope)
        path = scope["path"] if scope["path"] in _PATHS else "other"
        answer = self._refusal(scope, headers)
        try:
            if answer is not None:
                await answer(scope, receive, noting)
            else:
                await self.app(scope, limited(receive, self.settings.max_body), noting)
        except Exception as error:
            if begun:
                raise
            await _unforeseen(error, scope)(scope, receive, noting)
        finally:
            seconds = time.perf_counter() - started
            self.metrics.request(path, status, seconds)
            level = logging.DEBUG if path in ("/health", "/metrics") else logging.INFO
            _log.log(
                level,
                "%s %s %d",
                scope["method"],
                scope["path"],
                status,
                extra={"method": scope["method"], "path": path, "status": status, "ms": round(1000 * seconds, 1)},
            )

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        too_large = announced_problem(headers, self.settings.max_body)
        if too_large is not None:
            return problem(413, too_large.detail)
        if self.settings.basic_auth is None or knows(headers.get("authorization", ""), self.settings.basic_auth):
            return None
        if scope["path"] == "/webhook" and "authorization" not in headers and self._is_label_studio(scope):
            return None
        return problem(
            401,
            "this backend wants a user and a password: Label Studio, project settings, Model, Basic Authentication",
            {"WWW-Authenticate": 'Basic realm="openseed-label"'},
        )

    def _is_label_studio(self, scope: Scope) -> bool:
        """Does the request come from the configured Label Studio, or from this machine?"""
        client = scope.get("client")
        address = client[0] if client else ""
        if is_loopback_host(address):
            return True
        url = self.settings.access.url
        host = urlsplit(url).hostname if url else None
        return bool(host) and address in self.resolve(host or "")


def knows(header: str, wanted: tuple[str, str]) -> bool:
    """Is this the right ``Authorization: Basic`` header? Takes as long for a wrong one as for the right one."""
    scheme, _, coded = header.partition(" ")
    try:
        given = base64.b64decode(coded, validate=True) if scheme.lower() == "basic" else b""
    except (ValueError, binascii.Error):
        given = b""
    return hmac.compare_digest(given, ":".join(wanted).encode())


def problem(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": message}, status, headers)


def addresses_of(host: str) -> frozenset[str]:
    """What the name resolves to now; none where it doesn't."""
    try:
        return frozenset(str(found[4][0]) for found in socket.getaddrinfo(host, None))
    except OSError:
        return frozenset()


def _unforeseen(error: Exception, scope: Any) -> Response:
    if isinstance(error, TooLargeBody):
        return problem(413, error.detail)
    if isinstance(error, MemoryError):
        return problem(503, "not enough memory for this now; try again in a moment", {"Retry-After": "5"})
    _log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    return problem(500, "the backend could not do this; its log says why")
