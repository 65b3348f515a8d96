"""What was said in earlier requests and still counts: introductions of Label Studios, text prompts of tasks.

All of it is bounded, and none of it is needed to answer: after a restart Label Studio introduces itself again, and a
box without a remembered text is asked for by its label.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The last value for each key. Safe to use from several threads.

    Args:
        keys: how many are kept; the one told longest ago goes first.
        seconds: how long a value counts, None for ever.
        clock: seconds that only go up.
    """

    def __init__(self, *, keys: int, seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._seconds, self._clock = keys, seconds, clock
        self._values: OrderedDict[Hashable, tuple[Value, float]] = OrderedDict()
        self._lock = threading.Lock()

    def tell(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._values[key] = (value, self._clock())
            self._values.move_to_end(key)
            while len(self._values) > self._keys:
                self._values.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        with self._lock:
            self._values.pop(key, None)

    def recall(self, key: Hashable) -> Value | None:
        """The value, None where there is none or it is too old."""
        with self._lock:
            found = self._values.get(key)
        if found is None or (self._seconds is not None and self._clock() - found[1] > self._seconds):
            return None
        return found[0]
