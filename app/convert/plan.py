"""What there is to do: the document, the photos' folder, and which annotations of which photos."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from app.convert.progress import bar
from app.convert.settings import Settings
from app.errors import UsageError
from exporters.long_columns import blocks, long_zeros
from labelers.paths import Unreachable
from labelers.photos import MissingPhoto, PhotoError, read_header
from labelers.remote import RemoteFolder
from labelers.vocabulary import Entry, Vocabulary, VocabularyError, parse_line

if TYPE_CHECKING:
    from exporters.coco import Annotations, Category, CocoDocument

UNKNOWN_NAME = "object"
"""What an annotation is called whose category is not in the file."""

_PROBED = 50
_FEW = 5  # so many photos may be missing without the folder being wrong
_USUAL_FOLDERS = ("images", "imgs", "photos", "data", "../images", "JPEGImages", "../JPEGImages")


class State(IntEnum):
    """What becomes of one annotation. Kept as one byte each, because there may be millions."""

    TODO = 0
    CONVERTED = 1
    KEPT = 2
    CROWD = 3
    LEFT_OUT = 4
    EMPTY = 5
    DEGENERATE = 6
    OUTSIDE = 7
    FAILED = 8
    NO_PHOTO = 9
    NO_IMAGE = 10
    POOR = 11


@dataclass(frozen=True)
class Plan:
    """One conversion, before it starts.

    Attributes:
        settings: the options.
        document: the opened input.
        images: folder of the photos, here or by URL.
        vocabulary: the classes and their prompts.
        todo: int64 [M], rows of the images that have something to convert, in file order.
        state: uint8 [annotations], a ``State`` for each; TODO for what will be tried.
        notes: what the user should know before anything has run.
    """

    settings: Settings
    document: CocoDocument
    images: Path | RemoteFolder
    vocabulary: Vocabulary
    todo: NDArray[np.int64]
    state: NDArray[np.uint8]
    notes: tuple[str, ...]

    @property
    def image_of(self) -> NDArray[np.int64]:
        """int64 [annotations], the image row of each annotation, -1 where its image is not in the file."""
        return self.document.image_rows

    def rows(self, image_row: int) -> tuple[Annotations, NDArray[np.intp]]:
        """All annotations of an image, and which of them (positions) are to be converted."""
        annotations = self.document.annotations(image_row)
        return annotations, np.flatnonzero(self.state[annotations.rows] == State.TODO)

    def name(self, category_row: int) -> str:
        """The class name, or ``object`` where the annotation's category is unknown or nameless."""
        return class_name(self.document.categories, category_row)


def class_name(categories: tuple[Category, ...], category_row: int) -> str:
    """The name of a category row, or ``object`` where there is none (-1) or it is blank."""
    name = categories[category_row].name if category_row >= 0 else ""
    return name if name.strip() else UNKNOWN_NAME


def make_plan(settings: Settings, *, quiet: bool = True) -> Plan:
    """Open the input and choose. Raises CocoError, UsageError."""
    from exporters.coco import CocoDocument
    from exporters.coco_results import open_results

    size = sum(path.stat().st_size for path in (settings.source, settings.images_json) if path and path.is_file())
    folder = scratch_folder(settings)
    with bar(total=size, unit="B", what="reading", quiet=quiet, delay=2.0, scale=True) as progress:
        if settings.images_json is not None:
            document = open_results(settings.source, settings.images_json, on_read=progress.update, folder=folder)
        else:
            document = CocoDocument.open(settings.source, on_read=progress.update, folder=folder)
    wanted = wanted_rows(settings.categories, document.categories)
    state = long_zeros(document.annotation_count, np.uint8, folder)
    boxes = np.zeros(len(document.images), np.int64)  # to be converted, of each image
    for block in blocks(len(state)):
        chosen = state[block] = choose(document, block, wanted=wanted, redo=settings.redo)
        boxes += np.bincount(document.image_rows[block][chosen == State.TODO], minlength=len(boxes))
    todo = np.flatnonzero(boxes)[: settings.limit]
    if settings.part is not None:
        number, count = settings.part
        todo = todo[number - 1 :: count]
    asked = np.zeros(len(boxes) + 1, bool)  # the last for the row -1
    asked[todo] = True
    for block in blocks(len(state)):
        chosen = state[block]
        chosen[(chosen == State.TODO) & ~asked[document.image_rows[block]]] = State.LEFT_OUT
    images, note = photo_folder(
        settings.images,
        (settings.images_json or settings.source).resolve().parent,
        (document.images[row].file_name for row in todo),
    )
    return Plan(
        settings=settings,
        document=document,
        images=images,
        vocabulary=make_vocabulary(settings.prompts, document.categories),
        todo=todo,
        state=state,
        notes=(note,) if note else (),
    )


def choose(document: CocoDocument, rows: slice, *, wanted: frozenset[int] | None, redo: bool) -> NDArray[np.uint8]:
    """The ``State`` of each of these annotations before anything has run; the crowd is never touched."""
    crowd, masked = document.marks(rows)
    state = np.full(len(crowd), State.TODO, np.uint8)
    if not redo:
        state[masked] = State.KEPT
    if wanted is not None:
        state[~np.isin(document.category_rows[rows], list(wanted))] = State.LEFT_OUT
    state[crowd] = State.CROWD
    state[document.image_rows[rows] < 0] = State.NO_IMAGE
    return state


