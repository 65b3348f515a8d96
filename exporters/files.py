"""Replace a file in one step: whoever looks sees the old file or the whole new one, even after a crash."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows has no such locks; two runs at once on one output are then not noticed
    fcntl = None  # type: ignore[assignment]


class FileBusyError(OSError):
    """Another run is writing the same file; the message names it."""


@contextlib.contextmanager
def replacing(path: Path, *, before_replace: Callable[[Path], None] | None = None) -> Iterator[BinaryIO]:
    """Open a new version of ``path`` for writing; it takes the place of the old one when the block ends without error.

    The text goes to ``.NAME.partial`` in the same folder (what a killed run left there is overwritten), is forced to
    the disk and then renamed. A symbolic link stays one: the file it points to is replaced. The permissions of the old
    file are kept.

    Args:
        path: the file to be made or replaced.
        before_replace: hears the name of the finished file before it takes its place; what it raises keeps the old one.

    Raises:
        FileBusyError: another process is writing the same file.
        OSError: the folder is missing or not writable, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    partial = target.with_name(f".{target.name}.partial")
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = open_locked(partial, target, opener=lambda: os.open(partial, flags, 0o666))
    with os.fdopen(descriptor, "wb") as file:
        # Rename and removal come before the file is closed: closing gives up the lock.
        try:
            file.truncate(0)
            if target.exists():
                partial.chmod(target.stat().st_mode & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())
            if before_replace is not None:
                before_replace(partial)
            _close_on_windows(file)
            partial.replace(target)
        except BaseException:
            _close_on_windows(file)
            partial.unlink(missing_ok=True)
            raise
    _sync_folder(target.parent)


def open_locked(path: Path, target: Path, *, opener: Callable[[], int]) -> int:
    """Open what is being made at ``path``, locked for this process; the lock ends with the process, however that ends.

    Args:
        target: what it will become, for the message.
        opener: makes it where it isn't there, and opens it.

    Raises:
        FileBusyError: another process has it.
    """
    while True:
        descriptor = opener()
        if not _try_lock(descriptor):
            os.close(descriptor)
            raise FileBusyError(f"{target}: another run is writing it; wait for it or stop it")
        # The other run may have renamed or removed it between our open and our lock.
        if is_at(descriptor, path):
            return descriptor
        os.close(descriptor)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether the open file or folder is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    """Lock an open file or folder for this process; False where another has it. True, too, where there are no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # some network disks know no locks
    return True


def _close_on_windows(file: BinaryIO) -> None:
    if os.name == "nt":  # which neither renames nor removes open files
        file.close()


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)
