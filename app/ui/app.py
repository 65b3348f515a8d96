"""The server put together: REST routes, the canvas's files, the Gradio page, and the guard around all of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from app.store.projects import Project
from app.ui import errors
from app.ui.engine import Engine
from app.ui.guard import Guard
from app.ui.origin import own_names
from app.ui.page_policy import PagePolicy
from app.ui.routes import annotations as changes
from app.ui.routes import masks, photos, project, proposals, queue, session
from app.ui.server import Server
from app.ui.sessions import Revoked, Sessions
from app.ui.settings import UiSettings
from labelers.protocol import Labeler

CANVAS = Path(__file__).parent / "canvas"
PAGE = "/app"


def build_app(found: Project, labeler_factory: Callable[[], Labeler], settings: UiSettings) -> FastAPI:
    """The whole server: ``build_api`` and the Gradio page at ``/app``."""
    app = build_api(found, labeler_factory, settings)
    _mount_page(app, found, settings)
    return app


def build_api(found: Project, labeler_factory: Callable[[], Labeler], settings: UiSettings) -> FastAPI:
    """The server without its page. The model begins to load when the server starts."""
    engine = Engine(
        labeler_factory,
        found,
        name=settings.model_name,
        keep=settings.opened_photos,
        memory=settings.opened_bytes,
        wait=settings.model_wait,
    )
    sessions = Sessions(settings.key, settings.accounts, settings.session_seconds, Revoked(settings.revoked))

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        try:
            yield
        finally:
            engine.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    app.state.server = Server(found, engine, settings, sessions)
    errors.install(app)
    for routes in (session, project, queue, photos, changes, masks, proposals):
        app.include_router(routes.router)
    app.add_api_route("/", _to_page, methods=["GET"])
    app.add_api_route(PAGE, _to_page, methods=["GET"])
    app.add_api_route("/favicon.ico", _no_icon, methods=["GET"])
    app.mount("/static/canvas", _Fresh(directory=CANVAS))
    app.add_middleware(PagePolicy, path=f"{PAGE}/")
    app.add_middleware(  # the last one added is the first to see a request
        Guard, settings=settings, sessions=sessions, names=own_names(settings.host, settings.allowed_hosts)
    )
    return app


def _mount_page(app: FastAPI, found: Project, settings: UiSettings) -> None:
    import gradio

    from app.ui.page import build_page, mount_options

    page = build_page(found, model=lambda: app.state.server.engine.state)
    page.has_launched = True  # or Gradio takes any path of this machine, sent by a client, for a file that was uploaded
    gradio.mount_gradio_app(
        app,
        page,
        path=PAGE,
        server_name=settings.host,
        auth_dependency=_annotator,
        max_file_size=settings.max_upload,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        run_history=False,
        footer_links=[],
        enable_monitoring=False,
        **mount_options(),
    )


def _annotator(request: Request) -> str | None:
    """For Gradio: who is asking. The guard has looked at the cookie already."""
    found = getattr(request.state, "session", None)
    return None if found is None else str(found.user)


def _to_page() -> Response:
    return RedirectResponse(f"{PAGE}/", 303)


def _no_icon() -> Response:
    """Browsers ask for it on their own; there is none, and that is no error."""
    return Response(status_code=204)


class _Fresh(StaticFiles):
    """Files that browsers keep but ask about each time: a new version must not meet an old half of itself."""

    def file_response(self, *args: object, **options: object) -> Response:
        answer = super().file_response(*args, **options)  # type: ignore[arg-type]
        answer.headers["Cache-Control"] = "no-cache"
        return answer
