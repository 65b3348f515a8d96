"""Photos in a bucket or on a web server: a folder by URL, and files in it as bytes in memory.

Nothing but what the user named is asked: file names may not be URLs or lead out of the folder (``labelers.paths``),
and web servers may not send us elsewhere.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.:-]+://", re.ASCII)

MAX_BYTES = 512 << 20
"""A larger file is no photo: uncompressed, the largest allowed photo has 600 MB."""

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "http": "http", "https": "http"}
"""Schemes that need an optional dependency of this package, by its name."""

T = TypeVar("T")

_AGAIN_AFTER = 0.5  # seconds between the two tries
_CERTAIN = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # trying again is no use


class RemoteError(ValueError):
    """The URL can't be used; the message says what to do."""


@dataclass(frozen=True)
class RemoteFolder:
    """A folder by URL. Small, and may travel to another process.

    Attributes:
        url: without a slash at its end.
    """

    url: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", self.url.rstrip("/"))

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemoteFile:
        """A file of this folder: ``name`` with slashes, in which nothing has a meaning for URLs."""
        return RemoteFile(self.url, name)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a folder by URL; once ``fetched``, with its bytes."""

    folder: str
    name: str
    data: bytes | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"

    def fetched(self, *, most: int = MAX_BYTES) -> RemoteFile:
        """The same with its bytes; an error that may pass is tried once more.

        Raises FileNotFoundError, PermissionError, RemoteError (too large), and what else the library raises.
        """
        system, root = system_of(self.folder)
        web = self.folder.lower().startswith(("http:", "https:"))
        path = f"{root.rstrip('/')}/{quote(self.name) if web else self.name}"

        def read() -> bytes:
            if web:  # a server may ignore that only a part is wanted
                with system.open(path, "rb") as stream:
                    return bytes(stream.read(most + 1))
            return bytes(system.cat_file(path, start=0, end=most + 1))

        data = twice(read)
        if len(data) > most:
            raise RemoteError(f"{self}: larger than {most >> 20} MiB; shrink it")
        return RemoteFile(self.folder, self.name, data)

    def open(self, mode: str = "rb") -> io.BytesIO:
        """A stream over the bytes, fetched now where they are not here yet."""
        found = self if self.data is not None else self.fetched()
        return io.BytesIO(found.data or b"")


def place(text: str) -> Path | RemoteFolder:
    """What an option names: a path (also as ``file://``), or a folder by URL. Raises RemoteError."""
    if not URL.match(text):
        return Path(text)
    check(text)
    if text.lower().startswith(("file://", "local://")):
        return Path(unquote(urlsplit(text).path) if text.lower().startswith("file:") else text.split("://", 1)[1])
    return RemoteFolder(text)


def check(url: str) -> None:
    """Raises RemoteError: no such kind of URL, or a library for it is missing; the message says which."""
    from fsspec import get_filesystem_class

    scheme = url.partition("://")[0].lower()
    if "::" in url:
        raise RemoteError(f"{url}: URLs in URLs are not supported; give one URL, such as s3://bucket/folder")
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        wanted = f'"openseed-label[{EXTRAS[scheme]}]"' if scheme in EXTRAS else "the library named here"
        raise RemoteError(f"{url}: pip install {wanted} ({error})") from error
    except ValueError as error:
        raise RemoteError(f"{url}: {scheme}:// is not known; use a path, s3://, gs:// or https://") from error


def system_of(url: str) -> tuple[Any, str]:
    """The file system of a URL (fsspec keeps one for each kind and thread), and the path in it. Raises RemoteError."""
    from fsspec.core import url_to_fs

    check(url)
    # a redirect could lead to a machine that only this one can reach
    options: dict[str, Any] = {"allow_redirects": False} if url.startswith(("http:", "https:")) else {}
    system, path = url_to_fs(url, **options)
    return system, path


def twice(work: Callable[[], T]) -> T:
    """What ``work`` gives; tried once more after an error that may pass."""
    try:
        return work()
    except _CERTAIN:
        raise
    except Exception:
        time.sleep(_AGAIN_AFTER)
        return work()
