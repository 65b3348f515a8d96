"""Class names and what they are called in prompts.

Everything that names classes (``--prompt``, a project's synonyms, Label Studio's ``predicted_values``,
vocabulary files with lines ``name = a | b``) parses into ``Vocabulary``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_COMMENT = re.compile(r"(?:^|\s)#.*")  # not the # of C# or #5


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

    def with_prompts(self, lines: Iterable[str]) -> Vocabulary:
        """Replace or add the classes given as ``name = a | b`` lines."""
        merged = {entry.name: entry for entry in self.entries}
        for line in lines:
            entry = parse_line(line)
            merged[entry.name] = entry
        return Vocabulary(tuple(merged.values()))

    @staticmethod
    def of(names: Iterable[str]) -> Vocabulary:
        """Each distinct name as its own prompt, in order of first appearance."""
        return Vocabulary(tuple(Entry(name, (name if name.strip() else "object",)) for name in dict.fromkeys(names)))

    @staticmethod
    def parse(text: str) -> Vocabulary:
        """Read a vocabulary file: one class a line; ``#`` starts a comment at the start of a line or after a space."""
        lines = (_COMMENT.sub("", line).strip() for line in text.splitlines())
        return Vocabulary(tuple(parse_line(line) for line in lines if line))


def parse_line(line: str) -> Entry:
    """``name`` or ``name = prompt | prompt``."""
    name, separator, right = (part.strip() for part in line.partition("="))
    if not name or (separator and not right):
        raise VocabularyError(f"can't read {line!r}; write: name = prompt | another prompt")
    prompts = tuple(part.strip() for part in right.split("|")) if separator else (name,)
    return Entry(name, prompts)
