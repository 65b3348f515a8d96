"""The parquet files of one split, filled row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

# A row group is what a reader holds at once; a shard is what one download brings.
_GROUP_ROWS, _GROUP_BYTES, _SHARD_BYTES = 1000, 64 * 2**20, 400 * 2**20


class Shards:
    """Open files in ``folder``. Their names say how many there are, so they get them at the end, with ``rename``."""

    def __init__(self, name: str, folder: Path, schema: pa.Schema) -> None:
        self.name, self._folder, self._schema = name, folder, schema
        self._rows: list[dict[str, Any]] = []
        self._bytes = self._shard_bytes = 0
        self._parts: list[Path] = []
        self._writer: pq.ParquetWriter | None = None
        self._open()

    def _open(self) -> None:
        self._parts.append(self._folder / f"{self.name}-{len(self._parts):05d}.partial")
        self._writer = pq.ParquetWriter(self._parts[-1], self._schema, compression="zstd")
        self._shard_bytes = 0

    def add(self, row: dict[str, Any], photo_bytes: int) -> None:
        self._rows.append(row)
        self._bytes += photo_bytes + 200 + 400 * len(row["objects"])
        if len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._flush()
            if self._shard_bytes >= _SHARD_BYTES:
                self.close()
                self._open()

    def _flush(self) -> None:
        if self._rows and self._writer is not None:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
        self._shard_bytes += self._bytes
        self._rows, self._bytes = [], 0

    def close(self) -> None:
        if self._writer is not None:
            try:
                self._flush()
            finally:
                self._writer.close()
                self._writer = None

    def rename(self) -> None:
        for k, part in enumerate(self._parts):
            part.rename(self._folder / f"{self.name}-{k:05d}-of-{len(self._parts):05d}.parquet")
