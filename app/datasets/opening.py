"""Open a data set of any format, and gather what is wrong with it instead of stopping there."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from exporters.dataset import Dataset
from exporters.formats import detect, load

KEPT = 1000
"""Messages that are kept in full; the others are counted only."""


@dataclass
class Problems:
    """What could not be read, each message once, though a data set is walked through more than once.

    Attributes:
        messages: the first of them, in order.
        count: of all different ones.
    """

    messages: list[str] = field(default_factory=list)
    _seen: set[int] = field(default_factory=set, repr=False)

    def add(self, message: str) -> None:
        key = hash(message)
        if key in self._seen:
            return
        self._seen.add(key)
        if len(self.messages) < KEPT:
            self.messages.append(message)

    @property
    def count(self) -> int:
        return len(self._seen)

    def lines(self, limit: int = 20) -> list[str]:
        """The first messages, and how many more there are."""
        more = self.count - limit
        return self.messages[:limit] + ([f"and {more:,} more"] if more > 0 else [])


@dataclass(frozen=True)
class Opened:
    """A data set with the format it was found to have, and what its reader complains about while it is walked."""

    dataset: Dataset
    format: str
    problems: Problems


@contextmanager
def opening(path: Path, *, given: str | None = None, images: Path | None = None) -> Iterator[Opened]:
    """``open_dataset``, also of a project's database, which is exported into a temporary COCO file meanwhile.

    Raises:
        FormatError, StoreError: it can't be read.
    """
    if given is not None or not _is_project(path):
        yield open_dataset(path, given=given, images=images)
        return
    from app.store.coco_export import export_coco
    from app.store.database import open_database
    from app.store.projects import open_project

    database = open_database(path, create=False)
    try:
        project = open_project(database, None)
        with tempfile.TemporaryDirectory(prefix="openseed-export-") as folder:
            export_coco(project, Path(folder) / "project.json", provenance=False)
            found = open_dataset(Path(folder) / "project.json", given="coco", images=images or project.images_root)
            yield dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, source=str(path)))
    finally:
        database.close()


def open_dataset(path: Path, *, given: str | None = None, images: Path | None = None) -> Opened:
    """Find out the format, or take the ``given`` one, and open the data set.

    Args:
        images: folder of the photos, where it isn't beside the labels.

    Raises:
        FormatError: unknown format, or a file that can't be read at all.
    """
    found = given or detect(path)
    problems = Problems()
    dataset = load(found).read(path, images=images, on_problem=problems.add)
    return Opened(dataset, found, problems)


def _is_project(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() in (".json", ".xml", ".yaml", ".zip", ".parquet"):
        return False  # answered without waiting for the database's libraries
    from app.store.database import is_database_file

    return is_database_file(path)
