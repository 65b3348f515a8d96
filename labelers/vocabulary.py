"""Class names and what they are called in prompts.

Everything that names classes (``--prompt``, a project's synonyms, Label Studio's ``predicted_values``,
vocabulary files with lines ``name = a | b``) parses into ``Vocabulary``.

In a file or in an inline list, marks may stand at the end of the name or of the line, in square brackets:

    sky [stuff] = sky | clouds
    person [threshold 0.4]
    road [stuff] [threshold 0.2]

Inline, ``sky (stuff)`` works too, because square brackets mean something to some shells.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

THRESHOLD = 0.3
"""The labelers' default: score from which something is proposed, where its class has no threshold of its own.

With ``nano`` three of five proposals are right at 0.3, one of three at 0.2 (docs/model-card.md)."""

_COMMENT = re.compile(r"(?:^|\s)#.*")  # not the # of C# or #5
_MARK = re.compile(r"\s*\[\s*(stuff|thing|threshold\s+([^\]\s]+))\s*\]\s*$", re.IGNORECASE)
_ODD = re.compile(r"[\[(]\s*([a-z]+)[^\])]*[\])]\s*$", re.IGNORECASE)
_ROUND = re.compile(r"\(\s*(stuff|thing|threshold\s+[^)\s]+)\s*\)", re.IGNORECASE)


class VocabularyError(ValueError):
    """A vocabulary text can't be read; the message names the line and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One class.

    Attributes:
        name: the class name as the dataset writes it.
        prompts: one or more texts for the model; their embeddings are averaged.
        stuff: True for regions without instances (sky, road).
        threshold: minimum score for proposals of this class, None for the labeler's default.
    """

    name: str
    prompts: tuple[str, ...]
    stuff: bool = False
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not self.prompts or any(not p.strip() for p in self.prompts):
            raise VocabularyError(f"class {self.name!r} has an empty prompt; write at least one word for it")
        if self.threshold is not None and not 0 <= self.threshold <= 1:  # also true for NaN
            raise VocabularyError(f"class {self.name!r} has the threshold {self.threshold}; give a number from 0 to 1")


@dataclass(frozen=True)
class Vocabulary:
    """An ordered set of classes, looked up by name. A name that is not in it is its own prompt."""

    entries: tuple[Entry, ...] = ()
    _index: Mapping[str, Entry] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        index: dict[str, Entry] = {}
        for entry in self.entries:
            if entry.name in index:
                raise VocabularyError(f"class {entry.name!r} stands twice in the vocabulary; join its prompts with '|'")
            index[entry.name] = entry
        object.__setattr__(self, "_index", index)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries)

    def prompts(self, name: str) -> tuple[str, ...]:
        """The texts that stand for the class ``name``."""
        entry = self._index.get(name)
        return entry.prompts if entry else (name,)

    def get(self, name: str) -> Entry | None:
        """The class ``name``, None if it is not in the vocabulary."""
        return self._index.get(name)

    def with_thresholds(self, default: float | None, each: Mapping[str, float] | None = None) -> Vocabulary:
        """``each`` by class name, and ``default`` for the classes that have none of their own.

        Raises VocabularyError: ``each`` names a class that is not there, or a threshold is not in [0, 1].
        """
        wanted = dict(each or {})
        if unknown := [name for name in wanted if name not in self._index]:
            raise VocabularyError(f"there is no class {unknown[0]!r} to set a threshold for; {_known(self.names)}")
        entries = []
        for entry in self.entries:
            own = wanted.get(entry.name, entry.threshold)
            entries.append(replace(entry, threshold=default if own is None else own))
        return Vocabulary(tuple(entries))

    def with_prompts(self, lines: Iterable[str]) -> Vocabulary:
        """Replace the prompts of, or add, the classes given as ``name = a | b`` lines; marks stay as they are."""
        merged = {entry.name: entry for entry in self.entries}
        for line in lines:
            entry = parse_line(line)
            merged[entry.name] = replace(merged.get(entry.name, entry), prompts=entry.prompts)
        return Vocabulary(tuple(merged.values()))

    @staticmethod
    def of(names: Iterable[str]) -> Vocabulary:
        """Each distinct name as its own prompt, in order of first appearance."""
        return Vocabulary(tuple(Entry(name, (name if name.strip() else "object",)) for name in dict.fromkeys(names)))

    @staticmethod
    def parse(text: str) -> Vocabulary:
        """Read a vocabulary file: one class a line; ``#`` starts a comment at the start of a line or after a space."""
        lines = (_COMMENT.sub("", line).strip() for line in text.splitlines())
        return Vocabulary(tuple(parse_marked(line) for line in lines if line))

    @staticmethod
    def inline(text: str) -> Vocabulary:
        """Read a list on one line: ``person, traffic light, sky (stuff), tv = television | monitor``.

        Raises VocabularyError: a class that can't be read or stands twice, or none at all.
        """
        parts = [part.strip() for part in text.split(",")]
        entries = tuple(parse_inline(part) for part in parts if part)
        if not entries:
            raise VocabularyError(
                'the list of classes is empty; write for instance "person, traffic light, sky (stuff)"'
            )
        return Vocabulary(entries)


def parse_line(line: str) -> Entry:
    """``name`` or ``name = prompt | prompt``; what looks like a mark is part of the name."""
    name, separator, right = (part.strip() for part in line.partition("="))
    if not name or (separator and not right):
        raise VocabularyError(f"can't read {line!r}; write: name = prompt | another prompt")
    prompts = tuple(part.strip() for part in right.split("|")) if separator else (name,)
    return Entry(name, prompts)


def parse_marked(line: str) -> Entry:
    """``parse_line`` with marks: ``name [stuff] [threshold 0.4] = prompt | prompt``."""
    left, separator, right = line.partition("=")
    left, marks = _split_marks(left)
    right, more = _split_marks(right)
    for text in (left, right):
        found = _ODD.search(text)
        if found and difflib.get_close_matches(found[1].lower(), ("stuff", "thing", "threshold"), cutoff=0.85):
            raise VocabularyError(
                f"can't read the mark {found[0].strip()!r} in {line!r}; write [stuff], [thing] or [threshold 0.4]"
            )
    entry = parse_line(f"{left} {separator} {right}")
    stuff, threshold = False, None
    for word, number in (*marks, *more):
        if number is None:
            stuff = word == "stuff"
            continue
        try:
            threshold = float(number)
        except ValueError:
            raise VocabularyError(f"can't read the threshold {number!r} in {line!r}; write [threshold 0.4]") from None
    return replace(entry, stuff=stuff, threshold=threshold)


def parse_inline(part: str) -> Entry:
    """``parse_marked``, with marks in round brackets too."""
    return parse_marked(_ROUND.sub(r"[\1]", part))


def _split_marks(text: str) -> tuple[str, list[tuple[str, str | None]]]:
    """The text without the marks at its end, and the marks: (word, None) or ("threshold", number)."""
    marks: list[tuple[str, str | None]] = []
    while found := _MARK.search(text):
        marks.insert(0, (found[1].split()[0].lower(), found[2]))  # they are found from the end on
        text = text[: found.start()]
    return text, marks


def _known(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"the classes are {', '.join(names[:12])}{more}" if names else "there are no classes"