def scratch_folder(settings: Settings) -> Path | None:
    """Where long columns lie: beside the output; None (the system's choice) where nothing may be written there."""
    return settings.output.parent if os.access(settings.output.parent, os.W_OK) else None


def wanted_rows(texts: tuple[str, ...], categories: tuple[Category, ...]) -> frozenset[int] | None:
    """Category rows named by ``--categories``; names shared by several categories mean all of them."""
    if not texts:
        return None
    rows: dict[str, set[int]] = {}
    for category in categories:
        rows.setdefault(category.name, set()).add(category.row)
    # a name may hold a comma itself, so the whole text is tried first
    names = [
        name
        for text in texts
        for name in ([text] if text in rows else [part.strip() for part in text.split(",")])
        if name
    ]
    for name in names:
        if name not in rows:
            raise UsageError(f"--categories: {_unknown(name, rows)}")
    return frozenset(row for name in names for row in rows[name])


def make_vocabulary(prompts: tuple[str, ...], categories: tuple[Category, ...]) -> Vocabulary:
    """The file's classes with the prompts of ``--prompt``. Raises UsageError."""
    names = dict.fromkeys(category.name if category.name.strip() else UNKNOWN_NAME for category in categories)
    names.setdefault(UNKNOWN_NAME)
    entries: list[Entry] = []
    for text in prompts:
        if "=" not in text:
            raise UsageError(f'--prompt {text!r}: write "category=text"')
        try:
            entry = parse_line(text)
        except VocabularyError as error:
            raise UsageError(f"--prompt: {error}") from error
        if entry.name not in names:
            raise UsageError(f"--prompt: {_unknown(entry.name, names)}")
        entries.append(entry)
    return Vocabulary.of(names).with_prompts(f"{entry.name} = {' | '.join(entry.prompts)}" for entry in entries)


def _unknown(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3)
    listed = near or names[:20]
    more = "" if near or len(names) <= 20 else ", ..."
    return f"there is no category {name!r}; {'did you mean' if near else 'the file has'} {', '.join(listed)}{more}?"[
        : None if near else -1
    ]


def folder_text(images: Path | RemoteFolder, start: Path) -> str:
    """The folder of the photos as a journal keeps it: relative, so that it may be moved with the journal, or a URL."""
    return str(images) if isinstance(images, RemoteFolder) else os.path.relpath(images, start)


@overload
def photo_folder(given: Path | None, beside: Path, file_names: Iterable[str]) -> tuple[Path, str | None]: ...


@overload
def photo_folder(
    given: Path | RemoteFolder | None, beside: Path, file_names: Iterable[str]
) -> tuple[Path | RemoteFolder, str | None]: ...


def photo_folder(
    given: Path | RemoteFolder | None, beside: Path, file_names: Iterable[str]
) -> tuple[Path | RemoteFolder, str | None]:
    """``--images``, or the JSON's own folder ``beside``, or ``images/`` in it when that is where the photos are.

    Returns the folder, and a note where it was not asked for.

    Raises:
        UsageError: none of the first photos is there, but they are in another usual place; or there are more than a
            few, and not one is there (a wrong folder, a disk that is not mounted); or a folder by URL gives no answer.
    """
    names = iter(file_names)
    probe = list(islice(names, _PROBED))
    if isinstance(given, RemoteFolder):
        _refuse_without_answer(given, probe)
        return given, None
    folder = given or beside
    if not probe or _any_there(folder, probe):
        return folder, None
    inner = beside / "images"
    if given is None and _any_there(inner, probe):
        return inner, f"photos are taken from {inner}"
    for name in _USUAL_FOLDERS:
        other = (folder / name).resolve()
        if _any_there(other, probe):
            raise UsageError(
                f"photo {probe[0]!r} is not in {folder}, but the photos seem to be in {other}; use --images {other}"
            )
    rest = list(names)
    if len(probe) + len(rest) > _FEW and not _any_there(folder, rest):
        raise UsageError(
            f"not one of the {len(probe) + len(rest):,} photos is in {folder} (the first is {probe[0]!r}); "
            "give their folder with --images"
        )
    return folder, None


def _refuse_without_answer(folder: RemoteFolder, file_names: list[str]) -> None:
    """Raises UsageError: there are more than a few photos, and the folder gives none of the first."""
    problem: PhotoError | None = None
    for name in file_names:
        try:
            read_header(folder, name)
        except Unreachable as error:
            if not isinstance(error.__cause__, PermissionError):
                raise UsageError(f"--images {folder}: {error}") from error
            problem = problem or error  # buckets whose names may not be listed answer so for what isn't there
        except MissingPhoto as error:
            problem = problem or error
        except PhotoError:
            return
        else:
            return
    if len(file_names) > _FEW and problem is not None:
        raise UsageError(f"--images {folder}: none of the first {len(file_names)} photos can be read. {problem}")


def _any_there(folder: Path, file_names: list[str]) -> bool:
    if not folder.is_dir():
        return False
    for name in file_names:
        try:
            read_header(folder, name)
        except MissingPhoto:
            continue
        except PhotoError:
            return True
        return True
    return False
