"""A new folder in one step: whoever looks sees nothing or the whole of it, even after a crash."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from exporters.dataset import FormatError
from exporters.files import is_at, open_locked


@contextlib.contextmanager
def building(out: Path) -> Iterator[Path]:
    """Give an empty folder beside ``out``; it becomes ``out`` when the block ends without error, else it is removed.

    An existing empty folder is replaced; missing parent folders are made.

    Raises:
        FormatError: ``out`` is a file, or a folder that holds something.
        FileBusyError: another process is building the same folder.
        OSError: the folder above is not writable, or the disk is full.
    """
    refuse_existing(out)
    target = out.absolute()
    with scratch(target, "partial") as folder:
        yield folder
        refuse_existing(out)
        if target.is_dir():
            target.rmdir()  # os.rename replaces empty folders on POSIX only
        folder.rename(target)


@contextlib.contextmanager
def scratch(out: Path, kind: str) -> Iterator[Path]:
    """An empty hidden folder beside ``out``, on the same disk, for what is made on the way; removed at the end.

    Its name follows from that of ``out``: what a killed run left there is removed by the next one.

    Args:
        kind: keeps folders for different purposes apart.

    Raises:
        FileBusyError: another process has it.
        OSError: the folder above is not writable.
    """
    target = out.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    # A short name: that of `out` may already be as long as allowed.
    mark = hashlib.sha256(target.name.encode(errors="surrogateescape")).hexdigest()[:12]
    folder = target.with_name(f".openseed-{mark}.{kind}")
    descriptor = _own(folder, target)
    try:
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield folder
    finally:
        # Once it is renamed, another run may have one of this name.
        if descriptor is None or is_at(descriptor, folder):
            shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _own(folder: Path, target: Path) -> int | None:
    """Make the folder and lock it, where the system can."""
    if os.name == "nt":  # which opens no folders
        folder.mkdir(exist_ok=True)
        return None

    def opener() -> int:
        folder.mkdir(exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)

    return open_locked(folder, target, opener=opener)


def refuse_existing(out: Path) -> None:
    """Raise FormatError where ``out`` is anything but absent or an empty folder."""
    if out.is_symlink() and not out.exists():
        raise FormatError(f"{out}: it is a link that leads nowhere; remove it or choose another output folder")
    if not out.exists():
        return
    if not out.is_dir():
        raise FormatError(f"{out}: it is a file, but this format makes a folder; choose another output")
    if any(out.iterdir()):
        raise FormatError(f"{out}: the folder is not empty; choose a new one, or remove it first")
