"""Opening a database: SQLite in one file, or PostgreSQL by URL; and its transactions.

SQLite runs in WAL mode, so that readers and the one writer don't wait for each other, with full sync, so that what
was committed outlives a power cut. Writers start with BEGIN IMMEDIATE: what they read can't change before they write.
On PostgreSQL a writer locks the rows it is going to change.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError, TimeoutError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from app.store.errors import Busy, StoreError, Unavailable

VERSION_TABLE = "openseed_label_version"
"""Where Alembic notes the version. The name tells our databases from everybody else's."""

_WAIT_SECONDS = 30.0
_POSTGRES_OPTIONS = f"-c lock_timeout={_WAIT_SECONDS:.0f}s"
_SQLITE_MAGIC = b"SQLite format 3\0"
_MIGRATION_LOCK = 0x6F736C6D  # any number that other users of a PostgreSQL server are unlikely to take
_TRY_AGAIN = ("40001", "40P01", "55P03")  # serialization failure, deadlock, lock not available
_SQLITE_OUTAGES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_POSTGRES_OUTAGES = ("08", "53", "57", "58")  # connection, no disk or memory, shut down by hand, input and output


@dataclass(frozen=True)
class Database:
    """An open database. Safe to share between threads; every process opens its own.

    Attributes:
        url: how to call it in messages, without the password.
        engine: SQLAlchemy's.
    """

    url: str
    engine: Engine = field(repr=False)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """One consistent view: everything read here is of the same moment. Nothing can be written."""
        options: dict[str, Any] = {} if self.is_sqlite else _POSTGRES_READING
        with self._session(self.engine.execution_options(**options)) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, or undone altogether if it raises.

        Raises:
            Busy: the database stayed locked, or broke off to resolve a deadlock.
            Unavailable: it can't be written now (disk full, no right, connection lost).
        """
        with self._session(self.engine.execution_options(**_SQLITE_WRITING)) as session:
            yield session

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DBAPIError as error:
            raise _explained(error, self.url) from error
        except TimeoutError as error:
            raise Busy(f"{self.url}: too many requests at once; try again") from error
        except StaleDataError as error:  # somebody wrote past the locks that the store's own writers take
            raise Busy(f"{self.url}: an annotation was changed at the same moment; try again") from error

    def close(self) -> None:
        """Give the connections back. The last one to close an SQLite file folds its WAL into it."""
        self.engine.dispose()


_SQLITE_WRITING = {"openseed_label_write": True}
_POSTGRES_READING = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}


def open_database(url_or_path: str | Path, *, create: bool = True) -> Database:
    """Open a database and bring it up to this program's version.

    Args:
        url_or_path: a file or ``sqlite:///file`` for SQLite; ``postgresql://user@host/name`` for PostgreSQL.
        create: make the SQLite file, or fill the empty PostgreSQL database, where there is nothing yet.

    Raises:
        StoreError: the URL can't be read, the database belongs to another program or was made by a newer version of
            this one.
        Unavailable: the database can't be reached.
        Busy: another process held it locked for half a minute.
    """
    url = _url_of(url_or_path)
    shown = _shown(url)
    engine = _sqlite_engine(url, create=create) if url.drivername == "sqlite" else _postgres_engine(url)
    try:
        _prepare(engine, shown, create=create)
    except DBAPIError as error:
        engine.dispose()
        raise _explained(error, shown, password=url.password) from None  # the cause may quote the password
    except BaseException:
        engine.dispose()
        raise
    return Database(url=shown, engine=engine)


def is_database_url(text_or_path: str | Path) -> bool:
    """Whether this is the URL of a database rather than a file."""
    return str(text_or_path).startswith(("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:"))


def is_database_file(path: Path) -> bool:
    """Whether the file is an SQLite database (anybody's)."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC
    except OSError:
        return False


def _url_of(url_or_path: str | Path) -> URL:
    given = str(url_or_path)
    if isinstance(url_or_path, Path) or "://" not in given:
        return URL.create("sqlite", database=given)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError):
        raise StoreError(
            "the database URL can't be read; write postgresql://user:password@host:port/name "
            "(with %40 for an @ in the password) or the path of an SQLite file"
        ) from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        return URL.create("sqlite", database=url.database)
    raise StoreError(f"databases of the kind {url.drivername!r} are not supported; use postgresql:// or an SQLite file")


