"""Security headers: what the browser may do with each kind of answer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from starlette.datastructures import MutableHeaders

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # not "no-referrer": forms would then say that they come from nowhere, and the login would be refused
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}

NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For data: if a browser ever shows it as a page, that page can do nothing."""

STATIC = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""For scripts: a worker takes the rules of its own file."""


def gradio_policy(hashes: Iterable[str]) -> str:
    """For the page: its own inline scripts by their ``hashes``; and functions made of text, as ``gr.HTML`` does."""
    scripts = " ".join(["'self'", "'unsafe-eval'", *(f"'{text}'" for text in hashes)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; media-src 'self' blob:; "
        "worker-src 'self' blob:; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )


def login_policy(style: str) -> str:
    """The login page has no script, and the one style sheet whose text is ``style``."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


def secure(headers: MutableHeaders, path: str, *, https: bool) -> None:
    """Add the headers that an answer for ``path`` must have; a policy that the route has set is kept."""
    for name, value in ALWAYS.items():
        headers[name] = value
    if https:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    files = path.startswith(("/static/", "/app/assets/", "/app/static/"))
    policy = STATIC if files else NOTHING
    headers.setdefault("Content-Security-Policy", policy)
    headers.setdefault("Cache-Control", "no-store" if not path.startswith("/app/assets/") else "private, max-age=3600")
