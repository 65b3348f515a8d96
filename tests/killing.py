"""For programs that are killed on purpose: no cleaning up, as when the power fails. Only for processes of their own."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any, BinaryIO


def die_at(count: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, but its ``count``-th call kills the process instead."""
    calls = itertools.count(1)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return wrapped


def die_half_way(count: int, write: Callable[[BinaryIO, bytes], None]) -> Callable[[BinaryIO, bytes], None]:
    """``write``, but its ``count``-th call writes half of the data, then kills the process."""
    calls = itertools.count(1)

    def half(stream: BinaryIO, data: bytes) -> None:
        if next(calls) == count:
            stream.write(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(stream, data)

    return half
