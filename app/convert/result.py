"""What is remembered of one photo, in the journal and afterwards: one row for each box that was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import State
from labelers.frames import Frame
from labelers.records import RLE, Instances, Status

STATE = {
    Status.OK: State.CONVERTED,
    Status.EMPTY: State.EMPTY,
    Status.DEGENERATE: State.DEGENERATE,
    Status.OUTSIDE: State.OUTSIDE,
    Status.FAILED: State.FAILED,
}
"""What a labeler's answer means for an annotation."""


@dataclass(frozen=True)
class PhotoResult:
    """Parallel tuples over the boxes of one photo.

    Attributes:
        rows: annotation rows of the document.
        states: a ``State`` each.
        reasons: why not, empty where converted.
        scores: quality in [0, 1].
        masks: RLEs in the frame of the input's boxes, None where not converted.
        note: what the user should know about the photo's size or rotation.
        mismatch: the JSON's width and height fit the file in no rotation, so the boxes are doubtful.
    """

    rows: tuple[int, ...]
    states: tuple[State, ...]
    reasons: tuple[str, ...]
    scores: tuple[float, ...]
    masks: tuple[RLE | None, ...]
    note: str | None = None
    mismatch: bool = False

    @property
    def final(self) -> bool:
        """False if trying again might help: a photo that could not be read, a labeler that failed."""
        return not any(state in (State.FAILED, State.NO_PHOTO) for state in self.states)

    @staticmethod
    def of(rows: NDArray[np.int64], instances: Instances, frame: Frame, *, mismatch: bool) -> PhotoResult:
        """Take the labeler's answer into the frame of the input."""
        return PhotoResult(
            rows=tuple(rows.tolist()),
            states=tuple(STATE[status] for status in instances.status),
            reasons=instances.reasons,
            # four digits: more would only make files differ between machines
            scores=tuple(round(score, 4) for score in instances.scores.tolist()),
            masks=tuple(None if mask is None else frame.mask_from_upright(mask) for mask in instances.masks),
            note=frame.note,
            mismatch=mismatch,
        )

    def without_poor(self, quality: float) -> PhotoResult:
        """Masks with a score below ``quality`` are taken out, and the reason says so."""
        poor = [
            state is State.CONVERTED and score < quality for state, score in zip(self.states, self.scores, strict=True)
        ]
        if not any(poor):
            return self
        rows = list(zip(poor, self.states, self.reasons, self.scores, self.masks, strict=True))
        return replace(
            self,
            states=tuple(State.POOR if drop else state for drop, state, *_ in rows),
            reasons=tuple(
                f"its mask has the quality {score:g}, below {quality:g}" if drop else reason
                for drop, _, reason, score, _ in rows
            ),
            masks=tuple(None if drop else mask for drop, *_, mask in rows),
        )

    @staticmethod
    def unread(rows: NDArray[np.int64], reason: str) -> PhotoResult:
        """The photo could not be read, so none of its boxes could be converted."""
        n = len(rows)
        return PhotoResult(tuple(rows.tolist()), (State.NO_PHOTO,) * n, (reason,) * n, (0.0,) * n, (None,) * n)

    def payload(self) -> dict[str, Any]:
        """As JSON. Inverse of ``from_payload``."""
        return {
            "rows": self.rows,
            "states": [int(state) for state in self.states],
            "reasons": self.reasons if any(self.reasons) else [],
            "scores": self.scores,
            "size": next((mask["size"] for mask in self.masks if mask is not None), None),
            "counts": [None if mask is None else mask["counts"].decode("ascii") for mask in self.masks],
            "note": self.note,
            "mismatch": self.mismatch,
        }

    @staticmethod
    def from_payload(payload: dict[str, Any]) -> PhotoResult:
        """Read back what ``payload`` wrote."""
        size = payload["size"]
        return PhotoResult(
            rows=tuple(payload["rows"]),
            states=tuple(State(state) for state in payload["states"]),
            reasons=tuple(payload["reasons"]) or ("",) * len(payload["rows"]),
            scores=tuple(payload["scores"]),
            masks=tuple(
                None if counts is None else RLE(size=list(size), counts=counts.encode("ascii"))
                for counts in payload["counts"]
            ),
            note=payload["note"],
            mismatch=payload["mismatch"],
        )
