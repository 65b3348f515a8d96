"""Gradio writes scripts into its page. They are allowed one by one, by their hashes, and no other inline script is."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ui.headers import gradio_policy

_INLINE = re.compile(rb"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)


def inline_hashes(page: bytes) -> list[str]:
    """What a content security policy calls the inline scripts of a page."""
    return [f"sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}" for text in _INLINE.findall(page)]


@dataclass(frozen=True)
class PagePolicy:
    """ASGI middleware: the policy of the page at ``path``, made from the page itself.

    What is put into the page later, by a script that was tricked, has no hash and does not run.
    """

    app: ASGIApp
    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        # the page is read here, so it must not come compressed
        plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        start: Message = {}
        body = bytearray()

        async def hold(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            if message["type"] != "http.response.body":
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                policy = gradio_policy(inline_hashes(bytes(body)))
                MutableHeaders(scope=start)["Content-Security-Policy"] = policy
                await send(start)
                await send({"type": "http.response.body", "body": bytes(body)})

        await self.app({**scope, "headers": plain}, receive, hold)
