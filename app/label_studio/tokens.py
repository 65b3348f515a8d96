"""Which credentials go to which host: the configured token first, the one that /setup brings only where it belongs.

Label Studio has three kinds of token. A personal access token is a JWT that buys short-lived access tokens; a legacy
token is sent as it is; an access token is a JWT that has expired five minutes after somebody copied it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from app.label_studio.settings import Access

TokenKind = Literal["personal", "legacy", "access"]

_EARLY = 30.0
"""Seconds before its end at which an access token is no longer used."""


class TokenError(ValueError):
    """Label Studio takes no such token; the message says which one to use."""


@dataclass(frozen=True)
class Introduction:
    """What a Label Studio says of itself in ``/setup``. It is a claim: anybody who reaches the port can make one."""

    hostname: str
    token: str = field(default="", repr=False)


def kind_of(token: str) -> TokenKind:
    """Tell the kinds apart by their form, without asking anybody."""
    claims = _claims(token)
    if claims is None:
        return "legacy"
    return "access" if claims.get("token_type") == "access" else "personal"


def expiry_of(token: str) -> float | None:
    """When a JWT ends, seconds since 1970; None for other tokens and for a JWT that doesn't say."""
    end = (_claims(token) or {}).get("exp")
    return float(end) if isinstance(end, int | float) else None


def origin_of(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; all names of this machine are one. None where the URL is none of http or https."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError:
        return None
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme not in ("http", "https") or not host:
        return None
    return parts.scheme, "localhost" if is_loopback_host(host) else host, port


def is_loopback_host(host: str) -> bool:
    """Is this a name or an address of this machine?"""
    if host in ("localhost", "localhost.localdomain"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Credentials:
    """Decides on base URL and headers. Safe to use from several threads.

    Args:
        access: the configured URL and token.
        refresh: trades a personal access token for an access token: ``refresh(base_url, token) -> access``;
            raises TokenError.
    """

    def __init__(self, access: Access, refresh: Callable[[str, str], str]) -> None:
        self._url = access.url.rstrip("/") if access.url else None
        self._key = access.api_key
        self._refresh = refresh
        self._bought: tuple[str, float] | None = None
        self._lock = threading.Lock()

    def base(self, known: Introduction | None) -> str | None:
        """Where this Label Studio is: as configured, else what it said itself if that is on this machine."""
        if self._url is not None:
            return self._url
        origin = origin_of(known.hostname) if known is not None else None
        if known is None or origin is None or origin[1] != "localhost":
            return None
        return known.hostname.rstrip("/")

    def headers(self, url: str, known: Introduction | None, *, renew: bool = False) -> Mapping[str, str]:
        """The headers that authorise a request for ``url``; none where the URL is not Label Studio's.

        Args:
            renew: an access token that was bought before has just been refused.

        Raises:
            TokenError: the configured token is refused, or is of no use.
        """
        base = self.base(known)
        if base is None or origin_of(url) is None or origin_of(url) != origin_of(base):
            return {}
        if self._key:
            kind = kind_of(self._key)
            if kind == "personal":
                return {"Authorization": f"Bearer {self._access_token(base, self._key, renew=renew)}"}
            return {"Authorization": f"{'Bearer' if kind == 'access' else 'Token'} {self._key}"}
        if known is not None and known.token and origin_of(known.hostname) == origin_of(base):
            return {"Authorization": f"Token {known.token}"}
        return {}

    def _access_token(self, base: str, key: str, *, renew: bool) -> str:
        with self._lock:
            if self._bought is not None and not renew and time.time() < self._bought[1] - _EARLY:
                return self._bought[0]
            token = self._refresh(base, key)
            self._bought = (token, expiry_of(token) or time.time() + 60.0)
            return token


def _claims(token: str) -> dict[str, Any] | None:
    """What a JWT says; its signature is Label Studio's business."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return found if isinstance(found, dict) else None
