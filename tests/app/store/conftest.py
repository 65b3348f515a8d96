"""Every test that asks for ``database`` runs twice: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from postgres_server import TEST_POSTGRES, postgres_programs, postgres_server

from app.store.database import Database, open_database


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a server on which tests may create databases."""
    if given := os.environ.get(TEST_POSTGRES):
        yield given
        return
    programs = postgres_programs()
    if programs is None:
        pytest.skip(f"no PostgreSQL on this machine, and {TEST_POSTGRES} names none")
    # Not pytest's folder: only root can enter that, and PostgreSQL doesn't run as root.
    folder = Path(tempfile.mkdtemp(prefix="openseed-label-postgres-"))
    try:
        with postgres_server(programs, folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, to be copied: quicker than to migrate for each test."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    open_database(path).close()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> Iterator[str]:
    """Name of a database with an empty store, to be used as a template."""
    with new_database(postgres) as url:
        open_database(url).close()
        yield url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which database this test runs on."""
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where a store could be, but is not yet."""
    if kind == "sqlite":
        yield str(tmp_path / "empty.db")
        return
    with new_database(request.getfixturevalue("postgres")) as url:
        yield url


@pytest.fixture
def database_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A store of its own, migrated and empty."""
    if kind == "sqlite":
        path = tmp_path / "project.db"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        yield str(path)
        return
    template = request.getfixturevalue("migrated_postgres")
    with new_database(request.getfixturevalue("postgres"), template=template) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The same, opened."""
    opened = open_database(database_url)
    try:
        yield opened
    finally:
        opened.close()


class new_database:
    """A PostgreSQL database for a while: ``with new_database(server) as url``."""

    def __init__(self, server: str, *, template: str | None = None) -> None:
        self.server, self.template = server, template
        self.name = f"openseed_label_test_{uuid.uuid4().hex[:12]}"

    def __enter__(self) -> str:
        like = f' TEMPLATE "{self.template}"' if self.template else ""
        self._run(f'CREATE DATABASE "{self.name}"{like}')
        return f"{self.server.rpartition('/')[0]}/{self.name}"

    def __exit__(self, *_: object) -> None:
        self._run(f'DROP DATABASE "{self.name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(statement.encode())
