"""How many cores this process should use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """The cores that it may run on, at most ``OMP_NUM_THREADS`` of them: workers that share a machine set that."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # nested levels have commas between them
    return min(cores, int(wanted)) if wanted.isdecimal() and int(wanted) > 0 else cores
