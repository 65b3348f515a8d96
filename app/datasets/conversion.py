"""One data set into another format: what will be lost, then the files, in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.datasets.opening import Opened
from app.errors import UsageError
from exporters.atomic import scratch
from exporters.dataset import Dataset, WriteOptions, Written
from exporters.formats import FORMATS, load
from exporters.losses import Census, Loss, losses, take_census

_FILES = (".json", ".xml", ".zip", ".yaml", ".yml", ".parquet", ".txt", ".csv", ".db", ".png", ".tar", ".gz")
"""Suffixes of files: who gives one to a folder means something else."""


# Without an object or a photo they look the same.
_KIN = {name: kin for kin in (("yolo-detect", "yolo-segment"), ("coco", "lvis")) for name in kin}


@dataclass(frozen=True)
class Foreseen:
    """What is known before writing.

    Attributes:
        pictures, items: of the data set.
        losses: what the target can't hold.
    """

    pictures: int
    items: int
    losses: tuple[Loss, ...]


def foresee(dataset: Dataset, to: str, *, on_picture: Callable[[], object] = lambda: None) -> Foreseen:
    """Walk through the data set and compare it with what the format holds. Raises FormatError."""
    census: Census = take_census(dataset, to, on_picture=on_picture)
    return Foreseen(census.pictures, census.items, losses(census, to=to))


def refuse_target(source: Path, images: Path | None, out: Path, to: str, *, overwrite: bool) -> None:
    """Refuse an output that would destroy the input, or anything that is not an output of this format.

    Raises:
        UsageError: says what to do instead.
    """
    if not FORMATS[to].stored:
        raise UsageError(f"--to {to}: it is for Python only; choose a format that is kept in files")
    refuse_suffix(out, to)
    target = Path(os.path.realpath(out))
    for what, place in (("the input", source), ("the photos", images)):
        here = None if place is None else Path(os.path.realpath(place))
        if here is not None and (here == target or target in here.parents):
            raise UsageError(f"{out}: {what} {place} would be overwritten; choose another output")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} exists already; replace it with --overwrite, or choose another output")
    if not any(load(name).matches(out) for name in _KIN.get(to, (to,))):
        raise UsageError(f"{out} is no {to} data set, so that --overwrite does not replace it; remove it yourself")


def refuse_suffix(out: Path, to: str) -> None:
    """Refuse a folder that would be called like a file of another kind. Raises UsageError."""
    one = FORMATS[to].suffix
    if out.suffix.lower() in _FILES and out.suffix.lower() != one and not out.is_dir():
        kinds = f"a {one} file or a folder" if one else "a folder"
        raise UsageError(f"{out}: {to} is {kinds}; name the output without {out.suffix}")


def write(dataset: Dataset, out: Path, to: str, options: WriteOptions, *, strict: bool = False) -> Written:
    """Write the data set; what was at ``out`` is replaced when the new one is complete.

    Args:
        strict: where anything is left out (``dropped``), write nothing: ``out`` stays as it was.

    Raises:
        FormatError, OSError: nothing was changed.
    """
    module = load(to)
    if not out.is_dir() and not strict:
        return module.write(dataset, out, options)
    # The folder beside it is on the same disk, so that renames are quick.
    with scratch(out, "fresh") as beside:
        (beside / "made").mkdir()
        written = module.write(dataset, beside / "made" / out.name, options)
        if strict and written.dropped:
            return written
        for made in (beside / "made").iterdir():  # one, or a file that a format puts beside it
            _replace(made, out.absolute().with_name(made.name), beside / "replaced")
    return written


def _replace(made: Path, target: Path, old: Path) -> None:
    if not target.is_dir():
        made.replace(target)
        return
    target.rename(old)
    try:
        made.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)


def complete(opened: Opened, written: Written) -> bool:
    """Whether everything that was in the input was read and written."""
    return not opened.problems.count and not written.dropped
