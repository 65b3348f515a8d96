"""What an opened photo takes of the memory that a server may use."""

from __future__ import annotations

VIEWS_BYTES = 64 * 1024 * 1024
"""What a labeler may keep of a photo besides its pixels: the features of some views."""


def bytes_of(*, height: int, width: int) -> int:
    """Decoded RGB pixels and the labeler's features."""
    return height * width * 3 + VIEWS_BYTES
