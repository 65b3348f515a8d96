"""A new folder in one step: whoever looks sees nothing or the whole of it, even after a crash."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from exporters.dataset import FormatError


@contextlib.contextmanager
def building(out: Path) -> Iterator[Path]:
    """Give an empty folder beside ``out``; it becomes ``out`` when the block ends without error, else it is removed.

    An existing empty folder is replaced; missing parent folders are made.

    Raises:
        FormatError: ``out`` is a file, or a folder that holds something.
        OSError: the folder above is not writable, or the disk is full.
    """
    refuse_existing(out)
    target = out.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside it: a rename works only within one disk. A short name: that of `out` may already be as long as allowed.
    folder = Path(tempfile.mkdtemp(prefix=".openseed-", suffix=".partial", dir=target.parent))
    try:
        folder.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        yield folder
        refuse_existing(out)
        if target.is_dir():
            target.rmdir()  # os.rename replaces empty folders on POSIX only
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


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


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
