"""What became of every annotation: compact columns, and texts only for what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import Plan, State
from app.convert.result import PhotoResult
from labelers.journal import Journal


@dataclass(frozen=True)
class Ledger:
    """One conversion, after it ran.

    Attributes:
        state: uint8 [annotations], a ``State`` each.
        score: float32 [annotations], 0 where not converted.
        reasons: annotation row -> why it was not converted.
        notes: image row -> what is to be known about its size or rotation.
        mismatched: image rows whose width and height contradict the file.
    """

    state: NDArray[np.uint8]
    score: NDArray[np.float32]
    reasons: Mapping[int, str]
    notes: Mapping[int, str]
    mismatched: frozenset[int]

    def count(self, state: State) -> int:
        return int(np.count_nonzero(self.state == state))


def tally(plan: Plan, journal: Journal) -> Ledger:
    """Read every result of the journal once. Reasons are kept only for what was not converted."""
    state = plan.state.copy()
    score = np.zeros(len(state), np.float32)
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    mismatched: set[int] = set()
    for image_row in plan.todo.tolist():
        result = PhotoResult.from_payload(journal.read(str(image_row)))
        rows = np.array(result.rows, np.int64)
        state[rows] = [int(s) for s in result.states]
        score[rows] = result.scores
        for row, outcome, text in zip(result.rows, result.states, result.reasons, strict=True):
            if outcome is not State.CONVERTED:
                reasons[row] = text or outcome.name.lower()
        if result.note:
            notes[image_row] = result.note
        if result.mismatch:
            mismatched.add(image_row)
    for row in np.flatnonzero(state == State.NO_IMAGE).tolist():
        reasons[row] = "its image_id is not in the file's images"
    return Ledger(state, score, reasons, notes, frozenset(mismatched))
