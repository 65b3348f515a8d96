"""Sessions: a signed cookie, a CSRF token that belongs to it, and the list of those that were logged out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from app.ui.passwords import Accounts, make_private
from app.ui.settings import UiSettings
from exporters.files import replacing

MAX_COOKIE = 1024
"""Characters; a longer one is not ours and is not even verified."""


@dataclass(frozen=True)
class Session:
    """Who is asking.

    Attributes:
        id: random, in the signed cookie.
        user: the annotator's name; what they do is done in this name.
        csrf: the token that requests which change something must repeat in a header.
    """

    id: str
    user: str
    csrf: str = field(repr=False)

    def knows(self, token: str) -> bool:
        """Is this the CSRF token? In constant time."""
        return hmac.compare_digest(self.csrf.encode(), token.encode("utf-8", "surrogatepass"))


@dataclass(frozen=True)
class Revoked:
    """Sessions that ended before their time; kept in a file, so that a restart doesn't revive them.

    Attributes:
        path: a line ``id expiry`` for each, None to remember them in this process only.
    """

    path: Path | None = None
    _until: dict[str, float] = field(default_factory=dict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            for line in self.path.read_text("utf-8", "replace").splitlines():
                name, _, until = line.partition(" ")
                if until.replace(".", "", 1).isdigit():
                    self._until[name] = float(until)

    def add(self, session_id: str, *, until: float) -> None:
        """``until`` (unix seconds): afterwards the cookie is too old anyway. On the disk when this returns."""
        with self._lock:
            now = time.time()
            for name in [name for name, end in self._until.items() if end < now]:
                del self._until[name]
            self._until[session_id] = until
            if self.path is not None:
                make_private(self.path)
                with replacing(self.path) as stream:
                    stream.write("".join(f"{name} {end:.0f}\n" for name, end in self._until.items()).encode())

    def __contains__(self, session_id: object) -> bool:
        with self._lock:
            return session_id in self._until


@dataclass(frozen=True)
class Sessions:
    """Issues and reads session cookies.

    Attributes:
        key: signs the cookies and makes the CSRF tokens.
        accounts: whose passwords the sessions depend on, None if nobody needs one.
        seconds: how long a session lasts.
        revoked: those that were logged out.
    """

    key: bytes = field(repr=False)
    accounts: Accounts | None = None
    seconds: float = 24 * 3600.0
    revoked: Revoked = field(default_factory=Revoked)

    @property
    def cookie_name(self) -> str:
        """Another one for each key: browsers keep cookies by host, and several projects may run on one."""
        return f"openseed_{hashlib.sha256(self.key).hexdigest()[:8]}"

    def issue(self, user: str) -> str:
        """A new cookie for ``user``, who has proved to be that."""
        return self._signer().dumps([secrets.token_urlsafe(18), user, self._mark(user)])

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None if it is forged, too old, logged out, or its password has changed."""
        if not cookie or len(cookie) > MAX_COOKIE or not cookie.isascii():
            return None
        try:
            content = self._signer().loads(cookie, max_age=int(self.seconds))
        except BadSignature:  # SignatureExpired is one of them
            return None
        session_id, user, mark = content
        if session_id in self.revoked or not hmac.compare_digest(mark, self._mark(user)) or not mark:
            return None
        return Session(session_id, user, self._keyed("csrf", session_id))

    def end(self, session: Session) -> None:
        """From now on the cookie of this session opens nothing."""
        self.revoked.add(session.id, until=time.time() + self.seconds)

    def _mark(self, user: str) -> str:
        """Ties the cookie to the password that opened it; empty if the account is gone."""
        if self.accounts is None:
            return "local"
        mark = self.accounts.mark(user)
        return "" if mark is None else self._keyed("mark", mark)[:24]

    def _keyed(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}:{text}".encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _signer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self.key, salt="openseed-label session", signer_kwargs={"digest_method": hashlib.sha256}
        )


def cookie_header(settings: UiSettings, sessions: Sessions, value: str, *, seconds: float | None = None) -> str:
    """A Set-Cookie header; ``seconds`` 0 removes the cookie."""
    age = int(sessions.seconds if seconds is None else seconds)
    secure = "; Secure" if settings.https_cookies else ""
    return f"{sessions.cookie_name}={value}; Max-Age={age}; Path=/; HttpOnly; SameSite=Strict{secure}"
