"""Divide groups of photos so that each part gets its share of every class.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data, 2011): the class
with the fewest groups left is dealt out first, each group to the part that lacks the class most and has room for it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence


def divide(
    groups: Sequence[Mapping[str, int]], sizes: Sequence[int], ratios: Sequence[float], *, seed: int
) -> list[int]:
    """Which part each group goes to.

    Args:
        groups: class -> number of photos of the group that show it.
        sizes: number of photos of each group.
        ratios: share of each part; they sum to 1.
        seed: the same seed, groups and ratios give the same parts on every machine.

    Returns:
        For each group a number into ``ratios``.
    """
    order = list(range(len(groups)))
    chance = random.Random(seed)
    chance.shuffle(order)
    order.sort(key=lambda at: -sizes[at])  # large groups first, while there is room everywhere; stable: still shuffled
    total: dict[str, int] = defaultdict(int)
    holders: dict[str, list[int]] = defaultdict(list)
    for at in order:
        for name, number in groups[at].items():
            if number:
                total[name] += number
                holders[name].append(at)
    wanted = {name: [ratio * number for ratio in ratios] for name, number in total.items()}
    room = [ratio * sum(sizes) for ratio in ratios]
    left = {name: len(members) for name, members in holders.items()}
    part = [-1] * len(groups)

    def put(at: int, lacking: Sequence[float]) -> None:
        # A part that is full gets no more, however rare the class: else classes of one photo would all go to one part.
        parts = [k for k in range(len(ratios)) if 2 * room[k] >= sizes[at]] or [
            max(range(len(ratios)), key=room.__getitem__)
        ]
        chosen = max(parts, key=lambda k: (round(lacking[k], 9), round(room[k], 9), chance.random()))
        part[at] = chosen
        room[chosen] -= sizes[at]
        for name, number in groups[at].items():
            if number:
                wanted[name][chosen] -= number
                left[name] -= 1

    while open_names := [name for name in left if left[name] > 0]:
        rarest = min(open_names, key=lambda name: (left[name], name))
        for at in holders[rarest]:
            if part[at] < 0:
                put(at, wanted[rarest])
    for at in order:
        if part[at] < 0:  # nothing on its photos
            put(at, room)
    return part
