"""What every route needs, handed to it by FastAPI: the project, the engine, and who is asking."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Path, Request

from app.store.projects import Project
from app.ui.engine import Engine
from app.ui.requests import MAX_ID
from app.ui.sessions import Session, Sessions
from app.ui.settings import UiSettings
from app.ui.throttle import Throttle


@dataclass(frozen=True)
class Server:
    """One running server."""

    project: Project
    engine: Engine
    settings: UiSettings
    sessions: Sessions
    throttle: Throttle = field(default_factory=Throttle)


def _server(request: Request) -> Server:
    found: Server = request.app.state.server
    return found


def _session(request: Request) -> Session:
    """The guard lets nobody in without one, except to the login page."""
    found: Session = request.state.session
    return found


def _user(request: Request) -> str:
    return _session(request).user


Here = Annotated[Server, Depends(_server)]
Visitor = Annotated[Session, Depends(_session)]
User = Annotated[str, Depends(_user)]
ItemId = Annotated[int, Path(ge=1, le=MAX_ID)]
