"""Who may log in: a file of argon2 hashes, one shared password, or nobody at all.

The file has a line ``name:$argon2id$...`` for each annotator; it is read again when it changes, so that a
colleague can be added while the server runs.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.store.progress import MACHINES
from exporters.files import replacing

if TYPE_CHECKING:
    from argon2 import PasswordHasher

PASSWORD_VARIABLE = "OPENSEED_LABEL_PASSWORD"
"""Environment variable with one password for all annotators; each gives a name of their own."""

MIN_LENGTH, MAX_LENGTH, MAX_NAME = 8, 1024, 64

_log = logging.getLogger(__name__)


class PasswordError(ValueError):
    """A name, a password or the users file can't be used; the message says what to write instead."""


class Accounts(Protocol):
    """Who may log in."""

    def check(self, name: str, password: str) -> bool:
        """Is this the password? Takes as long for a name that nobody has."""
        ...

    def mark(self, name: str) -> str | None:
        """Changes when the password does, None when the account is gone: ends the sessions of before. Secret."""
        ...


@dataclass(frozen=True)
class UsersFile:
    """Accounts in a file of ``name:hash`` lines. Made by ``read``, which checks the file."""

    path: Path

    @staticmethod
    def read(path: Path) -> UsersFile:
        """Raises PasswordError: the file is missing, has no account, or a line that is none."""
        accounts = UsersFile(path)
        if not accounts.hashes():
            raise PasswordError(f"{path} has no account; make one: openseed-label project add-user {path} NAME")
        return accounts

    def hashes(self) -> Mapping[str, str]:
        """Name -> argon2 hash, as the file says now. Raises PasswordError."""
        try:
            stat = self.path.stat()
            return _read(self.path, (stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError as error:
            raise PasswordError(
                f"{self.path} can't be read ({error.strerror}); "
                f"make it: openseed-label project add-user {self.path} NAME"
            ) from error

    def check(self, name: str, password: str) -> bool:
        known = self._hash_of(name)
        return _matches(known or _nobody(), password) and known is not None

    def mark(self, name: str) -> str | None:
        known = self._hash_of(name)
        return None if known is None else hashlib.sha256(known.encode()).hexdigest()

    def _hash_of(self, name: str) -> str | None:
        """None for everybody while the file is broken: better nobody than anybody."""
        try:
            return self.hashes().get(name)
        except PasswordError as error:
            _log.error("nobody can log in: %s", error)
            return None


@dataclass(frozen=True)
class SharedPassword:
    """One password for everybody, kept as a hash; any annotator name will do. Made by ``of``."""

    hashed: str = field(repr=False)
    digest: str = field(repr=False)

    @staticmethod
    def of(password: str) -> SharedPassword:
        """Raises PasswordError: too short or too long."""
        _check_password(password, what=PASSWORD_VARIABLE)
        encoded = password.encode("utf-8", "surrogatepass")
        return SharedPassword(_hasher().hash(encoded), hashlib.sha256(encoded).hexdigest())

    def check(self, name: str, password: str) -> bool:
        return _matches(self.hashed, password) and name_problem(name) is None

    def mark(self, name: str) -> str | None:
        return self.digest  # not the salted hash: sessions outlive a restart with the same password


def add_user(path: Path, name: str, password: str) -> bool:
    """Write the account into the file, in place of an older one of that name.

    Returns True if the name is new. The file can be read by its owner only. Raises PasswordError, OSError.
    """
    problem = name_problem(name)
    if problem:
        raise PasswordError(f"the name {name!r} {problem}")
    _check_password(password, what="the password")
    hashes = _parse(path) if path.exists() else {}
    new = name not in hashes
    hashes[name] = _hasher().hash(password)
    make_private(path)
    with replacing(path) as stream:
        stream.write("".join(f"{user}:{hashed}\n" for user, hashed in hashes.items()).encode())
    return new


def name_problem(name: str) -> str | None:
    """What is wrong with the name of an annotator, None if nothing is."""
    if not name or name != name.strip():
        return "is empty or has a space at an end; write it without"
    if len(name) > MAX_NAME:
        return f"is longer than {MAX_NAME} characters; shorten it"
    if name in MACHINES:
        return "is what the program itself is called in the history; choose another"
    if ":" in name or not name.isprintable() or name.startswith("#"):
        return "has a character that names can't have (colon, control character, # in front); leave it out"
    return None


def _check_password(password: str, *, what: str) -> None:
    if len(password) < MIN_LENGTH:
        raise PasswordError(f"{what} has less than {MIN_LENGTH} characters; choose a longer one")
    if len(password.encode("utf-8", "surrogatepass")) > MAX_LENGTH:
        raise PasswordError(f"{what} is longer than {MAX_LENGTH} bytes; choose a shorter one")


@lru_cache(maxsize=2)
def _read(path: Path, stamp: tuple[int, int, int]) -> Mapping[str, str]:
    """The file at one state of it: ``stamp`` only tells the states apart."""
    return _parse(path)


def _parse(path: Path) -> dict[str, str]:
    hashes: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, _, hashed = line.partition(":")
        if not hashed.startswith("$argon2id$") or name_problem(name):
            raise PasswordError(
                f"{path} line {number} is no account (name:$argon2id$...); "
                f"remove it and run: openseed-label project add-user {path} NAME"
            )
        hashes[name] = hashed.strip()
    return hashes


@lru_cache(maxsize=1)
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=32 * 1024, parallelism=1)


@lru_cache(maxsize=1)
def _nobody() -> str:
    """A hash that no password has, so that unknown names cost what known ones cost."""
    return _hasher().hash(secrets.token_hex(32))


def _matches(hashed: str, password: str) -> bool:
    from argon2.exceptions import Argon2Error, InvalidHashError

    if len(password.encode("utf-8", "surrogatepass")) > MAX_LENGTH:
        return False
    try:
        return _hasher().verify(hashed, password.encode("utf-8", "surrogatepass"))
    except (Argon2Error, InvalidHashError):
        return False


def make_private(path: Path) -> None:
    """An empty file that only its owner can read, where there is none; what replaces it keeps the permissions."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
