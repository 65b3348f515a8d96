"""The key that signs the sessions of a project: from the environment, or a file that only its owner can read."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path

from app.errors import UsageError
from app.store.projects import Project

KEY_VARIABLE = "OPENSEED_LABEL_SECRET"
"""Environment variable with the key, for several servers of one project: at least 32 characters."""

_BYTES = 32


def state_file(project: Project, what: str) -> Path:
    """Where the server keeps ``what``: beside an SQLite file, else in the user's own folder for such things."""
    if project.database.is_sqlite:
        path = Path(project.database.url)
        return path.with_name(f"{path.name}.{what}")
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "openseed-label"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = hashlib.sha256(f"{project.database.url} {project.name}".encode()).hexdigest()[:16]
    return state / f"{name}.{what}"


def session_key(path: Path) -> bytes:
    """The key in the environment, else the one in ``path``, which is made (mode 0600) if it is not there.

    Raises UsageError: the key is too short, or others can read the file.
    """
    given = os.environ.get(KEY_VARIABLE, "")
    if given:
        if len(given) < _BYTES:
            raise UsageError(f"{KEY_VARIABLE} has less than {_BYTES} characters; use a longer random text")
        return given.encode("utf-8", "surrogatepass")
    _make(path)
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"{path} signs the sessions, and others can read it; run: chmod 600 {path}, or remove it")
    key = path.read_bytes()
    if len(key) < _BYTES:
        raise UsageError(f"{path} holds no key (it is too short); remove it, a new one is made at the next start")
    return key


def _make(path: Path) -> None:
    """Two starts at once agree on one key: the file appears whole, and only once."""
    if path.exists():
        return
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
        os.link(partial, path)
    except FileExistsError:
        pass
    finally:
        partial.unlink()
