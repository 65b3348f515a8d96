"""uvicorn, and a clean end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

from fastapi import FastAPI


def serve(
    app: FastAPI,
    opened: socket.socket,
    *,
    on_ready: Callable[[], None],
    behind_proxy: bool = False,
    last_requests: int = 5,
) -> None:
    """Answer requests until Ctrl+C (raises KeyboardInterrupt) or SIGTERM (SystemExit); then finish those in progress.

    Args:
        on_ready: called when the first request can be answered.
        behind_proxy: believe what a proxy says of clients and https; only where the user has said that there is one.
        last_requests: seconds that requests in progress get at the end; open event streams would never end.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=behind_proxy,
        timeout_graceful_shutdown=last_requests,
        ws="none",
    )

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                on_ready()

    if threading.current_thread() is threading.main_thread():
        # uvicorn sends itself the signal again when it is done; by default that would end the process on the spot,
        # with the database open
        signal.signal(signal.SIGTERM, _leave)
    Announcing(config).run(sockets=[opened])


def _leave(_number: int, _frame: object) -> None:
    raise SystemExit(0)
