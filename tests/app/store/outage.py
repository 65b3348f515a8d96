"""A database that is really out of order for a while."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event, text

from app.store.database import Database


@contextmanager
def outage(database: Database) -> Iterator[None]:
    """SQLite: no file of this process may grow. PostgreSQL: every transaction loses its connection when it begins."""
    if database.is_sqlite:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        return

    def cut(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with database.engine.connect().execution_options(is_admin=True) as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    def begun(connection: Connection) -> None:
        if not connection.get_execution_options().get("is_admin"):
            cut(connection)

    event.listen(database.engine, "begin", begun)
    try:
        yield
    finally:
        event.remove(database.engine, "begin", begun)
