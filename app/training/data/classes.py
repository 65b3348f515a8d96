"""Classes of a data set: their order, what they are called in training, which of them are things."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from openseed_core.prompts import coco_training_name, objects365_synonyms

LEFT_OUT = -1
"""In place of a class index: the class is not read."""

IGNORED = -2
"""In place of a class index: its regions are neither targets nor background."""


def training_name(name: str) -> str:
    """The prompt of a COCO panoptic class (spec 4): ``wall-other-merged`` is wall, ``floor-wood`` is wood floor."""
    return coco_training_name(name)


def slash_synonyms(name: str) -> tuple[str, ...]:
    """The prompts of an Objects365 class (spec 4): ``Cabinet/shelf`` -> cabinet, shelf."""
    return tuple(dict.fromkeys(part for part in objects365_synonyms(name) if part))


def is_stuff(category: Mapping[str, Any], *, default: bool = False) -> bool:
    """Whether an element of ``categories`` is stuff: by ``isthing``, else by the supercategory ``stuff``."""
    isthing = category.get("isthing")
    if isthing is not None:
        return isthing in (0, "0", False)
    return default or category.get("supercategory") == "stuff"


class Classes:
    """Grows by one class after the other.

    A thing is its name. Stuff is its training name: ``sky-other-merged`` and ``sky`` are one class, because the model
    hears the same word for both. Stuff that is called like a thing (all cars of a photo as one region) can be a target
    of neither kind, so it is ignored.
    """

    def __init__(self, leave_out: Collection[str] = ()) -> None:
        self._leave_out = frozenset(leave_out)
        self._names: list[str] = []
        self._synonyms: list[tuple[str, ...]] = []
        self._stuff: list[bool] = []
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._names)

    def add(
        self, name: str, *, stuff: bool = False, synonyms: Callable[[str], tuple[str, ...]] = lambda name: (name,)
    ) -> int:
        """The index of a class, which may be known already, or ``LEFT_OUT`` or ``IGNORED``."""
        key = training_name(name) if stuff else name
        if not key.strip() or name in self._leave_out or key in self._leave_out:
            return LEFT_OUT
        known = self._index.get(key)
        if known is not None:
            return IGNORED if stuff and not self._stuff[known] else known
        self._index[key] = len(self._names)
        self._names.append(name)
        self._synonyms.append((key,) if stuff else synonyms(name) or (name,))
        self._stuff.append(stuff)
        return self._index[key]

    def is_stuff(self, index: int) -> bool:
        return self._stuff[index]

    def listed(self) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], frozenset[int]]:
        """Names, synonyms and the indices of things."""
        things = frozenset(k for k, stuff in enumerate(self._stuff) if not stuff)
        return tuple(self._names), tuple(self._synonyms), things
