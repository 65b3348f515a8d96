"""One data set into another format: what will be lost, then the files, in one step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.datasets.opening import Opened
from app.errors import UsageError
from exporters.dataset import Dataset, WriteOptions, Written
from exporters.formats import FORMATS, load
from exporters.losses import Census, Loss, losses, take_census


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
    target = Path(os.path.realpath(out))
    for what, place in (("the input", source), ("the photos", images)):
        here = None if place is None else Path(os.path.realpath(place))
        if here is not None and (here == target or target in here.parents):
            raise UsageError(f"{out}: {what} {place} would be overwritten; choose another output")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise UsageError(f"{out} exists already; replace it with --overwrite, or choose another output")
    if not load(to).matches(out):
        raise UsageError(f"{out} is no {to} data set, so that --overwrite does not replace it; remove it yourself")


def write(dataset: Dataset, out: Path, to: str, options: WriteOptions) -> Written:
    """Write the data set; what was at ``out`` is replaced when the new one is complete.

    Raises:
        FormatError, OSError: nothing was changed.
    """
    module = load(to)
    if not out.is_dir():
        return module.write(dataset, out, options)
    # The folder beside it is on the same disk, so that both renames are quick.
    with tempfile.TemporaryDirectory(prefix=".openseed-", dir=out.absolute().parent) as beside:
        fresh = Path(beside) / out.name
        written = module.write(dataset, fresh, options)
        old = Path(beside) / "replaced"
        out.rename(old)
        try:
            fresh.rename(out)
        except BaseException:
            old.rename(out)
            raise
        shutil.rmtree(old)
    return written


def complete(opened: Opened, written: Written) -> bool:
    """Whether everything that was in the input was read and written."""
    return not opened.problems.count and not written.dropped
