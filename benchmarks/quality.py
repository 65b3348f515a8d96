"""The IoU column: taken from ``openseed-label evaluate --json``, and only if it is of the very model measured here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LABELER = {"openseed": "conditioned"}


def read_quality(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The labelers of all files. Raises ValueError naming the file if it is something else."""
    found: list[dict[str, Any]] = []
    for path in paths:
        try:
            labelers = json.loads(path.read_text())["labelers"]
            found += [{"labeler": one["labeler"], "version": one["version"], "iou": one["iou"]} for one in labelers]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} is no result of `openseed-label evaluate gt.json --json` ({error!r}); make one with it"
            ) from None
    return found


def match(quality: Sequence[dict[str, Any]], *, kind: str, preset: str, version: str) -> dict[str, float | None] | None:
    """IoU by cut (``all``, ``large`` ...) of the contestant, or None where the files have none of its version."""
    wanted = (LABELER.get(kind, preset), version)
    return next((one["iou"] for one in quality if (one["labeler"], one["version"]) == wanted), None)
