"""From settings to a running server: the port, uvicorn, and a clean end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from fastapi import FastAPI

from app.errors import UsageError
from app.ui.settings import UiSettings

DEFAULT_PORT = 7860
_TRIED = 100
_LAST_REQUESTS = 5
"""Seconds that requests in progress get at the end; the page's open event streams would never end."""


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens on ``port``, or on 7860 or the next free one where none is given; 0 takes any.

    Raises UsageError: the port is taken, or this machine has no such address.
    """
    ports = range(DEFAULT_PORT, DEFAULT_PORT + _TRIED) if port is None else [port]
    for number in ports:
        try:
            return _bound(host, number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and port is None:
                continue
            if error.errno == errno.EADDRINUSE:
                raise UsageError(f"port {number} is taken; choose another with --port, or leave --port out") from error
            raise UsageError(f"can't listen on {host} port {number} ({error.strerror or error})") from error
    raise UsageError(f"the ports {ports[0]} to {ports[-1]} are taken; choose one with --port")


def _bound(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR"):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(128)
    except OSError:
        opened.close()
        raise
    return opened


def url_of(host: str, port: int, *, https: bool = False) -> str:
    """What to type into a browser on this machine."""
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    shown = f"[{here}]" if ":" in here else here
    return f"{'https' if https else 'http'}://{shown}:{port}/"


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
