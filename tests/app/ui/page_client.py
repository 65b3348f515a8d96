"""Browsers as tests play them: what a page of ours sends, without a real one."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

KEY = b"k" * 32
SITE = "http://localhost:7860"


class Browser(TestClient):
    """Sends what a browser on our own page sends."""

    def __init__(self, app: Any, *, csrf: bool = True) -> None:
        super().__init__(app, base_url=SITE, follow_redirects=False, raise_server_exceptions=False)
        self.headers["origin"] = SITE
        self.headers["sec-fetch-site"] = "same-origin"
        if csrf:
            self.headers["x-csrf-token"] = self.get("/api/session").json()["csrf"]

    def login(self, name: str, password: str) -> Any:
        answer = self.post("/login", data={"name": name, "password": password})
        if answer.status_code == 303:
            self.headers["x-csrf-token"] = self.get("/api/session").json()["csrf"]
        return answer
