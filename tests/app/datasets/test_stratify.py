"""Every part gets its share of every class, groups stay whole, and a seed is a promise."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.datasets.stratify import divide


def test_rare_classes_are_shared_out_too() -> None:
    chance = random.Random(3)
    groups = [{"common": 1, **({"rare": 1} if k % 50 == 0 else {})} for k in range(1000)]
    chance.shuffle(groups)
    part = divide(groups, [1] * 1000, [0.8, 0.1, 0.1], seed=1)
    assert [Counter(part)[k] for k in range(3)] == [800, 100, 100]
    rare = Counter(p for p, group in zip(part, groups, strict=True) if "rare" in group)
    assert [rare[k] for k in range(3)] == [16, 2, 2]


def test_a_random_split_would_be_worse() -> None:
    """Twenty classes, each on 5 % of the photos: the mean error of a share is a third of a shuffle's at most."""
    chance = random.Random(0)
    groups = [{f"class {c}": 1 for c in range(20) if chance.random() < 0.05} for _ in range(600)]
    ratios = [0.7, 0.2, 0.1]

    def error(part: list[int]) -> float:
        errors = []
        for c in range(20):
            found = Counter(p for p, group in zip(part, groups, strict=True) if f"class {c}" in group)
            total = sum(found.values())
            errors += [abs(found[k] / total - ratios[k]) for k in range(3)]
        return sum(errors) / len(errors)

    shuffled = [0] * 420 + [1] * 120 + [2] * 60
    chance.shuffle(shuffled)
    assert 3 * error(divide(groups, [1] * 600, ratios, seed=0)) < error(shuffled)


@given(
    st.lists(st.tuples(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), st.integers(1, 5)), max_size=30),
    st.integers(0, 3),
)
def test_every_group_gets_one_part_and_a_seed_repeats(rows: list[tuple[dict[str, int], int]], seed: int) -> None:
    groups, sizes = [row[0] for row in rows], [row[1] for row in rows]
    part = divide(groups, sizes, [0.5, 0.5], seed=seed)
    assert len(part) == len(rows)
    assert set(part) <= {0, 1}
    assert part == divide(groups, sizes, [0.5, 0.5], seed=seed)


def test_classes_of_one_photo_do_not_all_go_to_one_part() -> None:
    part = divide([{f"class {k}": 1} for k in range(100)], [1] * 100, [0.8, 0.1, 0.1], seed=0)
    assert [Counter(part)[k] for k in range(3)] == [80, 10, 10]


def test_seeds_differ() -> None:
    groups = [{"a": 1}] * 40
    assert divide(groups, [1] * 40, [0.5, 0.5], seed=1) != divide(groups, [1] * 40, [0.5, 0.5], seed=2)


@pytest.mark.parametrize("sizes", [[10, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]])
def test_a_large_group_does_not_overfill(sizes: list[int]) -> None:
    part = divide([{"a": 1}] * len(sizes), sizes, [0.5, 0.5], seed=0)
    filled = [sum(size for size, p in zip(sizes, part, strict=True) if p == k) for k in (0, 1)]
    assert abs(filled[0] - filled[1]) <= 10
