"""What can go wrong in the store. Each message says what to do about it and never shows a password."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.store.records import AnnotationRecord


class StoreError(ValueError):
    """The store can't do what was asked: a value is out of range, or the database is not usable."""


class NotFound(StoreError):
    """There is no such photo, class or annotation in this project."""


class Busy(StoreError):
    """The database was locked by others for too long, or broke off to resolve a deadlock. Trying again helps."""


class Unavailable(StoreError):
    """The database can't be reached or written now: the disk is full, the connection is lost. Trying again later helps.

    Where the connection broke at the end of an act, it may have been stored all the same.
    """


class Conflict(StoreError):
    """Somebody else changed the annotation first.

    Attributes:
        annotation_id: which one.
        theirs: the annotation as it stands now; ``theirs.deleted`` where they deleted it.
        by: who did that. After an undo, this is not ``theirs.author``.
    """

    def __init__(self, message: str, *, theirs: AnnotationRecord, by: str) -> None:
        super().__init__(message)
        self.annotation_id = theirs.id
        self.theirs = theirs
        self.by = by


class Leased(StoreError):
    """Somebody else works on the photo.

    Attributes:
        image_id: which photo.
        by: who holds it.
        until: when the lease ends unless it is renewed, unix seconds.
    """

    def __init__(self, *, image_id: int, file_name: str, by: str, until: float) -> None:
        at = datetime.fromtimestamp(until, UTC).strftime("%H:%M:%S UTC")
        super().__init__(f"{by} works on photo {file_name} (until {at} unless they go on); take another photo")
        self.image_id = image_id
        self.by = by
        self.until = until


class NothingToUndo(StoreError):
    """No act of this annotator is left to undo, or to redo."""
