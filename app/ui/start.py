"""Which project a start of the page is about: the one beside the data, imported at the first start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from app.convert.digest import sha256
from app.convert.plan import photo_folder
from app.convert.progress import bar
from app.convert.sniff import refuse_other_formats
from app.errors import UsageError
from app.store.coco_import import import_document
from app.store.database import Database, is_database_file, open_database
from app.store.folder_import import import_folder
from app.store.projects import Project, open_project, projects
from exporters.coco import CocoDocument
from labelers.frames import ExifMode
from labelers.vocabulary import Entry, parse_inline


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asked for.

    Attributes:
        source: a COCO file, a folder of photos, a project file, or None with ``database``.
        images: folder of the photos of a COCO file, None to look beside it.
        names: classes of bare photos.
        database: URL of a database, None for a file beside the data.
        project: name of the project, None for the only one, or one named after the data.
        exif: which frame the boxes of rotated photos are in (``labelers.frames.decide``).
    """

    source: Path | None = None
    images: Path | None = None
    names: tuple[str, ...] = ()
    database: str | None = None
    project: str | None = None
    exif: ExifMode = "auto"


def place_of(wanted: Wanted) -> str | Path:
    """The database: the URL, the project file itself, or ``dataset.openseed.db`` / ``DIR/openseed.db`` beside the data.

    Raises UsageError: there is no such data, or the options don't go together.
    """
    source = wanted.source
    if source is None:
        if wanted.database is None:
            raise UsageError("what is to be labelled? Give a COCO file, a folder of photos, or --database URL")
        return wanted.database
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder; check the path")
    if is_project_file(source):
        if wanted.database is not None:
            raise UsageError(f"{source} is a database, and --database names another; give one of them")
        return source
    if wanted.names and not source.is_dir():
        raise UsageError("--names is for a folder of bare photos; a COCO file names its classes itself")
    if wanted.images is not None and source.is_dir():
        raise UsageError(f"{source} is a folder of photos itself; --images is for a COCO file")
    if wanted.database is not None:
        return wanted.database
    return source / "openseed.db" if source.is_dir() else source.with_name(f"{source.stem}.openseed.db")


def find_project(wanted: Wanted, *, quiet: bool, say: Callable[[str], None]) -> Project:
    """Open the project, or import the data into a new one with progress bars on stderr.

    Args:
        say: hears what the user should know.

    Raises:
        UsageError, StoreError, CocoError, PhotoError: with the remedy.
    """
    database = open_database(place_of(wanted))
    source = wanted.source
    if source is None or is_project_file(source):
        return _with_photos(open_project(database, wanted.project), wanted.images)
    known = {record.name: record for record in projects(database)}
    name = wanted.project or (next(iter(known)) if wanted.database is None and len(known) == 1 else name_of(source))
    if name not in known:
        return import_data(database, source, wanted, name=name, quiet=quiet, say=say)
    record = known[name]
    if source.is_file() and record.source_sha256 not in (None, sha256(source)):
        say(
            f"{source} has changed since it was imported. The project is opened as it is; to add what is new in the "
            f"file: openseed-label project import {source} --merge"
        )
    return _with_photos(open_project(database, name), source if source.is_dir() else wanted.images)


def _with_photos(project: Project, folder: Path | None) -> Project:
    """The project with its photos in ``folder``: they may have moved, or lie elsewhere on a colleague's machine."""
    if folder is None:
        return project
    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of photos; give the right one with --images")
    return replace(project, images_root=folder.resolve())


def is_project_file(path: Path) -> bool:
    """Is this a database, and no COCO file? By its content; a name ending in .db must be one."""
    if path.is_dir():
        return False
    return is_database_file(path) or path.suffix == ".db"


def import_data(
    database: Database, source: Path, wanted: Wanted, *, name: str, quiet: bool, say: Callable[[str], None]
) -> Project:
    """Import a COCO file or a folder into a new project, with progress bars on stderr. Raises as ``find_project``."""
    if source.is_dir():
        classes = _classes(wanted.names)
        with bar(total=0, unit="photos", what="reading", quiet=quiet, delay=1.0) as progress:
            return import_folder(
                database,
                source,
                name=name,
                names=list(classes),
                marked=classes,
                on_photo=progress.update,
                on_note=say,
            )
    refuse_other_formats(source, images_json=None)
    size = source.stat().st_size
    with (
        bar(total=size, unit="B", what="reading", quiet=quiet, delay=1.0, scale=True) as reading,
        CocoDocument.open(source, on_read=reading.update) as document,
    ):
        reading.close()
        folder, note = photo_folder(
            wanted.images, source.resolve().parent, (image.file_name for image in document.images)
        )
        if note:
            say(note)
        steps = len(document.images) + document.annotation_count
        with bar(total=steps, unit="items", what="importing", quiet=quiet, delay=1.0, scale=True) as progress:
            return import_document(
                database,
                document,
                images_root=folder,
                name=name,
                exif=wanted.exif,
                on_photo=progress.update,
                on_annotation=progress.update,
                on_note=say,
            )


def name_of(source: Path) -> str:
    """What a project is called after the data that it is made from."""
    resolved = source.resolve()
    return (resolved.name if source.is_dir() else resolved.stem) or "project"


def _classes(given: Sequence[str]) -> dict[str, Entry]:
    """``--names "person,sky (stuff)"``, repeatable; each name once, in order. Raises VocabularyError, UsageError."""
    parts = (part.strip() for text in given for part in text.split(","))
    entries = [parse_inline(part) for part in parts if part]
    if limited := [entry.name for entry in entries if entry.threshold is not None]:
        raise UsageError(f"--names: a project keeps no thresholds; leave that of {limited[0]!r} out")
    found: dict[str, Entry] = {}
    for entry in entries:
        found.setdefault(entry.name, entry)
    return found
