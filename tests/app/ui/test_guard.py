"""The door: strangers, forged senders, large requests, and the headers of every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from page_client import KEY, SITE, Browser
from starlette.testclient import TestClient

from app.store.projects import Project
from app.ui.app import build_api
from app.ui.settings import UiSettings

Guarded = Callable[[], Browser]
ROUTES = [
    ("GET", "/"),
    ("GET", "/api/session"),
    ("GET", "/api/project"),
    ("GET", "/api/progress"),
    ("GET", "/api/export.json"),
    ("GET", "/api/export.zip"),
    ("GET", "/api/images"),
    ("GET", "/api/images/1"),
    ("GET", "/api/images/1/photo"),
    ("POST", "/api/queue/next"),
    ("POST", "/api/images/1/annotations"),
    ("POST", "/api/import"),
    ("POST", "/api/undo"),
    ("PATCH", "/api/annotations/1"),
    ("DELETE", "/api/annotations/1"),
    ("GET", "/static/canvas/main.js"),
    ("GET", "/app/"),
    ("GET", "/app/config"),
    ("POST", "/app/gradio_api/queue/join"),
    ("POST", "/app/gradio_api/upload"),
    ("GET", "/anything/else"),
    ("POST", "/logout"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_strangers_get_nothing(guarded: Guarded, method: str, path: str) -> None:
    answer = guarded().request(method, path)
    assert answer.status_code == 401
    assert answer.json()["error"]["kind"] == "unauthorised"


def test_people_are_sent_to_the_login_page(guarded: Guarded) -> None:
    answer = guarded().get("/app/", headers={"accept": "text/html,*/*"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/app/"


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] != "/logout"])
def test_a_foreign_host_name_is_refused_everywhere(ana: Browser, method: str, path: str) -> None:
    """DNS rebinding: the browser believes that evil.example is this machine."""
    headers = {"host": "evil.example:7860", "origin": "http://evil.example:7860"}
    answer = ana.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "forbidden"


UNSAFE = [route for route in ROUTES if route[0] != "GET"]


@pytest.mark.parametrize(("method", "path"), UNSAFE)
@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:9999", "null", None])
def test_changes_asked_for_by_other_sites_are_refused(ana: Browser, method: str, path: str, origin: str | None) -> None:
    del ana.headers["origin"]
    del ana.headers["sec-fetch-site"]
    answer = ana.request(method, path, headers={"origin": origin} if origin else {})
    assert answer.status_code == 403


@pytest.mark.parametrize(("method", "path"), [route for route in UNSAFE if not route[1].startswith("/app")])
@pytest.mark.parametrize("token", [None, "", "0" * 64, "é"])
def test_changes_without_the_csrf_token_are_refused(ana: Browser, method: str, path: str, token: str | None) -> None:
    del ana.headers["x-csrf-token"]
    answer = ana.request(method, path, headers={"x-csrf-token": token.encode()} if token is not None else {})
    assert answer.status_code == 403
    assert answer.json()["error"]["kind"] == "csrf"


def test_the_token_of_one_session_does_not_work_in_another(guarded: Guarded) -> None:
    ana, ben = guarded(), guarded()
    ana.login("ana", "correct horse")
    ben.login("ben", "battery staple")
    answer = ben.post("/api/undo", json={}, headers={"x-csrf-token": ana.headers["x-csrf-token"]})
    assert answer.json()["error"]["kind"] == "csrf"


@pytest.mark.parametrize(
    "path", ["/", "/login", "/api/project", "/api/nothing", "/api/images/1/photo", "/static/canvas/main.js"]
)
def test_every_answer_has_the_security_headers(ana: Browser, path: str) -> None:
    headers = ana.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"]


def test_data_is_not_kept_by_caches(ana: Browser) -> None:
    assert ana.get("/api/project").headers["cache-control"] == "no-store"
    assert ana.get("/static/canvas/main.js").headers["cache-control"] == "no-cache"


def test_large_requests_are_refused_before_they_are_read(ana: Browser) -> None:
    answer = ana.post("/api/undo", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["kind"] == "too_large"
    announced = ana.post("/api/undo", content=b"{}", headers={"content-length": "9" * 30})
    assert announced.status_code == 413
    assert ana.post("/api/undo", content=b"{}", headers={"content-length": "-1"}).status_code == 413


def test_large_requests_that_announce_nothing_are_stopped(ana: Browser) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    answer = ana.post("/api/queue/next", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["error"]["kind"] == "too_large"


def test_an_uploaded_file_may_be_larger_but_not_endless(project: Project, labeler: Any) -> None:
    settings = UiSettings(key=KEY, max_upload=100_000)
    app = build_api(project, lambda: labeler, settings)
    with TestClient(app):
        browser = Browser(app)
        assert browser.post("/api/import", files={"file": b" " * 200_000}).status_code == 413


def test_an_unforeseen_error_shows_no_traceback(ana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.ui.routes import project as routes

    def broken(_: Any) -> Any:
        raise RuntimeError("secret path /home/ana")

    monkeypatch.setattr(routes, "progress", broken)
    answer = ana.get("/api/progress")
    assert answer.status_code == 500
    assert answer.json()["error"]["kind"] == "failed"
    assert "secret" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"


def test_there_are_no_websockets(ana: Browser) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), ana.websocket_connect("/app/ws"):
        pass


@pytest.mark.parametrize(
    "path",
    [
        "gradio_api/proxy=https://evil.example/x",
        "gradio_api/vibe-edit/",
        "monitoring",
        "login",
        "gradio_api/info/../login",
    ],
)
def test_what_the_page_does_not_need_of_gradio_is_closed(ana: Browser, path: str) -> None:
    assert ana.get(f"/app/{path}").status_code == 404


def test_a_session_of_another_local_name_is_replaced(project: Project, labeler: Any) -> None:
    first = build_api(project, lambda: labeler, UiSettings(key=KEY, annotator="ana"))
    second = build_api(project, lambda: labeler, UiSettings(key=KEY, annotator="ben"))
    with TestClient(first), TestClient(second):
        browser = Browser(first)
        again = Browser(second)
        again.cookies.update(browser.cookies)
        assert again.get("/api/session").json()["user"] == "ben"


def test_https_cookies_mean_https_origins(project: Project, labeler: Any) -> None:
    app = build_api(project, lambda: labeler, UiSettings(key=KEY, https_cookies=True))
    with TestClient(app):
        browser = Browser(app, csrf=False)
        answer = browser.get("/api/session")
        assert "; Secure" in answer.headers["set-cookie"]
        assert "strict-transport-security" in answer.headers
        assert browser.post("/login", data={}, headers={"origin": SITE}).status_code == 403


def test_without_passwords_only_this_machine_is_served() -> None:
    with pytest.raises(ValueError, match="loopback"):
        UiSettings(key=KEY, host="0.0.0.0")
    with pytest.raises(ValueError, match="32 bytes"):
        UiSettings(key=b"short")


@pytest.mark.parametrize("other", ['grid={"a": [1, 2]}', "flag", "n@me[0]=1", 'open="never closed', "two words=1"])
def test_cookies_of_other_programs_on_this_host_do_no_harm(guarded: Guarded, other: str) -> None:
    browser = guarded()
    browser.login("ana", "correct horse")
    ours = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    browser.cookies.clear()
    assert browser.get("/api/session", headers={"cookie": f"{other}; {ours}"}).json()["user"] == "ana"
