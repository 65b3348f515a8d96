"""What became of every annotation: compact columns, and texts only for what went wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import Plan, State, scratch_folder
from app.convert.result import PhotoResult
from exporters.long_columns import blocks, long_copy, long_zeros

if TYPE_CHECKING:
    from app.convert.write import Results

ORPHAN = "its image_id is not in the file's images"


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
        return sum(int(np.count_nonzero(self.state[block] == state)) for block in blocks(len(self.state)))

    def total(self, state: State) -> float:
        """The sum of the scores in this state."""
        return sum(
            float(self.score[block][self.state[block] == state].sum(dtype=np.float64))
            for block in blocks(len(self.state))
        )

    def rows(self, state: State) -> Iterator[int]:
        """The annotation rows in this state, in order."""
        for block in blocks(len(self.state)):
            yield from (np.flatnonzero(self.state[block] == state) + block.start).tolist()


def tally(plan: Plan, results: Results) -> Ledger:
    """Read every result once. Reasons are kept only for what was not converted."""
    folder = scratch_folder(plan.settings)
    state = long_copy(plan.state, folder)
    score = long_zeros(len(state), np.float32, folder)
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    mismatched: set[int] = set()
    for image_row in plan.todo.tolist():
        result = PhotoResult.from_payload(results.read(str(image_row)))
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
    ledger = Ledger(state, score, reasons, notes, frozenset(mismatched))
    reasons.update(dict.fromkeys(ledger.rows(State.NO_IMAGE), ORPHAN))
    return ledger
