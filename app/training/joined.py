"""Several sets of crops as one: the union of their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.training.dataset import TrainingSet


def joined(sets: Sequence[TrainingSet]) -> TrainingSet:
    """All records of the sets, their labels counted in the sorted union of the names."""
    names = tuple(sorted({name for one in sets for name in one.names}))
    index = {name: i for i, name in enumerate(names)}
    records = []
    for one in sets:
        moved = np.array([index[name] for name in one.names], np.int64)
        records += [replace(record, labels=moved[record.labels]) for record in one.records]
    return TrainingSet(tuple(records), names)
