"""Log in, log out, and who am I."""

from __future__ import annotations

import html
import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.ui.headers import login_policy
from app.ui.passwords import MAX_LENGTH
from app.ui.server import Here, Visitor
from app.ui.sessions import cookie_header

router = APIRouter()

_VERIFYING = threading.BoundedSemaphore(2)
"""Argon2 takes memory on purpose; strangers must not be able to make it take more."""


@router.get("/api/session")
def session(here: Here, visitor: Visitor) -> dict[str, Any]:
    return {"user": visitor.user, "csrf": visitor.csrf, "login": here.settings.accounts is not None}


@router.get("/login")
def login_page(here: Here, next: Annotated[str, Query(max_length=1000)] = "/app/") -> Response:
    if here.settings.accounts is None:
        return RedirectResponse("/app/", 303)
    return _page(target=_local(next))


@router.post("/login")
def login(
    here: Here,
    request: Request,
    name: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=MAX_LENGTH)],
    next: Annotated[str, Form(max_length=1000)] = "/app/",
) -> Response:
    accounts, target = here.settings.accounts, _local(next)
    if accounts is None:
        return RedirectResponse("/app/", 303)
    address = request.client.host if request.client else ""
    wait = here.throttle.take(address)
    if wait:
        seconds = str(max(1, round(wait)))
        message = f"Too many tries. Wait {seconds} seconds, then try again."
        return _page(target=target, name=name, problem=message, status=429, headers={"Retry-After": seconds})
    if not _VERIFYING.acquire(timeout=10.0):
        return _page(target=target, name=name, problem="The server is busy. Try again in a moment.", status=503)
    try:
        right = accounts.check(name.strip(), password)
    finally:
        _VERIFYING.release()
    if not right:
        return _page(target=target, name=name, problem="Name or password is wrong.", status=401)
    here.throttle.forgive(address)
    answer = RedirectResponse(target, 303)
    answer.headers.append("set-cookie", cookie_header(here.settings, here.sessions, here.sessions.issue(name.strip())))
    return answer


@router.post("/logout")
def logout(here: Here, visitor: Visitor) -> Response:
    """The cookie is refused from now on, wherever else it was copied to."""
    here.sessions.end(visitor)
    answer = JSONResponse({"login": "/login"})
    answer.headers.append("set-cookie", cookie_header(here.settings, here.sessions, "", seconds=0))
    return answer


def _page(
    *, target: str, name: str = "", problem: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    page, policy = _template()
    shown = f'<p class="problem" role="alert">{html.escape(problem)}</p>' if problem else ""
    texts = {"name": html.escape(name), "next": html.escape(target), "problem": shown}
    filled = re.sub(r"\{\{(name|next|problem)\}\}", lambda mark: texts[mark[1]], page)
    return HTMLResponse(filled, status, {"Content-Security-Policy": policy, **(headers or {})})


@lru_cache(maxsize=1)
def _template() -> tuple[str, str]:
    """The page and its policy, which allows the page's own style sheet only."""
    page = (Path(__file__).parents[1] / "login.html").read_text("utf-8")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    return page, login_policy(style.group(1) if style else "")


def _local(target: str) -> str:
    """Where to go after the login: a page of this server, whatever the link says."""
    path = unquote(target)
    good = re.fullmatch(r"/app/[\w/?=&.-]*", path, re.ASCII) and ".." not in path
    return path if good else "/app/"
