"""Columns of numbers that may be longer than the memory: short ones are in memory, long ones in files without a name.

Such a file is gone with the process, however that ends. Its pages are in memory only as long as the system has room.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK = 1 << 17
"""Rows that are worked on at a time; columns up to this length stay in memory."""


class LongColumn:
    """Grows at its end: add to ``tail``, and call ``spill`` after at most ``BLOCK`` rows.

    Args:
        code: type of the numbers, as in ``array``.
        folder: where the file lies; None for the system's temporary folder.
    """

    def __init__(self, code: str, folder: Path | None = None) -> None:
        self.tail: array[Any] = array(code)
        self._folder = folder
        self._file: IO[bytes] | None = None

    def spill(self) -> None:
        """Move what is in memory into the file. Raises OSError (disk full)."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by finish
        self.tail.tofile(self._file)
        del self.tail[:]

    def finish(self) -> NDArray[Any]:
        """The whole column, read only; nothing can be added any more. Raises OSError (disk full)."""
        dtype = np.dtype(self.tail.typecode)
        if self._file is None:
            found: NDArray[Any] = np.frombuffer(self.tail, dtype) if len(self.tail) else np.zeros(0, dtype)
            found.setflags(write=False)
            return found
        with self._file as file:
            self.tail.tofile(file)
            del self.tail[:]
            file.flush()
            return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype)


def long_zeros(count: int, dtype: DTypeLike, folder: Path | None = None) -> NDArray[Any]:
    """``count`` zeros that may be overwritten; in a file where they are many. Raises OSError (disk full)."""
    if count <= BLOCK:
        return np.zeros(count, dtype)
    size = count * np.dtype(dtype).itemsize
    with tempfile.TemporaryFile(dir=folder) as file:
        _reserve(file, size)
        return np.frombuffer(mmap.mmap(file.fileno(), size), dtype)


def long_copy(values: NDArray[Any], folder: Path | None = None) -> NDArray[Any]:
    """A copy that may be overwritten; in a file where it is long. Raises OSError (disk full)."""
    copy = long_zeros(len(values), values.dtype, folder)
    for block in blocks(len(values)):
        copy[block] = values[block]
    return copy


def blocks(count: int) -> Iterator[slice]:
    """Slices of at most ``BLOCK`` rows that cover ``count`` rows in order."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def grouped(groups: NDArray[np.int64], count: int, folder: Path | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows sorted by group, those of a group in their order; and where each group begins among them.

    Args:
        groups: int64 [N], -1 to ``count`` - 1.

    Returns int64 [N], the rows of group -1 first; and int64 [count + 1], where group k is first[k]:first[k + 1].
    """
    sizes = np.zeros(count + 1, np.int64)
    for block in blocks(len(groups)):
        sizes += np.bincount(groups[block] + 1, minlength=count + 1)
    following = np.concatenate([[0], np.cumsum(sizes)])  # where the next row of each group goes; group -1 first
    first = following[1:].copy()
    order = long_zeros(len(groups), np.int64, folder)
    for block in blocks(len(groups)):
        here = groups[block] + 1
        sort = np.argsort(here, kind="stable")
        ordered = here[sort]
        new = np.flatnonzero(np.diff(ordered, prepend=-1))  # where another group begins in this block
        lengths = np.diff(new, append=len(ordered))
        within = np.arange(len(ordered)) - np.repeat(new, lengths)
        order[following[ordered] + within] = sort + block.start
        following[ordered[new]] += lengths
    return order, first


def repeated(values: NDArray[np.int64], folder: Path | None = None) -> Iterator[tuple[int, int]]:
    """Each number that stands more than once, in rising order, with how often it does."""
    before, after = values[:-1], values[1:]
    if all((after[block] > before[block]).all() for block in blocks(len(after))):
        return  # numbered in file order, as usual: nothing has to be sorted
    values = long_copy(values, folder)
    values.sort()  # in place, so that a long column stays in its file
    last, seen = 0, 0
    for block in blocks(len(values)):
        found, counts = np.unique(values[block], return_counts=True)
        if seen and found[0] == last:
            counts[0] += seen
        elif seen > 1:
            yield last, seen
        for k in np.flatnonzero(counts[:-1] > 1).tolist():
            yield int(found[k]), int(counts[k])
        last, seen = int(found[-1]), int(counts[-1])
    if seen > 1:
        yield last, seen


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the room on the disk now: writing to a mapped page that finds none would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    zeros = b"\0" * (1 << 20)  # macOS and Windows
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    file.flush()
