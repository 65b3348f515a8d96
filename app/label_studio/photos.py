"""The photo of a task: fetched once into a file of ours, looked at by the one safe reader, kept while there is room."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.label_studio.fetch import Fetcher, FetchError
from app.label_studio.tokens import Introduction
from app.serving.cache import SharedCache
from labelers.photos import PhotoError, PhotoHeader, read_header


@dataclass(frozen=True)
class PhotoFile:
    """A fetched photo."""

    path: Path
    header: PhotoHeader
    bytes: int


class PhotoFiles:
    """Safe to use from several threads; two who ask for the same photo share one download.

    Args:
        fetcher: where photos come from; its ``access`` has the limits.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self._folder = tempfile.TemporaryDirectory(prefix="openseed-label-photos-")
        self._files: SharedCache[str, PhotoFile] = SharedCache(
            10_000, fetcher.access.cache_bytes, at_once=8, size_of=lambda file: file.bytes, on_evict=_remove
        )

    def key(self, value: str, *, task_id: object, known: Introduction | None) -> tuple[str, str]:
        """What identifies the photo at an address of a task, and its absolute URL. Raises FetchError."""
        url = self.fetcher.address(value, task_id=task_id, known=known)
        named = f"{self.fetcher.credentials.base(known)} {value}" if "/resolve/?fileuri=" in url else url
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest(), url

    def get(self, key: str, url: str, *, source: str, known: Introduction | None) -> PhotoHeader:
        """Fetch the photo if it is not here. Raises PhotoError (FetchError among them)."""
        return self._files.get(key, lambda: self._fetched(key, url, source, known)).header

    def close(self) -> None:
        self._files.clear()
        self._folder.cleanup()
        self.fetcher.close()

    def _fetched(self, key: str, url: str, source: str, known: Introduction | None) -> PhotoFile:
        folder = Path(self._folder.name)
        path = folder / key
        try:
            self.fetcher.fetch(url, path, source=source, known=known)
            header = read_header(folder, key, max_pixels=self.fetcher.access.max_pixels)
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, PhotoError) and not isinstance(error, FetchError):
                # our file's name means nothing to anybody
                raise type(error)(source, error.reason, error.remedy) from error
            raise
        return PhotoFile(path, replace(header, source=source), path.stat().st_size)


def address_in(data: Mapping[str, Any], key: str, item: int) -> str:
    """The address that a task holds under ``key``, the ``item``-th where that is a list of pages.

    Raises FetchError: there is none.
    """
    found = _value(data, key)
    if isinstance(found, list):
        found = found[item] if 0 <= item < len(found) else None
    if isinstance(found, Mapping):  # pages may be objects
        found = found.get("url")
    if not isinstance(found, str) or not found.strip():
        raise FetchError(f"task data {key!r}", "holds no address of a photo", "check the task's data")
    return found.strip()


def _remove(file: PhotoFile) -> None:
    file.path.unlink(missing_ok=True)


def pages_in(data: Mapping[str, Any], key: str) -> int | None:
    """How many pages a task holds under ``key``; None where it holds no list but one photo."""
    found = _value(data, key)
    return len(found) if isinstance(found, list) else None


def _value(data: Mapping[str, Any], key: str) -> Any:
    """What stands under ``key``, or under its parts where it has dots."""
    found: Any = data.get(key)
    if found is None and "." in key:
        found = data
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    return found
