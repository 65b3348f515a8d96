"""A folder of bare photos into a new project: nothing is labelled yet."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from app.reports.colours import colour_at
from app.store.bulk import insert_act, insert_rows
from app.store.checks import checked_text
from app.store.coco_rows import Row, image_values, look
from app.store.database import Database
from app.store.errors import StoreError
from app.store.projects import Project, new_project
from app.store.schema import CategoryRow, ImageRow
from exporters.coco import ImageRow as CocoImage
from labelers.vocabulary import Entry

SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".tif",
        ".tiff",
        ".bmp",
        ".gif",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".avif",
    ]
)
"""Of the formats that ``labelers.photos`` reads. Other files of the folder are nobody's photos."""

_DIGITS = re.compile(r"([0-9]+)")


def import_folder(
    db: Database,
    folder: Path,
    *,
    name: str,
    names: Sequence[str],
    marked: Mapping[str, Entry] | None = None,
    on_photo: Callable[[], object] = lambda: None,
    on_note: Callable[[str], object] = lambda text: None,
) -> Project:
    """Make a project of the photos in a folder and its subfolders, in natural order (photo2 before photo10).

    Args:
        name: of the project; must be new in this database.
        names: the classes. More can be added later.
        marked: what more is known of some of them: other words, and that they are stuff, which an export says, too.
        on_photo: hears of each photo, for progress.
        on_note: hears of each photo that can't be read; it is in the project, with a ``problem``.

    Raises:
        StoreError: there is no photo in the folder, the project's name is taken, or a class stands twice.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise StoreError(f"{folder}: there is no such folder of photos; check the path")
    classes = [checked_text(text, "the class name") for text in names]
    if len(set(classes)) != len(classes):
        raise StoreError(f"a class stands twice among {', '.join(classes)}; name each once")
    photos: list[Row] = []
    for file_name in photo_names(root):
        if not _is_text(file_name):
            on_note(f"photo {file_name!r} is left out: its name is no UTF-8; rename it")
            continue
        photos.append(_photo(root, file_name, len(photos), on_note))
        on_photo()
    if not photos:
        raise StoreError(f"{folder}: there is no photo in it ({', '.join(sorted(SUFFIXES))}); check the path")
    with db.writing() as session:
        project = new_project(session, db, name=name, images_root=root, source=None, source_sha256=None, frame="{}")
        insert_act(session, project.id)
        insert_rows(
            session,
            CategoryRow,
            (
                {
                    "project_id": project.id,
                    "position": k,
                    "name": text,
                    "colour": colour_at(k),
                    **_more(k + 1, text, (marked or {}).get(text)),
                }
                for k, text in enumerate(classes)
            ),
        )
        insert_rows(session, ImageRow, ({"project_id": project.id, **row} for row in photos))
    return project


def _more(number: int, name: str, entry: Entry | None) -> Row:
    """The other columns of a class."""
    words = () if entry is None or entry.prompts == (name,) else entry.prompts
    found: Row = {"synonyms": json.dumps(words), "source_id": None, "raw": None}
    if entry is not None and entry.stuff:  # as if a COCO file had brought it: that is where a project keeps it
        raw = json.dumps({"id": number, "name": name, "supercategory": "stuff"})
        found |= {"source_id": str(number), "raw": raw}
    return found


def photo_names(root: Path) -> Iterator[str]:
    """Paths of the image files below ``root``, with slashes; hidden files and linked folders are passed by."""
    for place, folders, files in os.walk(root):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=natural)
        for file in sorted(files, key=natural):
            if not file.startswith(".") and Path(file).suffix.lower() in SUFFIXES:
                yield (Path(place) / file).relative_to(root).as_posix()


def _is_text(file_name: str) -> bool:
    try:
        file_name.encode()
    except UnicodeEncodeError:
        return False
    return True


def natural(text: str) -> tuple[list[tuple[int, str]], str]:
    """Sort key: numbers within a name count as numbers, and case does not."""
    pieces = _DIGITS.split(text.casefold())
    return [(int(piece) if number % 2 else 0, piece) for number, piece in enumerate(pieces)], text


def _photo(root: Path, file_name: str, position: int, on_note: Callable[[str], object]) -> Row:
    """A row of ``images``: the frame is the upright photo, there being no file that says otherwise."""
    image = CocoImage(row=position, key="", file_name=file_name, width=None, height=None)
    found = look(root, image, "upright")
    if found.problem is not None:
        on_note(f"photo {file_name!r}: {found.problem}")
    return image_values(image, found, raw=None, source_key=None, position=position)
