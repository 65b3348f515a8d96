"""Logging in and out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from page_client import Browser

Guarded = Callable[[], Browser]


def test_log_in_work_log_out(guarded: Guarded) -> None:
    browser = guarded()
    answer = browser.login("ana", "correct horse")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/app/"
    session = browser.get("/api/session").json()
    assert session["user"] == "ana"
    assert session["login"] is True
    made = browser.post("/api/images/3/annotations", json={"box": [1, 2, 30, 40], "category_id": 1}).json()
    assert made["annotation"]["author"] == "ana"
    cookies = dict(browser.cookies)
    assert browser.post("/logout").status_code == 200
    assert browser.get("/api/project").status_code == 401
    stolen = guarded()
    stolen.cookies.update(cookies)
    assert stolen.get("/api/project").status_code == 401


@pytest.mark.parametrize(
    ("name", "password"),
    [("ana", "wrong horse"), ("eve", "correct horse"), ("", ""), ("ana", ""), ("ben", "correct horse")],
)
def test_a_wrong_password_or_name_says_the_same(guarded: Guarded, name: str, password: str) -> None:
    browser = guarded()
    answer = browser.login(name, password)
    assert answer.status_code in (401, 422)
    assert "set-cookie" not in answer.headers
    if password:
        assert "Name or password is wrong" in answer.text
    assert browser.get("/api/project").status_code == 401


def test_guessing_is_slowed_down_by_address_and_not_by_name(guarded: Guarded) -> None:
    browser = guarded()
    answers = [browser.login("ana", f"guess number {k}") for k in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert browser.login("ana", "correct horse").status_code == 429
    elsewhere = guarded()
    elsewhere._transport.client = ("10.9.8.7", 1234)  # type: ignore[attr-defined]
    assert elsewhere.login("ana", "correct horse").status_code == 303


def test_the_page_repeats_the_name_without_believing_it(guarded: Guarded) -> None:
    answer = guarded().login('"><script>alert(1)</script>{{next}}', "wrong horse")
    assert answer.status_code == 401
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "{{next}}" in answer.text
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wish", "target"),
    [
        ("/app/", "/app/"),
        ("/app/?tab=project", "/app/?tab=project"),
        ("https://evil.example/", "/app/"),
        ("//evil.example", "/app/"),
        ("/app/%0d%0aSet-Cookie: x=1", "/app/"),
        ("/app/../logout", "/app/"),
        ("/\\evil.example", "/app/"),
        ("/app/\n", "/app/"),
    ],
)
def test_after_the_login_it_goes_on_here_and_nowhere_else(guarded: Guarded, wish: str, target: str) -> None:
    data = {"name": "ana", "password": "correct horse", "next": wish}
    assert guarded().post("/login", data=data).headers["location"] == target


def test_the_login_needs_our_own_page(guarded: Guarded) -> None:
    data = {"name": "ana", "password": "correct horse"}
    answer = guarded().post("/login", data=data, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403


def test_a_large_login_is_refused(guarded: Guarded) -> None:
    assert guarded().post("/login", data={"name": "ana", "password": "x" * 20_000}).status_code == 413
    assert guarded().post("/login", data={"name": "ana", "password": "x" * 2000}).status_code == 422


def test_without_passwords_there_is_no_login_page(ana: Browser) -> None:
    assert ana.get("/login").headers["location"] == "/app/"
    assert ana.get("/api/session").json()["login"] is False
