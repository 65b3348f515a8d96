"""Photos over HTTP: from allowed hosts only, a few redirects, so many bytes, so many seconds."""

from __future__ import annotations

import base64
import fnmatch
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

import httpx

from app.label_studio.settings import Access
from app.label_studio.tokens import Credentials, Introduction, TokenError, origin_of
from labelers.paths import PhotoError

CLOUD_SCHEMES = ("s3", "gs", "azure-blob")
CLOUD_HOSTS = ("*.amazonaws.com", "storage.googleapis.com", "*.storage.googleapis.com", "*.blob.core.windows.net")
"""Where Label Studio's signed links to cloud storages lead. Links of other storages: ``--allow-host``."""

_REDIRECTS = 4
_CHUNK = 1 << 16
_USER_AGENT = "openseed-label"


class FetchError(PhotoError):
    """The photo of a task can't be had."""


class Headers(Protocol):
    """``Credentials.headers``, for one Label Studio."""

    def __call__(self, url: str, *, renew: bool = False) -> Mapping[str, str]: ...


class Fetcher:
    """Downloads. Safe to use from several threads.

    Args:
        access: hosts and limits.
        credentials: None: those of ``access``.
    """

    def __init__(self, access: Access, credentials: Credentials | None = None) -> None:
        self.access = access
        self.client = httpx.Client(
            follow_redirects=False,
            timeout=httpx.Timeout(access.seconds, connect=min(access.seconds, 5.0)),
            headers={"User-Agent": _USER_AGENT},
        )
        self.credentials = credentials or Credentials(access, partial(buy_access, self.client))

    def close(self) -> None:
        self.client.close()

    def address(self, value: str, *, task_id: object, known: Introduction | None) -> str:
        """The absolute URL of what a task holds: http(s), ``/data/...`` or a cloud URI. ``data:`` stays as it is.

        Raises FetchError: some other scheme, or nobody knows where Label Studio is.
        """
        scheme = urlsplit(value).scheme.lower() if ":" in value.split("/")[0] else ""
        if scheme in ("http", "https", "data"):
            return value
        cloud = scheme in CLOUD_SCHEMES
        if scheme and not cloud:
            raise FetchError(
                shown(value), f"{scheme}: addresses are not fetched", "give an http(s) address or upload the photo"
            )
        base = self.credentials.base(known)
        if base is None:
            raise FetchError(
                shown(value),
                f"it is on Label Studio, whose address is not known{_said(known)}",
                "start with --label-studio URL (or LABEL_STUDIO_URL)",
            )
        if cloud:
            coded = base64.urlsafe_b64encode(value.encode()).decode()
            return f"{base}/tasks/{quote(str(task_id), safe='')}/resolve/?fileuri={coded}"
        return f"{base}/{value.lstrip('/')}"

    def fetch(self, url: str, target: Path, *, source: str, known: Introduction | None) -> None:
        """Write the photo at ``url`` (absolute, or ``data:``) to ``target``.

        Args:
            source: what messages call it.

        Raises FetchError.
        """
        if url.startswith("data:"):
            target.write_bytes(self._inline(url, source))
            return
        cloud = "/resolve/?fileuri=" in url
        deadline = time.monotonic() + self.access.seconds
        renew = False
        for _ in range(_REDIRECTS + 1):
            self._check_host(url, source, known, cloud=cloud)
            try:
                headers = self.credentials.headers(url, known, renew=renew)
                with self.client.stream("GET", url, headers=headers) as answer:
                    if answer.is_redirect:
                        url = urljoin(url, answer.headers.get("location", ""))
                        continue
                    if (
                        answer.status_code == 401
                        and headers.get("Authorization", "").startswith("Bearer")
                        and not renew
                    ):
                        renew = True
                        continue
                    if answer.status_code != 200:
                        raise self._refused(source, answer.status_code, sent=bool(headers))
                    self._copy(answer, target, source, deadline)
                    return
            except TokenError as error:
                raise FetchError(source, str(error), "give a token that works") from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                said = str(error) or type(error).__name__
                raise FetchError(
                    source, f"can't be fetched ({said})", "is the server up, and the address right?"
                ) from error
        raise FetchError(source, f"more than {_REDIRECTS} redirects", "give the address that they lead to")

    def _check_host(self, url: str, source: str, known: Introduction | None, *, cloud: bool) -> None:
        origin = origin_of(url)
        if origin is None:
            raise FetchError(source, "it leads to an address that is not http(s)", "give an http(s) address")
        base = self.credentials.base(known)
        if base is not None and origin == origin_of(base):
            return
        allowed = (*self.access.allowed_hosts, *(CLOUD_HOSTS if cloud else ()))
        if not allows(allowed, origin[1], origin[2]):
            raise FetchError(
                source,
                f"photos are not fetched from {origin[1]}",
                f"if you trust that host, start with --allow-host {origin[1]}",
            )

    def _copy(self, answer: httpx.Response, target: Path, source: str, deadline: float) -> None:
        too_large = FetchError(
            source, f"larger than the {self.access.max_bytes:,} bytes allowed", "shrink it, or raise --max-photo-mb"
        )
        announced = answer.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self.access.max_bytes:
            raise too_large
        seen = 0
        with target.open("wb") as out:
            for part in answer.iter_bytes(_CHUNK):
                seen += len(part)
                if seen > self.access.max_bytes:
                    raise too_large
                if time.monotonic() > deadline:
                    raise FetchError(
                        source, f"took longer than {self.access.seconds:g} s", "try again, or use a nearer host"
                    )
                out.write(part)

    def _inline(self, url: str, source: str) -> bytes:
        head, comma, body = url.partition(",")
        if not comma or len(body) * 3 // 4 > self.access.max_bytes:
            raise FetchError(source, "the data: address is cut off or too large", "upload the photo")
        try:
            return base64.b64decode(body, validate=False) if head.endswith(";base64") else unquote_to_bytes(body)
        except ValueError as error:
            raise FetchError(source, "the data: address holds no base64", "upload the photo") from error

    def _refused(self, source: str, status: int, *, sent: bool) -> FetchError:
        if status in (401, 403):
            told = "the token was refused" if sent else "no token was sent"
            return FetchError(
                source,
                f"Label Studio or the storage answers {status} ({told})",
                "set LABEL_STUDIO_API_KEY to a personal access token (Account & Settings); "
                "`openseed-label doctor --label-studio URL` says more",
            )
        if status == 404:
            return FetchError(
                source,
                "there is no such file (404)",
                "is the storage connected to the project, and does Label Studio serve local files?",
            )
        return FetchError(source, f"the server answers {status}", "look into its log")


