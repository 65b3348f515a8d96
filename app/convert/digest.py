"""Digests by which a run knows its input and its output again."""

from __future__ import annotations

import hashlib
from pathlib import Path

from app.convert.settings import Settings


def digest_of(settings: Settings) -> str:
    """Of all input files: the results' annotation rows mean nothing in other ones."""
    return "+".join(sha256(path) for path in (settings.source, settings.images_json) if path is not None)


def sha256(path: Path) -> str:
    """Of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
