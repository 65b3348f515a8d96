"""Many rows into a table at once, for imports. Single acts of annotators go through ``app.store.acts``."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from app.store.coco_rows import Row
from app.store.schema import Base

_BATCH = 1000


def insert_rows(session: Session, table: type[Base], rows: Iterable[Row]) -> int:
    """Insert rows that all have the same columns, a batch at a time; returns how many there were."""
    plain: Table = table.metadata.tables[table.__tablename__]  # without the bookkeeping of objects
    stream, total = iter(rows), 0
    while batch := list(islice(stream, _BATCH)):
        session.execute(insert(plain), batch)
        total += len(batch)
    return total
