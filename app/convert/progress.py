"""Progress bars on stderr, with rate and time left; silent when asked."""

from __future__ import annotations

import sys
from typing import Any


def bar(
    *, total: int, unit: str, what: str, quiet: bool, done: int = 0, delay: float = 0.0, scale: bool = False
) -> Any:
    """A tqdm bar. In a log file it writes a line now and then instead of repainting ten times a second.

    ``delay``: seconds in which nothing is shown; ``scale``: numbers with k, M, G.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        file=sys.stderr,
        disable=quiet,
        delay=delay,
        unit_scale=scale,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
        # photos/s even when it is less than one; tqdm would turn to s/photo
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [ETA {remaining}, {rate_noinv_fmt}]",
    )
