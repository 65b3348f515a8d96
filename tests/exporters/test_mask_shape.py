"""The quick answer for plain masks is that of the full outline."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from exporters.mask_shape import parts_and_holes
from exporters.masks import encode


@given(hnp.arrays(bool, st.tuples(st.integers(1, 7), st.integers(1, 7))))
def test_parts_are_those_of_a_flood_fill(mask: np.ndarray) -> None:
    label = pytest.importorskip("skimage.measure").label
    parts, holes = parts_and_holes(encode(mask))
    assert parts == label(mask, connectivity=1).max()
    outside = label(~np.pad(mask, 1), connectivity=1)  # background that touches along edges only
    assert (holes > 0) == (outside.max() > 1 and has_enclosed(mask))


def has_enclosed(mask: np.ndarray) -> bool:
    """Whether one part alone encloses background, be it but for a corner."""
    label = pytest.importorskip("skimage.measure").label
    parts = label(mask, connectivity=1)
    return any(
        label(np.pad(parts != number, 1, constant_values=True), connectivity=1).max() > 1
        for number in range(1, parts.max() + 1)
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["###", "###"], (1, 0)),
        (["###", "#.#", "###"], (1, 1)),
        (["#.#"], (2, 0)),
        (["#.", ".#"], (2, 0)),
        (["...", "..."], (0, 0)),
        (["##.", "#.#", "###"], (1, 1)),  # open to the outside in a corner only
    ],
)
def test_drawn_masks(rows: list[str], expected: tuple[int, int]) -> None:
    assert parts_and_holes(encode(np.array([[c == "#" for c in row] for row in rows]))) == expected
