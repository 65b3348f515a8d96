"""Cookies: what opens the door, and what no longer does."""

import time
from pathlib import Path

import pytest

from app.ui.passwords import UsersFile, add_user
from app.ui.sessions import Revoked, Sessions, cookie_header
from app.ui.settings import UiSettings

KEY = b"k" * 32


def test_a_cookie_names_its_annotator() -> None:
    sessions = Sessions(KEY)
    session = sessions.read(sessions.issue("ana"))
    assert session is not None
    assert session.user == "ana"
    assert session.knows(session.csrf)
    assert not session.knows(session.csrf[:-1])
    assert not session.knows("\udcff")


def test_two_sessions_have_two_tokens() -> None:
    sessions = Sessions(KEY)
    one, two = (sessions.read(sessions.issue("ana")) for _ in range(2))
    assert one is not None
    assert two is not None
    assert not one.knows(two.csrf)


@pytest.mark.parametrize("cookie", [None, "", "x", "a.b.c", "x" * 5000, "\udcff"])
def test_no_cookie_or_nonsense_opens_nothing(cookie: str | None) -> None:
    assert Sessions(KEY).read(cookie) is None


def test_a_forged_or_changed_cookie_opens_nothing() -> None:
    cookie = Sessions(KEY).issue("ana")
    assert Sessions(b"z" * 32).read(cookie) is None
    payload, _, rest = cookie.partition(".")
    flipped = payload[:5] + ("A" if payload[5] != "A" else "B") + payload[6:]
    assert Sessions(KEY).read(f"{flipped}.{rest}") is None


def test_a_session_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions(KEY, seconds=60.0)
    cookie = sessions.issue("ana")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 59)
    assert sessions.read(cookie) is not None
    monkeypatch.setattr(time, "time", lambda: now + 62)
    assert sessions.read(cookie) is None


def test_a_logout_ends_this_session_only_and_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "project.db.sessions"
    sessions = Sessions(KEY, revoked=Revoked(path))
    cookie, other = sessions.issue("ana"), sessions.issue("ana")
    session = sessions.read(cookie)
    assert session is not None
    sessions.end(session)
    for again in (sessions, Sessions(KEY, revoked=Revoked(path))):
        assert again.read(cookie) is None
        assert again.read(other) is not None
    assert path.stat().st_mode & 0o777 == 0o600


def test_ended_sessions_are_forgotten_when_they_are_too_old_anyway(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    revoked = Revoked(path)
    revoked.add("old", until=time.time() - 1)
    revoked.add("new", until=time.time() + 1000)
    assert "new" in revoked
    assert "old" not in Revoked(path)
    assert path.read_text().count("\n") == 1


def test_a_new_password_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    add_user(path, "ben", "battery staple")
    sessions = Sessions(KEY, UsersFile.read(path))
    anas, bens = sessions.issue("ana"), sessions.issue("ben")
    add_user(path, "ana", "another horse")
    assert sessions.read(anas) is None
    assert sessions.read(bens) is not None
    path.write_text("".join(line for line in path.read_text().splitlines(True) if line.startswith("ana:")))
    assert sessions.read(bens) is None


def test_a_cookie_of_a_server_without_passwords_opens_no_server_with_them(tmp_path: Path) -> None:
    path = tmp_path / "users"
    add_user(path, "ana", "correct horse")
    assert Sessions(KEY, UsersFile.read(path)).read(Sessions(KEY).issue("ana")) is None


def test_cookies_are_out_of_reach_of_scripts_and_other_sites() -> None:
    plain, https = (UiSettings(key=KEY, https_cookies=https) for https in (False, True))
    sessions = Sessions(KEY)
    header = cookie_header(plain, sessions, "v")
    assert "HttpOnly" in header
    assert "SameSite=Strict" in header
    assert "Secure" not in header
    assert "Secure" in cookie_header(https, sessions, "v")
    assert "Max-Age=0" in cookie_header(plain, sessions, "", seconds=0)


def test_projects_on_one_host_have_cookies_of_their_own() -> None:
    assert Sessions(KEY).cookie_name != Sessions(b"z" * 32).cookie_name
