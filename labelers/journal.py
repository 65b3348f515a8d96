"""Crash-safe results: what is in the journal survives ``kill -9``, and what is torn is thrown away.

One JSON line for each finished photo, after a header line with the settings that made them:

    {"crc":"9f3c01aa","openseed-label journal":1,"fingerprint":{...}}
    {"crc":"0b6e77d1","key":"42","payload":{...}}

``crc`` is the CRC-32 of the bytes that follow it in the line. A line counts only if it is whole and its sum
is right, so a write that was cut at any byte is noticed. Only the place of each line is kept in memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows: two runs at once are not noticed there
    fcntl = None  # type: ignore[assignment]

JOURNAL_SUFFIX = ".journal"
"""The journal of an output file is its name with this behind it."""

_VERSION = 1
_CRC_START = b'{"crc":"'
_CRC_END = b'",'
_BODY = len(_CRC_START) + 8 + len(_CRC_END)  # where the bytes begin that the sum is over
_LONGEST_HEADER = 1 << 24  # so that some other file is not read whole in search of a line end
_LENGTH = "bytes of the line"  # what ``_header`` adds
_SYNC_EVERY = 1.0  # seconds; a power cut loses at most this much, a killed process nothing


class JournalError(ValueError):
    """The journal can't be used; the message says what to do."""


class JournalMismatch(JournalError):
    """The journal was written with other settings: its results can't be mixed with this run's."""


class JournalBusy(JournalError):
    """Another run is writing to this journal now."""


def journal_path(output: Path) -> Path:
    """Where the journal of ``output`` lies."""
    return output.with_name(output.name + JOURNAL_SUFFIX)


class Journal:
    """An open journal. Use as a context manager, or ``close`` it; safe to use from several threads."""

    def __init__(self, path: Path, stream: IO[bytes], places: dict[str, tuple[int, int]], end: int) -> None:
        self.path = path
        self._stream = stream
        self._places = places
        self._end = end
        self._lock = threading.Lock()
        self._synced = time.monotonic()

    @classmethod
    def open(cls, path: Path, *, fingerprint: Mapping[str, Any], overwrite: bool = False) -> Journal:
        """Continue the journal at ``path``, or start one.

        Args:
            path: the journal file.
            fingerprint: every setting that the results depend on, as JSON values.
            overwrite: start over, whatever is there.

        Raises ``JournalMismatch`` (other settings), ``JournalBusy`` (another run), ``JournalError`` (no journal).
        """
        stream = _open_locked(path)
        try:
            wanted = json.loads(json.dumps(fingerprint))
            if overwrite:
                stream.truncate(0)
            end = _check_header(path, wanted)
            if end == 0:
                stream.seek(0)
                stream.truncate(0)
                header = _line({"openseed-label journal": _VERSION, "fingerprint": wanted})
                _write_whole(stream, header)
                os.fsync(stream.fileno())
                _sync_folder(path.parent)
                return cls(path, stream, {}, len(header))
            places, end = _scan(path, end)
            stream.truncate(end)
            return cls(path, stream, places, end)
        except BaseException:
            stream.close()
            raise

    def done(self, key: str) -> bool:
        """True if there is a result for ``key``."""
        return key in self._places

    def keys(self) -> Iterator[str]:
        """The finished keys, in the order they were first finished."""
        return iter(tuple(self._places))

    def __len__(self) -> int:
        return len(self._places)

    def append(self, key: str, payload: Mapping[str, Any]) -> None:
        """Add a result; a later one for the same key replaces the earlier. The line is whole or not there.

        Raises ``OSError`` (disk full, say); what was there before is kept.
        """
        line = _line({"key": key, "payload": payload})
        with self._lock:
            self._stream.seek(self._end)
            try:
                _write_whole(self._stream, line)
            except BaseException:
                self._stream.truncate(self._end)
                raise
            self._places[key] = (self._end, len(line))
            self._end += len(line)
            if time.monotonic() - self._synced >= _SYNC_EVERY:
                self._sync()

    def read(self, key: str) -> dict[str, Any]:
        """The payload of ``key``. Raises ``KeyError`` if there is none."""
        with self._lock:
            start, length = self._places[key]
            self._stream.seek(start)
            line = self._stream.read(length)
        record = _parse(line)
        if record is None or record.get("key") != key:
            raise JournalError(f"{self.path}: line of {key!r} changed since it was opened; start over with --overwrite")
        payload: dict[str, Any] = record["payload"]
        return payload

    def _sync(self) -> None:
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()

    def close(self) -> None:
        """Put everything on disk and let go of the file; closing twice is fine."""
        with self._lock:
            if not self._stream.closed:
                self._sync()
                self._stream.close()

    def remove(self) -> None:
        """Close and delete: the output is in place, the journal has done its work."""
        self.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fingerprint_of(path: Path) -> dict[str, Any]:
    """The settings that the results at ``path`` were made with. Raises ``JournalError`` (no journal), ``OSError``."""
    fingerprint = _header(path).get("fingerprint")
    if not isinstance(fingerprint, dict):
        raise JournalError(f"{path}: nothing is in it yet; wait until its run has begun, or run it again")
    return fingerprint


