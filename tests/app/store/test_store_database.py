"""Opening databases: migrations, refusals, transactions, triggers."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from outage import outage
from sample_project import image_ids, sample_project
from sqlalchemy import text

from app.store.acts import Create, commit
from app.store.database import VERSION_TABLE, Database, is_database_file, is_database_url, open_database
from app.store.errors import StoreError, Unavailable
from app.store.schema import Base, ProjectRow


def test_migrations_lead_to_the_schema(database: Database) -> None:
    options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata) == []


def test_a_fresh_database_is_made_once_by_many_at_the_same_time(empty_url: str) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            with open_database(empty_url).writing() as session:
                session.execute(text("SELECT count(*) FROM projects"))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("table", ["acts", "events"])
def test_the_log_can_only_grow(database: Database, table: str) -> None:
    project = sample_project(database, photos=1, boxes=1)
    [photo] = image_ids(project)
    commit(project, [Create({"box": (1, 1, 2, 2)})], actor="ann", kind="create", image_id=photo)
    for statement in (f"UPDATE {table} SET id = id + 100", f"DELETE FROM {table}"):
        with pytest.raises(StoreError, match=f"{table} is append-only"), database.writing() as session:
            session.execute(text(statement))
    if not database.is_sqlite:
        with pytest.raises(StoreError, match="is append-only"), database.writing() as session:
            session.execute(text(f"TRUNCATE {table} CASCADE"))


def test_the_rank_in_the_queue_can_not_drift(database: Database) -> None:
    sample_project(database, photos=1, boxes=1)
    with pytest.raises(StoreError, match="review_rank"), database.writing() as session:
        session.execute(text("UPDATE annotations SET quality = 0.5, counts = 'abc'"))


def test_a_failed_block_leaves_nothing(database: Database) -> None:
    def interrupted() -> None:
        with database.writing() as session:
            session.add(ProjectRow(name="p", images_root="/photos", created_at=0.0))
            session.flush()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM projects")) == 0


def test_reading_can_not_write(database: Database) -> None:
    with pytest.raises(StoreError, match=r"read-?only"), database.reading() as session:
        session.execute(text("INSERT INTO projects (name, images_root, created_at) VALUES ('p', '/', 0)"))
    with database.writing() as session:
        session.execute(text("INSERT INTO projects (name, images_root, created_at) VALUES ('p', '/', 0)"))


def test_reading_sees_one_moment(database: Database) -> None:
    count = text("SELECT count(*) FROM projects")
    with database.reading() as session:
        before = session.scalar(count)
        with database.writing() as other:
            other.add(ProjectRow(name="p", images_root="/photos", created_at=0.0))
        assert session.scalar(count) == before == 0
    with database.reading() as session:
        assert session.scalar(count) == 1


def test_an_outage_is_told_from_a_refusal_and_ends(database: Database) -> None:
    def add(name: str) -> None:
        with database.writing() as session:
            session.add(ProjectRow(name=name, images_root="/photos", created_at=0.0))

    add("before")
    with outage(database), pytest.raises(Unavailable, match="see to its disk or its server"):
        add("meanwhile")
    add("after")
    with database.reading() as session:
        assert list(session.scalars(text("SELECT name FROM projects ORDER BY id"))) == ["before", "after"]


def test_sqlite_keeps_what_was_committed(migrated_sqlite: Path) -> None:
    database = open_database(migrated_sqlite)
    with database.writing() as session:
        pragmas = {
            name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    database.close()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_newer_store_is_refused(database: Database, database_url: str) -> None:
    with database.writing() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        open_database(database_url)


def test_another_programs_database_is_refused(empty_url: str, kind: str) -> None:
    if kind == "sqlite":
        connection = sqlite3.connect(empty_url)
        connection.execute("CREATE TABLE bookmarks (id INTEGER)")
        connection.close()
    else:
        import psycopg

        with psycopg.connect(empty_url) as other:
            other.execute("CREATE TABLE bookmarks (id INTEGER)")
    with pytest.raises(StoreError, match="another program"):
        open_database(empty_url)


def test_nothing_is_made_where_nothing_should_be(empty_url: str) -> None:
    with pytest.raises(StoreError, match="import a dataset"):
        open_database(empty_url, create=False)
    open_database(empty_url).close()
    open_database(empty_url, create=False).close()


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    text_file = tmp_path / "notes.db"
    text_file.write_text("not a database, but long enough to look like one " * 4)
    with pytest.raises(StoreError, match="not an SQLite database"):
        open_database(text_file)
    with pytest.raises(StoreError, match="folder that exists"):
        open_database(tmp_path / "absent" / "project.db")
    with pytest.raises(StoreError, match="folder that exists"):
        open_database(tmp_path)
    with pytest.raises(StoreError, match="give a path"):
        open_database("sqlite://")
    assert not is_database_file(text_file)
    assert not is_database_file(tmp_path / "absent")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:sesame@127.0.0.1:1/labels",
        "postgresql+psycopg://ann:sesame@127.0.0.1:1/labels?application_name=sesame",
        "postgresql://ann@127.0.0.1:1/labels?password=sesame",
        "postgresql://ann:sesame@127.0.0.1:one/labels",
        "mysql://ann:sesame@127.0.0.1/labels",
    ],
)
def test_no_password_in_a_message(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_database(url)
    error: BaseException | None = caught.value
    assert "sesame" not in str(error)
    assert caught.value.__cause__ is None


def test_a_database_says_where_it_is(database: Database, kind: str) -> None:
    assert kind == "sqlite" or database.url.startswith("postgresql+psycopg://postgres@")
    assert "password" not in repr(database)


def test_urls_and_files_are_told_apart(migrated_sqlite: Path) -> None:
    assert is_database_url("postgresql://host/name")
    assert is_database_url("sqlite:///project.db")
    assert not is_database_url("project.db")
    assert is_database_file(migrated_sqlite)
    open_database(f"sqlite:///{migrated_sqlite}").close()
