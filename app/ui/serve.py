"""From settings to a running server: uvicorn, and a clean end."""

from __future__ import annotations

import socket
from collections.abc import Callable

from fastapi import FastAPI

from app.ui.settings import UiSettings

DEFAULT_PORT = 7860
PORTS_TRIED = 100
_LAST_REQUESTS = 5
"""Seconds that requests in progress get at the end; the page's open event streams would never end."""


def serve(app: FastAPI, opened: socket.socket, settings: UiSettings, *, on_ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl+C or SIGTERM; then finish those in progress. ``on_ready`` hears when it begins."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        # what a proxy says of clients and https is believed only where the user has said that there is one
        proxy_headers=settings.https_cookies,
        timeout_graceful_shutdown=_LAST_REQUESTS,
        ws="none",
    )

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                on_ready()

    Announcing(config).run(sockets=[opened])
