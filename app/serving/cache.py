"""Things that are dear to make, kept ready: the least recently used go first, and memory is bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Slot(Generic[Value]):
    """One thing: being made until ``ready`` has a result."""

    size: int
    ready: Future[Value] = field(default_factory=Future)


@dataclass(frozen=True)
class SharedCache(Generic[Key, Value]):
    """Two who ask for the same key share one making; a making that failed is not kept.

    Attributes:
        items: how many are kept at most.
        bytes: how much room they may take together; the one asked for last is kept even if it is larger.
        at_once: how many are made at the same time.
        size_of: bytes of a thing once it is made, where nobody can tell before; None: as ``get`` was told.
        on_evict: hears of each thing that is let go.
    """

    items: int
    bytes: int
    at_once: int = 2
    size_of: Callable[[Value], int] | None = None
    on_evict: Callable[[Value], object] = lambda value: None
    _slots: OrderedDict[Key, _Slot[Value]] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _places: threading.BoundedSemaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", threading.BoundedSemaphore(self.at_once))

    def get(self, key: Key, make: Callable[[], Value], *, size: int = 0) -> Value:
        """The thing called ``key``, made by ``make`` if it is not here. ``size``: bytes it will take.

        Raises whatever ``make`` raises, to everybody who waited for it.
        """
        with self._lock:
            slot = self._slots.get(key)
            mine = slot is None
            if slot is None:
                slot = self._slots[key] = _Slot(size)
            self._slots.move_to_end(key)
            gone = self._evicted()
        self._tell(gone)
        if mine:
            self._make(key, slot, make)
        return slot.ready.result()

    def ready(self, key: Key) -> bool:
        """Is the thing here, made?"""
        with self._lock:
            slot = self._slots.get(key)
            return slot is not None and slot.ready.done()

    def __len__(self) -> int:
        return len(self._slots)

    def clear(self) -> None:
        """Forget all; who works with one keeps it until they are done."""
        with self._lock:
            gone = [slot for slot in self._slots.values() if slot.ready.done()]
            self._slots.clear()
        self._tell(gone)

    def _make(self, key: Key, slot: _Slot[Value], make: Callable[[], Value]) -> None:
        try:
            with self._places:
                found = make()
        except BaseException as error:
            with self._lock:
                if self._slots.get(key) is slot:
                    del self._slots[key]
            slot.ready.set_exception(error)
            return
        slot.ready.set_result(found)
        if self.size_of is not None:
            with self._lock:
                slot.size = self.size_of(found)
                gone = self._evicted()
            self._tell(gone)

    def _evicted(self) -> list[_Slot[Value]]:
        """Those being made stay: somebody waits for them."""
        total = sum(slot.size for slot in self._slots.values())
        gone: list[_Slot[Value]] = []
        for key in list(self._slots)[:-1]:
            if len(self._slots) <= self.items and total <= self.bytes:
                break
            if self._slots[key].ready.done():
                slot = self._slots.pop(key)
                total -= slot.size
                gone.append(slot)
        return gone

    def _tell(self, gone: list[_Slot[Value]]) -> None:
        for slot in gone:
            self.on_evict(slot.ready.result())
