"""Open a data set of any format, project or zip, and gather what is wrong with it instead of stopping there."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.errors import UsageError
from exporters.archive import is_zip, unpack
from exporters.atomic import scratch
from exporters.dataset import Dataset, FormatError
from exporters.formats import detect, load

KEPT = 1000
"""Messages that are kept in full; the others are counted only."""


@dataclass
class Problems:
    """What could not be read, each message once, though a data set is walked through more than once.

    Attributes:
        messages: the first of them, in order.
        count: of all different ones.
        inside: a folder that the user doesn't know, and what is said in its place.
    """

    messages: list[str] = field(default_factory=list)
    inside: tuple[str, str] = ("", "")
    _seen: set[int] = field(default_factory=set, repr=False)

    def add(self, message: str) -> None:
        message = message.replace(*self.inside) if self.inside[0] else message
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
def opening(
    path: Path, *, given: str | None = None, images: Path | None = None, photos_for: Path | None = None
) -> Iterator[Opened]:
    """``open_dataset``, also of what must be unpacked or exported meanwhile: a zip, a project's database.

    Args:
        photos_for: the photos are needed to write this output: those that are packed into the data set (Parquet, a
            zip) are unpacked beside it. None: only where nothing can be read without.

    Raises:
        UsageError: ``images`` is no folder.
        FormatError, StoreError: it can't be read.
    """
    if images is not None and not images.is_dir():
        raise UsageError(f"--images {images}: there is no such folder; give the folder of the photos")
    if is_zip(path) and not _is_read_packed(path, given, photos_for is not None and images is None):
        with _unpacked_zip(path, given, images, photos_for) as opened:
            yield opened
    elif given is None and _is_project(path):
        with _exported_project(path, images) as opened:
            yield opened
    else:
        opened = open_dataset(path, given=given, images=images)
        with _packed_photos(opened, path, photos_for) as complete:
            yield complete


def _is_read_packed(path: Path, given: str | None, photos: bool) -> bool:
    """CVAT's labels are read from its zip as it is."""
    return not photos and (given == "cvat" or (given is None and load("cvat").matches(path)))


@contextmanager
def _unpacked_zip(path: Path, given: str | None, images: Path | None, photos_for: Path | None) -> Iterator[Opened]:
    with _folder_for(photos_for) as folder:
        try:
            opened = open_dataset(unpack(path, folder), given=given, images=images)
        except FormatError as error:
            raise FormatError(str(error).replace(str(folder), str(path))) from error
        opened.problems.inside = (str(folder), str(path))
        yield dataclasses.replace(opened, dataset=dataclasses.replace(opened.dataset, source=str(path)))


@contextmanager
def _exported_project(path: Path, images: Path | None) -> Iterator[Opened]:
    from app.store.coco_export import export_coco
    from app.store.database import open_database
    from app.store.projects import open_project

    database = open_database(path, create=False)
    try:
        project = open_project(database, None)
        with tempfile.TemporaryDirectory(prefix="openseed-export-") as folder:
            export_coco(project, Path(folder) / "project.json", provenance=False)
            found = open_dataset(Path(folder) / "project.json", given="coco", images=images or project.images_root)
            found.problems.inside = (str(Path(folder) / "project.json"), str(path))
            yield dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, source=str(path)))
    finally:
        database.close()


@contextmanager
def _packed_photos(opened: Opened, path: Path, photos_for: Path | None) -> Iterator[Opened]:
    """The photos that the files of the format themselves hold, as a folder, where somebody needs it."""
    save: Any = getattr(load(opened.format), "unpack_photos", None)
    if save is None or photos_for is None or opened.dataset.images is not None:
        yield opened
        return
    with _folder_for(photos_for) as folder:
        found = save(path, folder / "photos", on_problem=opened.problems.add)
        images = folder / "photos" if found else None
        yield dataclasses.replace(opened, dataset=dataclasses.replace(opened.dataset, images=images))


@contextmanager
def _folder_for(out: Path | None) -> Iterator[Path]:
    """A temporary folder; on the disk of ``out``, so that photos can be linked into it."""
    if out is not None:
        with scratch(out, "photos") as folder:
            yield folder
        return
    with tempfile.TemporaryDirectory(prefix="openseed-unpacked-") as name:
        yield Path(name)


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
