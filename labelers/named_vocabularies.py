"""Class lists of public data sets by name: ``named("coco-133")``. One JSON file each in ``vocab/``.

Names are those of the data set; prompts are what the released models were evaluated with: the name without the
substrings ``-other``, ``-merged`` and ``-stuff``. The order is that of the data set, so position k is its class k.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from labelers.vocabulary import Entry, Vocabulary, VocabularyError

NAMES = (
    "coco-133",
    "coco-80",
    "objects365",
    "ade20k-150",
    "ade20k-847",
    "cityscapes-19",
    "scannet-20",
    "scannet-37",
    "scannet-40",
    "sun-37",
    "bdd-19",
    "bdd-40",
    "pascal-context-59",
)

OWN_FILES = {"lvis": "lvis_v1_val.json", "seginw": "valid/_annotations_min1cat.coco.json"}
"""Data sets whose list is in their own JSON, with the usual name of that file."""

_DROPPED = ("-other", "-merged", "-stuff")


def names() -> tuple[str, ...]:
    """All the lists that ``named`` knows."""
    return NAMES


def named(name: str) -> Vocabulary:
    """The vocabulary called ``name``; upper case, ``_`` and spaces don't matter. Raises ``VocabularyError``."""
    key = name.strip().lower().replace("_", "-").replace(" ", "-")
    if key in OWN_FILES:
        raise VocabularyError(
            f"the classes of {name!r} are in the data set's own JSON; give that file, for instance {OWN_FILES[key]}"
        )
    if key not in NAMES:
        raise VocabularyError(f"there is no class list {name!r}; the lists are {', '.join(NAMES)}")
    found = _read(key)
    stuff, prompts = set(found["stuff"]), found.get("prompts", {})
    return Vocabulary(
        tuple(
            Entry(one, tuple(clean_prompt(text) for text in prompts.get(one, (one,))), stuff=one in stuff)
            for one in found["names"]
        )
    )


def about(name: str) -> str:
    """One line on a list, for help texts."""
    return str(_read(name)["about"])


def clean_prompt(name: str) -> str:
    """What a class name is called for the model: ``sky-other-merged`` is ``sky``; a name of nothing else stays."""
    text = name
    for part in _DROPPED:  # in this order, everywhere in the name
        text = text.replace(part, "")
    return text.strip() or name


@cache
def _read(key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("labelers") / "vocab" / f"{key}.json").read_text("utf-8"))
    return found
