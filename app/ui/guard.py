"""The door: every request passes here before any route, the Gradio page and its upload and queue routes among them.

Nothing is open unless this file says so: the host name, the sender, the size, the session and the CSRF token
are checked here in this order, so that a route can't forget to.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.serving.limits import TooLargeBody, announced_problem, limited
from app.ui import headers as security
from app.ui.errors import error_response, unforeseen
from app.ui.origin import SAFE_METHODS, host_problem, origin_problem
from app.ui.sessions import Session, Sessions, cookie_header
from app.ui.settings import KIBI, UiSettings

CSRF_HEADER = "x-csrf-token"

# Parts of Gradio that this page does not use: other people's servers, code generation, measurements, its own login.
_CLOSED = frozenset(
    {
        "proxy=", "login", "login_check", "logout", "token", "user", "dev", "docs", "redoc", "openapi.json",
        "run-history", "runs", "monitoring", "profiling", "vibe-edit", "undo-vibe-edit", "vibe-code",
        "vibe-starter-queries", "process_recording", "deep_link", "stream", "custom_component",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Guard:
    """ASGI middleware.

    Attributes:
        app: what is guarded.
        settings: of the server.
        sessions: reads and issues cookies.
        names: host names that the server answers to.
    """

    app: ASGIApp
    settings: UiSettings
    sessions: Sessions
    names: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # nothing here speaks over websockets
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        issued: str | None = None
        started = False

        async def secured(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                security.secure(answer, scope["path"], https=self.settings.https_cookies)
                if issued is not None:
                    answer.append("set-cookie", cookie_header(self.settings, self.sessions, issued))
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            session = self.sessions.read(_cookie(headers, self.sessions.cookie_name))
            if session is not None and self.settings.accounts is None and session.user != self.settings.annotator:
                session = None  # started again in another name
            if session is None and self.settings.accounts is None and _starts_visit(scope):
                issued = self.sessions.issue(self.settings.annotator)
                session = self.sessions.read(issued)
            refusal = self._unknown(scope, headers, session)
            scope.setdefault("state", {})["session"] = session
        if refusal is not None:
            await refusal(scope, receive, secured)
            return
        limit = self._limit(scope["path"])
        try:
            await self.app(scope, limited(receive, limit), secured)
        except Exception as error:
            if started:
                raise
            if isinstance(error, TooLargeBody):
                answer = error_response(413, "too_large", error.detail)
            else:
                answer = unforeseen(scope["method"], scope["path"], error)
            await answer(scope, receive, secured)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What is wrong with the request whoever sends it."""
        scheme = "https" if self.settings.https_cookies else "http"
        problem = host_problem(headers, self.names) or origin_problem(headers, scope["method"], scheme=scheme)
        if problem is not None:
            return error_response(403, "forbidden", problem)
        if _is_closed(scope["path"]):
            return error_response(404, "not_found", "there is nothing here")
        too_large = announced_problem(headers, self._limit(scope["path"]))
        return None if too_large is None else error_response(413, "too_large", too_large.detail)

    def _unknown(self, scope: Scope, headers: Headers, session: Session | None) -> Response | None:
        """Send strangers to the login page, and refuse changes without the CSRF token."""
        path, method = scope["path"], scope["method"]
        if path == "/login":
            return None
        if session is None:
            if method == "GET" and "text/html" in headers.get("accept", ""):
                return RedirectResponse(f"/login?next={quote(path)}", 303)
            return error_response(401, "unauthorised", "the session is over; log in again")
        own = path.startswith("/api/") or path == "/logout"
        if own and method not in SAFE_METHODS and not session.knows(headers.get(CSRF_HEADER, "")):
            return error_response(403, "csrf", f"the header {CSRF_HEADER} is missing or wrong; reload the page")
        return None

    def _limit(self, path: str) -> int:
        if path == "/login":
            return 16 * KIBI
        upload = path in ("/api/import", "/app/gradio_api/upload")
        return self.settings.max_upload + 64 * KIBI if upload else self.settings.max_body


def _cookie(headers: Headers, name: str) -> str | None:
    """Ours among those of other programs on this host, which may be written in any way."""
    return cookie_parser(headers.get("cookie", "")).get(name)


def _starts_visit(scope: Scope) -> bool:
    """Where a local annotator without a password gets a session: the page itself, and a script's first question."""
    return scope["method"] == "GET" and scope["path"] in ("/", "/app", "/app/", "/api/session")


def _is_closed(path: str) -> bool:
    if not path.startswith("/app/"):
        return False
    first = path.removeprefix("/app/").removeprefix("gradio_api/").split("/")[0]
    return first in _CLOSED or first.startswith("proxy=")