def buy_access(client: httpx.Client, base: str, token: str) -> str:
    """Trade a personal access token for an access token. Raises TokenError."""
    try:
        answer = client.post(f"{base}/api/token/refresh/", json={"refresh": token})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TokenError(f"Label Studio at {base} does not answer ({error})") from error
    found = answer.json().get("access") if answer.status_code == 200 else None
    if not isinstance(found, str):
        raise TokenError(
            f"Label Studio refuses the personal access token ({answer.status_code}); make a new one under "
            "Account & Settings and set LABEL_STUDIO_API_KEY"
        )
    return found


def allows(patterns: tuple[str, ...], host: str, port: int) -> bool:
    """Does one of the patterns (``name``, ``name:port``, ``*.suffix``) cover the host?"""
    for pattern in patterns:
        name, colon, wanted = pattern.lower().rpartition(":")
        if colon and wanted.isdigit():
            if int(wanted) == port and fnmatch.fnmatchcase(host, name):
                return True
        elif fnmatch.fnmatchcase(host, pattern.lower()):
            return True
    return False


def shown(value: str) -> str:
    """An address for messages: without the query, which may hold signatures, and not endless."""
    text = value.partition(";")[0] + ";..." if value.startswith("data:") else value
    if "local-files" not in text:
        text = text.partition("?")[0]
    return text if len(text) <= 200 else text[:197] + "..."


def _said(known: Introduction | None) -> str:
    return f" (it calls itself {known.hostname}, which only configuration can confirm)" if known is not None else ""
