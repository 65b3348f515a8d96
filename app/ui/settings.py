"""What decides how the server behaves, besides the project and the labeler."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from app.serving.listen import is_loopback
from app.ui.passwords import Accounts

KIBI, MEBI = 1024, 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class UiSettings:
    """One server.

    Attributes:
        key: 32 random bytes or more that sign the sessions of this project.
        accounts: who may log in; None: nobody needs to, all is done in the name of ``annotator``.
        annotator: the name of the one local annotator.
        host: the address that the server listens on.
        allowed_hosts: host names that the browser may use for the server, besides IP addresses and localhost.
        https_cookies: a TLS proxy stands in front: cookies are sent over https only, origins must be https.
        session_seconds: how long a login lasts.
        model_name: shown to annotators.
        model_wait: seconds that a request for a mask waits for the model to be loaded.
        lease_seconds: how long an image stays with an annotator who does nothing.
        max_body: bytes of a request; ``max_upload``: bytes of an uploaded COCO file.
        opened_photos, opened_bytes: how many photos, and how many bytes of them, are kept ready.
        revoked: file of the sessions that were logged out before their time, None to keep that in memory.
    """

    key: bytes = field(repr=False)
    accounts: Accounts | None = None
    annotator: str = "annotator"
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    https_cookies: bool = False
    session_seconds: float = 24 * 3600.0
    model_name: str = "nano"
    model_wait: float = 30.0
    lease_seconds: float = 300.0
    max_body: int = MEBI
    max_upload: int = 512 * MEBI
    opened_photos: int = 4
    opened_bytes: int = 1024 * MEBI
    revoked: Path | None = None

    def __post_init__(self) -> None:
        if len(self.key) < 32:
            raise ValueError("the key that signs sessions needs 32 bytes or more")
        if self.accounts is None and not is_loopback(self.host):
            raise ValueError(f"without passwords the server may listen on loopback only, not on {self.host}")
