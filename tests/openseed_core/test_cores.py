"""As many cores as the process may use, and no more than it was told to."""

from __future__ import annotations

import os

import pytest

from openseed_core.cores import usable_cores


@pytest.mark.parametrize(
    ("wanted", "cores"),
    [(None, 6), ("", 6), ("1", 1), ("4", 4), ("64", 6), ("2,1", 2), ("0", 6), ("many", 6), ("-1", 6)],
)
def test_usable_cores(monkeypatch: pytest.MonkeyPatch, wanted: str | None, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    if wanted is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert usable_cores() == cores
