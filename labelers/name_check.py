"""Names of boxes, checked against what the labeler sees in them: candidates, and how doubtful the given name is.

The rule is one number: by how much the best other class outscores the given name. From a margin on, the name is
flagged. Names that share a prompt (synonyms) don't compete with each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelers.vocabulary import Vocabulary

MARGIN = 0.2
"""Difference of scores from which a name is flagged; see docs/propose.md for what it finds at which cost."""

TOP = 5


@dataclass(frozen=True)
class NameCheck:
    """One box.

    Attributes:
        given: the name it has, None where it has none that is in the vocabulary.
        candidates: the best names with their scores in [0, 1], best first; empty where the box can't be used.
        given_score: of the given name, None where it has none.
        doubt: score of the best other name minus that of the given one, in [-1, 1]; None without a given name.
        flagged: somebody should look at the name.
    """

    given: str | None
    candidates: tuple[tuple[str, float], ...]
    given_score: float | None
    doubt: float | None
    flagged: bool


def check_names(
    scores: NDArray[np.floating],
    given: Sequence[str | None],
    vocabulary: Vocabulary,
    *,
    margin: float = MARGIN,
    top: int = TOP,
) -> list[NameCheck]:
    """One check for each box.

    Args:
        scores: [N, K] in [0, 1], of each box for each entry of the vocabulary; a row of NaN for an unusable box.
        given: N names; None, an empty name, and a name that is not in the vocabulary count as no name.
        vocabulary: K entries.
        margin: flag from this ``doubt`` on.
        top: how many candidates.

    Raises ValueError: the numbers of boxes or classes differ.
    """
    table = np.asarray(scores, np.float64)
    if table.shape != (len(given), len(vocabulary.entries)):
        raise ValueError(
            f"scores are {list(table.shape)}, but there are {len(given)} boxes and {len(vocabulary.entries)} classes"
        )
    place = {name: column for column, name in enumerate(vocabulary.names)}
    groups = [frozenset(text.casefold() for text in (e.name, *e.prompts)) for e in vocabulary.entries]
    found = []
    for row, name in zip(table, given, strict=True):
        column = place.get(name) if name else None
        if np.isnan(row).any() or not len(row):
            found.append(NameCheck(name if column is not None else None, (), None, None, False))
            continue
        best = np.argsort(-row, kind="stable")[:top]
        candidates = tuple((vocabulary.names[k], round(float(row[k]), 4)) for k in best.tolist())
        if column is None:
            found.append(NameCheck(None, candidates, None, None, False))
            continue
        others = [k for k in range(len(row)) if not groups[k] & groups[column]]
        doubt = float(row[others].max() - row[column]) if others else -1.0
        found.append(
            NameCheck(name, candidates, round(float(row[column]), 4), round(doubt, 4), bool(others) and doubt >= margin)
        )
    return found