def _shown(url: URL) -> str:
    """The URL for messages: no password, and no options, which may hold one."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def _sqlite_engine(url: URL, *, create: bool) -> Engine:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise StoreError("the store needs an SQLite file, so that nothing is lost; give a path")
    path = Path(url.database)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise StoreError(f"{path}: can't be a database file here; give a file in a folder that exists")
    if not path.exists() and not create:
        raise StoreError(f"{path}: there is no such project; import a dataset into it first")
    if path.exists() and path.stat().st_size and not is_database_file(path):
        raise StoreError(f"{path}: is not an SQLite database; give another file name")
    engine = create_engine(
        url,
        connect_args={"timeout": _WAIT_SECONDS, "isolation_level": None},
        pool_size=8,
        max_overflow=32,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _on_sqlite_connect)
    event.listen(engine, "begin", _on_sqlite_begin)
    return engine


def _on_sqlite_connect(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _on_sqlite_begin(connection: Connection) -> None:
    # The driver starts no transaction of its own (isolation_level None): a writer must lock before it reads.
    write = connection.get_execution_options().get("openseed_label_write", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _postgres_engine(url: URL) -> Engine:
    return create_engine(
        url,
        connect_args={"connect_timeout": 10, "application_name": "openseed-label", "options": _POSTGRES_OPTIONS},
        pool_size=8,
        max_overflow=16,
        pool_pre_ping=True,  # a restarted server costs nothing but a moment
        hide_parameters=True,
    )


def _prepare(engine: Engine, shown: str, *, create: bool) -> None:
    """Migrate under a lock, so that two servers that start at once don't collide."""
    if engine.dialect.name == "sqlite":
        _use_wal(engine, shown)
    with engine.execution_options(**_SQLITE_WRITING).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        _migrate(connection, shown, create=create)


def _use_wal(engine: Engine, shown: str) -> None:
    """Switch the file to WAL. SQLite doesn't wait for others here, so this does."""
    deadline = time.monotonic() + _WAIT_SECONDS
    raw = engine.raw_connection()
    try:
        while True:
            cursor = raw.cursor()
            try:
                mode = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise OperationalError("PRAGMA journal_mode = WAL", None, error) from error
                time.sleep(0.05)
            finally:
                cursor.close()
    finally:
        raw.close()
    if mode != "wal":
        raise StoreError(f"{shown}: SQLite can't use its WAL here; put the file on a local disk")


def _migrate(connection: Connection, shown: str, *, create: bool) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    tables = inspect(connection).get_table_names()
    if VERSION_TABLE not in tables:
        if tables:
            raise StoreError(f"{shown}: is the database of another program; give an empty one")
        if not create:
            raise StoreError(f"{shown}: there is no project in it yet; import a dataset first")
    current = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise StoreError(f"{shown}: was made by a newer version of openseed-label; update this program")
    command.upgrade(config, "head")


def _explained(error: DBAPIError, shown: str, *, password: str | None = None) -> StoreError:
    reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    if password:
        reason = reason.replace(str(password), "***")
    if "locked" in reason or getattr(error.orig, "sqlstate", None) in _TRY_AGAIN:
        return Busy(f"{shown}: others keep the database locked ({reason}); try again")
    if _is_outage(error):
        return Unavailable(f"{shown}: the database can't be used now ({reason}); see to its disk or its server")
    return StoreError(f"{shown}: the database refused ({reason})")


def _is_outage(error: DBAPIError) -> bool:
    """Is it the database's state that is to blame, and not what it was asked?"""
    if isinstance(error.orig, sqlite3.Error):
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in _SQLITE_OUTAGES  # the low byte is the kind
    state = getattr(error.orig, "sqlstate", None)
    if state is None:  # no answer at all
        return isinstance(error, OperationalError | InterfaceError)
    return state[:2] in _POSTGRES_OUTAGES
