"""Loading a model's libraries without Python's garbage collector.

Importing torch and transformers makes very many objects, none of them garbage. Looking through them again and again
was a sixth of the time it took.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection inside, in any thread. A context manager, and as ``@uncollected()`` a decorator."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
