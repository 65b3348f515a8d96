"""What a suite is: one public data set as it is downloaded, and what is measured on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import UsageError
from app.evaluation.task import Task
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class Resize:
    """How photos are made smaller or larger before the model sees them.

    Attributes:
        short: pixels of the short side.
        long: most pixels of the long side; 0 for no limit.
        bicubic: interpolation; bilinear otherwise.
    """

    short: int
    long: int = 0
    bicubic: bool = False

    def __str__(self) -> str:
        limit = f", long side at most {self.long}" if self.long else ""
        return f"short side {self.short}{limit}, {'bicubic' if self.bicubic else 'bilinear'}"


@dataclass(frozen=True)
class Published:
    """A row of a table in the literature.

    Attributes:
        row: the model.
        percent: (task name, number name) -> value in percent.
        source: where the values stand.
    """

    row: str
    percent: Mapping[tuple[str, str], float]
    source: str


@dataclass(frozen=True)
class Suite:
    """One data set.

    Attributes:
        name: for ``--suite``.
        title: for people.
        layout: the files needed, relative to ``--root``, and what they are.
        resize: see ``Resize``; at evaluation.
        tasks: root folder -> what is measured. Raises UsageError, naming all that is missing.
        published: rows to be shown beside ours.
        remarks: where ours isn't exactly the official protocol, and which published values could not be verified.
        averaged: the results are many data sets; mean and median are what counts.
    """

    name: str
    title: str
    layout: Mapping[str, str]
    resize: Resize
    tasks: Callable[[Path], list[Task]]
    published: tuple[Published, ...] = ()
    remarks: tuple[str, ...] = ()
    averaged: bool = False


DINOV = "Table 1 of arXiv 2311.13601, which repeats OpenSeeD's (the original table was not at hand)"
"""Both papers have authors in common."""

NOT_VERIFIED = "published values of OpenSeeD on this data set: not verified, so not shown"


def check(root: Path, name: str, layout: Mapping[str, str]) -> None:
    """Raise UsageError with all files and folders of ``layout`` that are not in ``root``; ``a | b``: either will do."""
    if not root.is_dir():
        raise UsageError(f"--root {root} is no folder; give the folder of the data set (see docs/evaluation.md)")
    missing = [
        f"  {path}: {what}"
        for path, what in layout.items()
        if not any((root / one.strip()).exists() for one in path.split("|"))
    ]
    if missing:
        raise UsageError(f"--suite {name}: {root} lacks\n" + "\n".join(missing))


def either(root: Path, path: str) -> Path:
    """The first of the ``a | b`` that exists."""
    choices = [root / one.strip() for one in path.split("|")]
    return next((one for one in choices if one.exists()), choices[0])


def labels_by_name(categories: Iterable[tuple[int, str]], vocabulary: Vocabulary, *, where: str) -> dict[int, int]:
    """Category id -> place in the vocabulary. Raises UsageError: fewer than half of the classes are known."""
    places = {name: k for k, name in enumerate(vocabulary.names)}
    listed = list(categories)
    found = {number: places[name] for number, name in listed if name in places}
    return _enough(found, listed, where)


def labels_by_place(
    categories: Iterable[tuple[int, str]], vocabulary: Vocabulary, *, where: str, first: int = 0
) -> dict[int, int]:
    """Category id -> place, for a file whose ids are places from ``first`` on and whose names are other synonyms.

    Raises UsageError: the names of fewer than half of the classes fit.
    """
    listed = list(categories)
    names = vocabulary.names
    inside = {number: number - first for number, _ in listed if 0 <= number - first < len(names)}
    fits = {
        number: inside[number]
        for number, name in listed
        if number in inside and names[inside[number]] in {part.strip() for part in name.replace(";", ",").split(",")}
    }
    _enough(fits, listed, where)
    return inside


def _enough(found: dict[int, int], listed: list[tuple[int, str]], where: str) -> dict[int, int]:
    if 2 * len(found) < len(listed) or not found:
        raise UsageError(
            f"{where}: only {len(found)} of {len(listed)} classes are those of this data set; is it the right file?"
        )
    return found


def files_in(folder: Path, pattern: str) -> list[str]:
    """File names in ``folder``, relative to it, in order. Raises UsageError: there is none."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.glob(pattern) if path.is_file())
    if not found:
        raise UsageError(f"{folder} holds no {pattern}")
    return found
