"""A small project, a labeler that needs no model, and browsers that behave (or not)."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from coco_data import COCO, save_photos
from fakes import FakeLabeler
from page_client import KEY, Browser
from starlette.testclient import TestClient

from app.store.coco_import import import_coco
from app.store.database import open_database
from app.store.projects import Project
from app.ui.app import build_api
from app.ui.passwords import UsersFile, add_user
from app.ui.settings import UiSettings


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied: quicker than to migrate for each test."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    open_database(path).close()
    return path


@pytest.fixture(scope="session")
def users_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Accounts of ana and ben; the passwords are slow to hash on purpose."""
    path = tmp_path_factory.mktemp("users") / "users"
    add_user(path, "ana", "correct horse")
    add_user(path, "ben", "battery staple")
    return path


@pytest.fixture
def project(tmp_path: Path, empty_store: Path) -> Iterator[Project]:
    """Two photos of 64 x 48 with boxes, one without; annotations 1 to 4 in that order."""
    source = tmp_path / "data.json"
    save_photos(tmp_path)
    source.write_text(COCO)
    database = open_database(shutil.copy(empty_store, tmp_path / "data.openseed.db"))
    yield import_coco(database, source, images_root=tmp_path, name="data")
    database.close()


@pytest.fixture
def labeler() -> FakeLabeler:
    return FakeLabeler(empty_names=("ghost",))


@pytest.fixture
def settings() -> UiSettings:
    return UiSettings(key=KEY, annotator="ana", model_name="fake", model_wait=5.0)


@pytest.fixture
def app(project: Project, labeler: FakeLabeler, settings: UiSettings) -> Any:
    return build_api(project, lambda: labeler, settings)


@pytest.fixture
def ana(app: Any) -> Iterator[Browser]:
    """The local annotator of a server without passwords."""
    with TestClient(app):  # runs the server's start and end once
        yield Browser(app)


@pytest.fixture
def guarded(
    project: Project, labeler: FakeLabeler, users_file: Path, tmp_path: Path
) -> Iterator[Callable[[], Browser]]:
    """A server with accounts for ana and ben; makes browsers that nobody has logged in with."""
    settings = UiSettings(key=KEY, accounts=UsersFile.read(users_file), host="0.0.0.0", revoked=tmp_path / "sessions")
    app = build_api(project, lambda: labeler, settings)
    with TestClient(app):
        yield lambda: Browser(app, csrf=False)
