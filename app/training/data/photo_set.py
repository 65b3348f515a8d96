"""What every reader of training data gives, and how it speaks of what it had to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import UsageError
from app.training.data.classes import Classes
from exporters.coco_columns import Problems
from openseed_core.training.photos import PhotoRecord

_SHOWN = 5


class DataError(UsageError):
    """A data set can't be used; the message names file, field and remedy."""


@dataclass(frozen=True)
class PhotoSet:
    """A data set for training.

    Attributes:
        records: the usable photos.
        names: the classes, as the data set writes them; labels of the records index them.
        synonyms: for each class the texts it goes by in training; one is drawn for each step.
        things: indices of the classes that come in instances; the others are stuff.
        problems: what was left out and why, one line for each kind of fault.
    """

    records: tuple[PhotoRecord, ...]
    names: tuple[str, ...]
    synonyms: tuple[tuple[str, ...], ...]
    things: frozenset[int]
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.names) != len(self.synonyms) or not all(self.synonyms):
            raise ValueError(f"{len(self.names)} names need as many lists of synonyms, none of them empty")


def photo_set(path: Path | str, records: Sequence[PhotoRecord], classes: Classes, problems: Problems) -> PhotoSet:
    """Put together what a reader found.

    Raises:
        DataError: no photo can be used.
    """
    lines = tuple(f"{path}: {line}" for line in problems.lines())
    if not records:
        shown = "".join(f"\n  {line}" for line in lines[:_SHOWN])
        raise DataError(f"{path}: no photo with an annotation that can be trained on{shown}")
    return PhotoSet(tuple(records), *classes.listed(), problems=lines)
