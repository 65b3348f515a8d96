"""From ``--vocab`` to a vocabulary: a list on the command line, a text file, a COCO file, or a list known by name."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from app.errors import UsageError
from labelers.named_vocabularies import NAMES, OWN_FILES, clean_prompt, named
from labelers.vocabulary import Entry, Vocabulary, VocabularyError

_STUFF = frozenset({"stuff", "background"})


def read_vocabulary(text: str) -> Vocabulary:
    """The classes that the text means, tried in this order: a file, a known name, classes separated by commas.

    Raises UsageError, CocoError or VocabularyError.
    """
    path = Path(text)
    if len(text) < 4096 and "\n" not in text and path.is_file():
        return coco_vocabulary(path) if path.suffix.lower() == ".json" else _from_text(path)
    key = text.strip().lower().replace("_", "-").replace(" ", "-")
    if key in NAMES or key in OWN_FILES:
        return named(text)
    if path.suffix.lower() in (".json", ".txt") and "," not in text:
        raise UsageError(f"--vocab {text}: no such file; check the path")
    if meant := _meant(key):
        raise UsageError(
            f"--vocab {text}: there is no list of this name; {' or '.join(meant)}? For a class that is called so, "
            f'write "{text},"'
        )
    return Vocabulary.inline(text)


def _meant(key: str) -> list[str]:
    """The lists that a text which is none of their names looks like: coco133, cityscapes, coco-132."""
    if not key or "," in key or "=" in key or key == "sun":  # which is on many photos
        return []
    bare = re.sub(r"[^a-z0-9]", "", key)
    same = [name for name in NAMES if bare == name.replace("-", "") or key == name.rpartition("-")[0]]
    if same or not any(letter.isdigit() for letter in key):
        return same
    return difflib.get_close_matches(key, NAMES, n=2, cutoff=0.75)


def _from_text(path: Path) -> Vocabulary:
    try:
        found = Vocabulary.parse(path.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageError(f"--vocab {path} is no UTF-8 text; save it as UTF-8") from error
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error
    if not found.entries:
        raise UsageError(f'--vocab {path} names no class; write one a line, for instance "sky [stuff]"')
    return found


def coco_vocabulary(path: Path) -> Vocabulary:
    """The ``categories`` of a COCO file of any kind (instances, panoptic, LVIS). Raises CocoError, UsageError."""
    from exporters.coco import CocoError
    from exporters.json_stream import JsonError, Kind, scan

    found: list[Any] = []
    try:
        with path.open("rb") as file:
            for item in scan(path, file):
                if item.kind is Kind.ELEMENT and item.key == "categories":
                    found.append(item.value)
    except JsonError as error:
        raise CocoError(f"{error}; repair the file at this place or export it again") from error
    vocabulary = of_categories(one for one in found if isinstance(one, dict))
    if not vocabulary.entries:
        raise UsageError(f'{path}: it has no "categories" with names; give a COCO file that has, or --vocab with names')
    return vocabulary


def of_categories(categories: Iterable[Mapping[str, Any]]) -> Vocabulary:
    """COCO categories as classes; of two with one name the first counts.

    ``isthing`` decides what is stuff; where it is missing, the supercategory "stuff" or "background" does.
    """
    entries: dict[str, Entry] = {}
    for category in categories:
        name = category.get("name")
        if not isinstance(name, str) or not name.strip() or name in entries:
            continue
        # LVIS writes aerosol_can; the text encoder knows words
        entries[name] = Entry(name, (clean_prompt(name).replace("_", " ").strip() or name,), stuff=is_stuff(category))
    return Vocabulary(tuple(entries.values()))


def is_stuff(category: Mapping[str, Any]) -> bool:
    """Whether a COCO category is stuff; see ``of_categories``."""
    isthing, above = category.get("isthing"), category.get("supercategory")
    return isthing == 0 if isthing is not None else isinstance(above, str) and above.lower() in _STUFF


def read_thresholds(text: str) -> dict[str, float]:
    """``person=0.5, sky=0.3``, or a file with such lines. Raises UsageError."""
    path = Path(text)
    if len(text) < 4096 and "=" not in text:
        if not path.is_file():
            raise UsageError(f'--thresholds {text!r}: write "person=0.5, sky=0.3", or name a file with such lines')
        lines = [line.partition("#")[0] for line in path.read_text("utf-8-sig").splitlines()]
    else:
        lines = text.split(",")
    found: dict[str, float] = {}
    for line in lines:
        if not line.strip():
            continue
        name, _, number = (part.strip() for part in line.rpartition("="))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not 0 <= value <= 1:
            raise UsageError(f"--thresholds: can't read {line.strip()!r}; write class=number, from 0 to 1")
        found[name] = value
    return found
