"""Many rows into a table at once, for imports. Single acts of annotators go through ``app.store.acts``."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from app.store.coco_rows import IMPORTER, Row
from app.store.schema import ActRow, Base

_BATCH = 1000


def insert_rows(session: Session, table: type[Base], rows: Iterable[Row]) -> int:
    """Insert rows that all have the same columns, a batch at a time; returns how many there were."""
    plain: Table = table.metadata.tables[table.__tablename__]  # without the bookkeeping of objects
    stream, total = iter(rows), 0
    while batch := list(islice(stream, _BATCH)):
        session.execute(insert(plain), batch)
        total += len(batch)
    return total


def insert_act(session: Session, project_id: int) -> None:
    """One line in the log for the whole import: the rows themselves say what it made."""
    values = {"project_id": project_id, "actor": IMPORTER, "kind": "import", "created_at": time.time()}
    session.execute(insert(ActRow).values(values))
