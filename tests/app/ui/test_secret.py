"""The key of the sessions: made once, private, or given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import UsageError
from app.store.projects import Project
from app.ui.secret import KEY_VARIABLE, session_key, state_file


def test_the_key_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: session_key(path), range(16)))
    assert len(keys) == 1
    assert len(keys.pop()) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["key"]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    session_key(path)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        session_key(path)


def test_a_key_that_is_too_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"short")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(UsageError, match="too short"):
        session_key(tmp_path / "key")
    monkeypatch.setenv(KEY_VARIABLE, "short")
    with pytest.raises(UsageError, match=KEY_VARIABLE):
        session_key(tmp_path / "other")


def test_a_key_of_the_environment_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "k" * 40)
    assert session_key(tmp_path / "key") == b"k" * 40
    assert list(tmp_path.iterdir()) == []


def test_the_key_stands_beside_the_project(project: Project) -> None:
    assert state_file(project, "session-key").name == "data.openseed.db.session-key"