def _open_locked(path: Path) -> IO[bytes]:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        stream = os.fdopen(handle, "r+b", buffering=0)
        if fcntl is None:
            return stream
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            stream.close()
            raise JournalBusy(f"{path}: another run is writing to it; wait until that one ends") from error
        except OSError:  # a file system without locks (some network drives)
            return stream
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return stream
        stream.close()  # the run that held the lock finished and removed the file meanwhile: take the new one


def _check_header(path: Path, wanted: Any) -> int:
    """Where the first result begins, or 0 if the journal holds nothing yet."""
    header = _header(path)
    if not header:
        return 0
    if header["openseed-label journal"] != _VERSION:
        raise JournalMismatch(f"{path}: written by another version of openseed-label; start over with --overwrite")
    differences = list(_differences(header["fingerprint"], wanted))
    if differences:
        raise JournalMismatch(
            f"{path}: holds results made with other settings ({'; '.join(differences)}); "
            "run again with the old settings to finish them, or start over with --overwrite"
        )
    return int(header[_LENGTH])


def _header(path: Path) -> dict[str, Any]:
    """The first line; empty if the journal holds nothing yet. Raises ``JournalError``: it is no journal."""
    with path.open("rb") as lines:
        first = lines.readline(_LONGEST_HEADER)
    if not first.endswith(b"\n") and first[: len(_CRC_START)] == _CRC_START[: len(first)]:
        return {}  # empty, or torn while the header was written: nothing is lost
    header = _parse(first)
    if header is None or "openseed-label journal" not in header:
        raise JournalError(
            f"{path}: this is no journal of openseed-label; move it away, or start over with --overwrite"
        )
    return header | {_LENGTH: len(first)}


def _differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield f"{name or 'fingerprint'} was {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _scan(path: Path, start: int) -> tuple[dict[str, tuple[int, int]], int]:
    """Place of each whole line, and the end of the last one. A damaged line between whole ones is passed over."""
    places: dict[str, tuple[int, int]] = {}
    end = position = start
    with path.open("rb") as lines:
        lines.seek(start)
        for line in lines:
            record = _parse(line)
            if record is not None and "key" in record:
                places[record["key"]] = (position, len(line))
                end = position + len(line)
            position += len(line)
    return places, end


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode("ascii")[1:]
    return _CRC_START + b"%08x" % zlib.crc32(body) + _CRC_END + body + b"\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    """The record of a line, None if the line is torn or damaged."""
    body = line[_BODY:-1]
    if not line.endswith(b"\n") or line[:_BODY] != _CRC_START + b"%08x" % zlib.crc32(body) + _CRC_END:
        return None
    record: dict[str, Any] = json.loads(b"{" + body)
    return record


def _write_whole(stream: IO[bytes], data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]


def _sync_folder(folder: Path) -> None:
    """Make the new name itself durable; not every system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
