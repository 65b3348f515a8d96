"""Read a big JSON file value by value, with the byte span of each, in little memory.

The file is read as Latin-1 text, one character a byte, so that places in the text are places in the file and Python's
C scanner can be used on it; JSON's own characters are all ASCII. Values with other characters are read again as UTF-8.
Only one element of a top-level array is in memory at a time. Like Python's json, it reads NaN and Infinity.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from enum import Enum
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

CHUNK = 1 << 22
_SPACE = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode
_BOM = "\xef\xbb\xbf"
# A number, literal or escape cut off by the end of the buffer is noticed at most this many characters before it.
_SLACK = 16


class JsonError(ValueError):
    """The file is no JSON: message with file, line, column and reason. Line and column count from 1."""

    def __init__(self, path: Path, reason: str, *, line: int, column: int) -> None:
        super().__init__(f"{path}: line {line}, column {column}: {reason}")
        self.path, self.reason, self.line, self.column = path, reason, line, column


class Kind(Enum):
    ELEMENT = "element"  # one element of a top-level array
    ARRAY = "array"  # a whole top-level array, after its elements; value is None
    MEMBER = "member"  # a top-level value that is no array
    DOCUMENT = "document"  # the outermost value, last; value is dict or list (the type)


class Item(NamedTuple):
    """A value of the file: its bytes are file[start:end]. ``key`` is the top-level key, None in a top-level array."""

    kind: Kind
    key: str | None
    start: int
    end: int
    value: Any


def scan(
    path: Path, file: BinaryIO, *, chunk: int = CHUNK, on_read: Callable[[int], object] = lambda size: None
) -> Iterator[Item]:
    """Values of a JSON file in file order.

    Args:
        path: for messages.
        file: the open file, read from its start.
        chunk: bytes read at a time.
        on_read: hears how many bytes were read, each time.

    Raises:
        JsonError: not JSON, not UTF-8, or too deeply nested; raised when the place is reached.
    """
    file.seek(0)
    return _Scanner(path, file, chunk, on_read).document()


class _Scanner:
    """The text around the place that is being read: ``text[at]`` is byte ``base + at`` of the file."""

    def __init__(self, path: Path, file: BinaryIO, chunk: int, on_read: Callable[[int], object]) -> None:
        self.path, self.file, self.chunk, self.on_read = path, file, chunk, on_read
        self.text, self.base, self.at = "", 0, 0
        self.eof = False
        self.ascii = True

    def document(self) -> Iterator[Item]:
        while len(self.text) < 4 and self._more():
            pass
        if self.text.startswith("\x1f\x8b"):
            self._fail(0, "the file is compressed; unpack it first (gunzip)")
        if self.text.startswith(("\xff\xfe", "\xfe\xff")) or "\0" in self.text[:4]:
            self._fail(0, "the file is UTF-16 or UTF-32; save it as UTF-8")
        self.at = len(_BOM) if self.text.startswith(_BOM) else 0
        first = self._peek()
        start = self.base + self.at
        if first == "[":
            yield from self._elements(None)
        elif first == "{":
            yield from self._members()
        else:
            self._fail(self.at, "an object or a list is expected" if first else "the file is empty")
        end = self.base + self.at
        if self._peek():
            self._fail(self.at, "nothing is expected after the end of the document")
        yield Item(Kind.DOCUMENT, None, start, end, dict if first == "{" else list)

    def _members(self) -> Iterator[Item]:
        self.at += 1
        more = self._peek() != "}"
        while more:
            if self._peek() != '"':
                self._fail(self.at, "a key in double quotes is expected")
            key: str = self._value()[2]
            if self._peek() != ":":
                self._fail(self.at, "':' is expected after a key")
            self.at += 1
            if self._peek() == "[":
                start = self.base + self.at
                yield from self._elements(key)
                yield Item(Kind.ARRAY, key, start, self.base + self.at, None)
            else:
                yield Item(Kind.MEMBER, key, *self._value())
            more = self._comma("}")
        self.at += 1

    def _elements(self, key: str | None) -> Iterator[Item]:
        self.at += 1
        more = self._peek() != "]"
        while more:
            self._peek()
            yield Item(Kind.ELEMENT, key, *self._value())
            more = self._comma("]")
        self.at += 1

    def _comma(self, close: str) -> bool:
        found = self._peek()
        if found == ",":
            self.at += 1
            return True
        if found != close:
            self._fail(
                self.at, f"',' or '{close}' is expected" if found else "the file ends too early (is it cut off?)"
            )
        return False

    def _peek(self) -> str:
        """Skip white space; the next character, empty at the end of the file."""
        while True:
            self.at = _SPACE.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text):
                return self.text[self.at]
            if not self._more():
                return ""

    def _value(self) -> tuple[int, int, Any]:
        while True:
            try:
                value, end = _decode(self.text, self.at)
            except json.JSONDecodeError as error:
                at, reason = error.pos, error.msg
            except RecursionError:
                self._fail(self.at, "values are nested too deeply")
            except ValueError as error:  # Python refuses numbers of thousands of digits
                self._fail(self.at, str(error))
            else:
                if self.eof or end < len(self.text) - _SLACK:
                    return self._found(value, end)
                at, reason = end, ""
            cut_off = at >= len(self.text) - _SLACK or reason.startswith("Unterminated string")
            if not cut_off or not self._more():
                if at >= len(self.text):
                    reason = "the file ends too early (is it cut off?)"
                self._fail(at, reason)

    def _found(self, value: Any, end: int) -> tuple[int, int, Any]:
        start, self.at = self.at, end
        if not self.ascii and not (raw := self.text[start:end]).isascii():
            try:
                value = json.loads(raw.encode("latin-1").decode("utf-8"))
            except UnicodeDecodeError as error:
                self._fail(start + error.start, "the text is not UTF-8; save the file as UTF-8")
        return self.base + start, self.base + end, value

    def _more(self) -> bool:
        """Forget what was read and read on; doubles while one value doesn't fit. False at the end of the file."""
        if self.eof:
            return False
        rest = self.text[self.at :]
        read = self.file.read(max(self.chunk, len(rest)))
        self.eof = not read
        self.on_read(len(read))
        self.base += self.at
        self.text, self.at = rest + read.decode("latin-1"), 0
        self.ascii = self.text.isascii()
        return True

    def _fail(self, at: int, reason: str) -> NoReturn:
        line, column = place(self.file, self.base + at)
        raise JsonError(self.path, reason, line=line, column=column)


def place(file: BinaryIO, offset: int) -> tuple[int, int]:
    """Line and column (in characters, both from 1) of a byte of the file."""
    file.seek(0)
    line, last = 1, b""
    while offset > 0 and (read := file.read(min(offset, CHUNK))):
        offset -= len(read)
        line += read.count(b"\n")
        _head, newline, tail = read.rpartition(b"\n")
        last = tail if newline else last + read
    return line, len(last.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")) + 1


class Member(NamedTuple):
    """A member of an object's text: ``text[key_start:key_end]`` is the quoted key, ``text[start:end]`` the value."""

    key: str
    key_start: int
    key_end: int
    start: int
    end: int


def members(text: str) -> list[Member]:
    """The members of one JSON object, duplicates included, in order.

    Args:
        text: the object from brace to brace, known to be JSON (as ``scan`` found it).
    """
    found: list[Member] = []
    at = _skip(text, 1)
    while text[at] != "}":
        key, key_end = scanstring(text, at + 1, True)
        start = _skip(text, _skip(text, key_end) + 1)
        end = _decode(text, start)[1]
        found.append(Member(key, at, key_end, start, end))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]
