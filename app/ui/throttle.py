"""Slows down guessing of passwords, by the address that guesses: nobody can lock out somebody else.

Each address has a few tries at once and gets new ones slowly. Nothing is counted by name alone, because
then a stranger could keep an annotator out by failing in their name.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Throttle:
    """Tries to log in, per client address.

    Attributes:
        tries: how many an address has at once.
        seconds_per_try: how long until it gets another.
        addresses: how many are remembered; the least recently seen is forgotten first.
        clock: seconds that only grow.
    """

    tries: int = 10
    seconds_per_try: float = 6.0
    addresses: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def take(self, address: str) -> float:
        """Use one try. Returns 0, or the seconds to wait if there is none left.

        Taken before the password is looked at, so that many requests at once can't pass together.
        """
        key, now = _network(address), self.clock()
        with self._lock:
            left, seen = self._left.pop(key, (float(self.tries), now))
            left = min(float(self.tries), left + (now - seen) / self.seconds_per_try)
            allowed = left >= 1.0
            self._left[key] = (left - 1.0 if allowed else left, now)
            while len(self._left) > self.addresses:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) * self.seconds_per_try

    def forgive(self, address: str) -> None:
        """The password was right: give the try back."""
        key = _network(address)
        with self._lock:
            left, seen = self._left.get(key, (float(self.tries), self.clock()))
            self._left[key] = (min(float(self.tries), left + 1.0), seen)


def _network(address: str) -> str:
    """An IPv6 client owns a whole /64 of addresses: count them as one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
