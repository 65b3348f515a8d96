"""Checkpoints of a run: written whole or not at all, the last few kept."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch


def path_of(folder: Path, step: int) -> Path:
    return folder / f"step-{step:07d}.pt"


def all_of(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def save(folder: Path, step: int, state: dict[str, Any], *, keep: int) -> Path:
    """Write the state of a step (temp + rename) and delete all but the last ``keep``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, step)
    temporary = path.with_suffix(".tmp")
    torch.save({**state, "step": step}, temporary)
    temporary.replace(path)
    for old in all_of(folder)[: -max(keep, 1)]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path, *, device: torch.device) -> dict[str, Any] | None:
    """The state of the last readable checkpoint, or None. A damaged file (a full disk, say) is passed over."""
    for path in reversed(all_of(folder)):
        try:
            state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnpicklingError):
            continue
        return state
    return None
