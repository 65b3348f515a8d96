"""Photos that a labeler has looked at, kept ready: the least recently used go first, and memory is bounded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from labelers.protocol import Opened

VIEWS_BYTES = 64 * 1024 * 1024
"""What a labeler may keep of a photo besides its pixels: the features of some views."""


def bytes_of(*, height: int, width: int) -> int:
    """What an opened photo takes: decoded RGB pixels and the labeler's features."""
    return height * width * 3 + VIEWS_BYTES


@dataclass
class _Slot:
    """One photo: being opened until ``ready`` has a result."""

    size: int
    ready: Future[Opened] = field(default_factory=Future)


@dataclass(frozen=True)
class OpenedPhotos:
    """A cache. Two who ask for the same photo share one opening; a failed opening is not kept.

    Attributes:
        photos: how many are kept at most.
        bytes: how much memory they may take together; the one asked for last is kept even if it is larger.
        at_once: how many are opened at the same time (each needs its decoded pixels, twice for a moment).
    """

    photos: int
    bytes: int
    at_once: int = 2
    _slots: OrderedDict[int, _Slot] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _places: threading.BoundedSemaphore = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_places", threading.BoundedSemaphore(self.at_once))

    def get(self, key: int, *, size: int, open_: Callable[[], Opened]) -> Opened:
        """The opened photo ``key``, opened by ``open_`` if it is not here. ``size``: bytes it will take.

        Raises whatever ``open_`` raises, to everybody who waited for it.
        """
        with self._lock:
            slot = self._slots.get(key)
            mine = slot is None
            if slot is None:
                slot = self._slots[key] = _Slot(size)
            self._slots.move_to_end(key)
            self._evict()
        if mine:
            self._open(key, slot, open_)
        return slot.ready.result()

    def ready(self, key: int) -> bool:
        """Is the photo here, opened?"""
        with self._lock:
            slot = self._slots.get(key)
            return slot is not None and slot.ready.done()

    def clear(self) -> None:
        """Forget all photos; who works with one keeps it until they are done."""
        with self._lock:
            self._slots.clear()

    def _open(self, key: int, slot: _Slot, open_: Callable[[], Opened]) -> None:
        try:
            with self._places:
                found = open_()
        except BaseException as error:
            with self._lock:
                if self._slots.get(key) is slot:
                    del self._slots[key]
            slot.ready.set_exception(error)
        else:
            slot.ready.set_result(found)

    def _evict(self) -> None:
        """Those being opened stay: somebody waits for them."""
        total = sum(slot.size for slot in self._slots.values())
        for key in list(self._slots)[:-1]:
            if len(self._slots) <= self.photos and total <= self.bytes:
                return
            if self._slots[key].ready.done():
                total -= self._slots.pop(key).size
