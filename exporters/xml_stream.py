"""Read a big or hostile XML file element by element.

A document type is refused, and with it all entities: no bombs, no files fetched from elsewhere. Only the elements asked
for are built, one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from exporters.dataset import FormatError

CHUNK = 1 << 16
MAX_DEPTH = 50
MAX_TEXT = 1 << 28
"""Characters of text and attributes in one element asked for, 268 million; its photo has no more pixels than that."""


def elements(
    stream: IO[bytes],
    wanted: frozenset[str],
    *,
    source: str,
    on_start: Callable[[str, dict[str, str]], object] = lambda tag, attributes: None,
) -> Iterator[Element]:
    """The elements called one of ``wanted``, whole, in file order; inside one of them others are part of it.

    Args:
        source: the file, for messages.
        on_start: hears the tag and attributes of every element when it begins.

    Raises:
        FormatError: no XML, cut off, a document type, too deep or an element that is too large.
    """
    builder = _Builder(wanted, source, on_start)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    try:
        while chunk := stream.read(CHUNK):
            parser.Parse(chunk, False)
            yield from builder.take()
        parser.Parse(b"", True)
        yield from builder.take()
    except expat.ExpatError as error:
        raise FormatError(f"{source}: not valid XML ({error}); export it again") from error
    except (UnicodeError, LookupError) as error:
        raise FormatError(f"{source}: its encoding can't be read ({error}); save it as UTF-8") from error


class _Builder:
    def __init__(self, wanted: frozenset[str], source: str, on_start: Callable[[str, dict[str, str]], object]) -> None:
        self.wanted, self.source, self.on_start = wanted, source, on_start
        self.depth = self.inside = self.size = 0
        self.tree: TreeBuilder | None = None
        self.ready: list[Element] = []

    def take(self) -> list[Element]:
        ready, self.ready = self.ready, []
        return ready

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FormatError(f"{self.source}: elements are nested more than {MAX_DEPTH} deep; this is no label file")
        self.on_start(tag, attributes)
        if self.tree is None and tag in self.wanted:
            self.tree, self.inside, self.size = TreeBuilder(), self.depth, 0
        if self.tree is not None:
            self._count(sum(map(len, attributes.values())) + 64)
            self.tree.start(tag, attributes)

    def data(self, text: str) -> None:
        if self.tree is not None:
            self._count(len(text))
            self.tree.data(text)

    def end(self, tag: str) -> None:
        if self.tree is not None:
            self.tree.end(tag)
            if self.depth == self.inside:
                self.ready.append(self.tree.close())
                self.tree = None
        self.depth -= 1

    def refuse(self, *_: object) -> None:
        raise FormatError(f"{self.source}: it has a document type or entities, which label files don't need; remove it")

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > MAX_TEXT:
            raise FormatError(f"{self.source}: one element holds more than {MAX_TEXT:,} characters; split the file")
