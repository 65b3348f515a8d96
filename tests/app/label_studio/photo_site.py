"""A small real web server that hands out photos as Label Studio does: who shows which token gets them."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

LEGACY = "f" * 40
WIDTH, HEIGHT = 320, 240


def jwt(kind: str, *, lives: float = 300.0, number: int = 0) -> str:
    """A token in the form of Label Studio's, with a signature that nobody checks."""
    claims = {"token_type": kind, "exp": int(time.time() + lives), "jti": number}
    parts = [json.dumps({"alg": "HS256"}), json.dumps(claims), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


PERSONAL = jwt("refresh", lives=1e9)


@dataclass
class Site:
    """What the server does, and what it was asked.

    Attributes:
        url: without a slash at the end.
        legacy: legacy tokens are taken.
        access: access tokens that were handed out and count.
        seen: (path, Authorization header) of each request.
        photos: path -> bytes; other paths below /data get a plain picture.
        redirects: path -> address.
        delay: seconds before each answer.
    """

    url: str
    legacy: bool = True
    access: list[str] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    photos: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0

    def paths(self) -> list[str]:
        return [path for path, _ in self.seen]


def picture(width: int = WIDTH, height: int = HEIGHT, *, form: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), (200, 60, 40)).save(out, form, **options)
    return out.getvalue()


@contextmanager
def photo_site() -> Iterator[Site]:
    """Serve until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    site = Site(f"http://127.0.0.1:{server.server_port}")
    server.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    @property
    def site(self) -> Site:
        return self.server.site  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        site, given = self.site, self.headers.get("Authorization", "")
        site.seen.append((self.path, given))
        time.sleep(site.delay)
        if self.path in site.redirects:
            self._answer(303, b"", location=site.redirects[self.path])
        elif self.path.startswith(("/data/", "/tasks/")) and not self._knows(given):
            self._answer(401, b"{}")
        elif "missing" in self.path:
            self._answer(404, b"{}")
        elif "broken" in self.path:
            self._answer(200, picture()[:200])
        else:
            self._answer(200, site.photos.get(self.path, picture()))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.site.seen.append((self.path, self.headers.get("Authorization", "")))
        if body.get("refresh") != PERSONAL:
            self._answer(401, b"{}")
            return
        token = jwt("access", number=len(self.site.access))
        self.site.access.append(token)
        self._answer(200, json.dumps({"access": token}).encode())

    def _knows(self, given: str) -> bool:
        wanted = [f"Bearer {token}" for token in self.site.access]
        if self.site.legacy:
            wanted.append(f"Token {LEGACY}")
        return given in wanted

    def _answer(self, status: int, body: bytes, *, location: str | None = None) -> None:
        self.send_response(status)
        if location is not None:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(BrokenPipeError, ConnectionResetError):  # whoever asked has given up
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not into the tests' output."""
