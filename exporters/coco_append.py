"""A COCO file with more annotations and categories behind its own: every byte that was there stays."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from exporters.coco_records import CocoError
from exporters.coco_tables import Source, read_tables
from exporters.files import replacing


def append(
    source: Path,
    path: Path,
    annotations: Iterable[Mapping[str, Any]],
    *,
    categories: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write ``source`` to ``path`` with new elements at the ends of its lists.

    Args:
        source: a COCO file with an "annotations" list.
        path: output, replaced in one step when it is complete; may be ``source``.
        annotations: read once, while writing.
        categories: new ones; a file without a "categories" list gets one.

    Raises:
        CocoError: the file is malformed, has no "annotations", or was changed by someone meanwhile.
        OSError: the output can't be written.
    """
    file = Source(source)
    try:
        spans = read_tables(file, with_annotations=False).spans
        if "annotations" not in spans:
            raise CocoError(f'{source}: the top-level object has no "annotations" list; is it a COCO file?')
        added = {_end(spans["annotations"]): _elements(annotations, file, spans["annotations"])}
        if categories and "categories" in spans:
            added[_end(spans["categories"])] = _elements(categories, file, spans["categories"])
        elif categories:
            added[_first_member(file)] = iter([b'"categories": ' + _dump(list(categories)) + b", "])
        with replacing(path) as out:
            done = 0
            for place in sorted(added):
                file.copy(done, place, out)
                for text in added[place]:
                    out.write(text)
                done = place
            file.copy(done, file.size, out)
            file.check_unchanged()
    finally:
        file.file.close()


def write_new(
    path: Path,
    *,
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """A COCO file from nothing, one element a line; the iterables are read once, in this order. Raises OSError."""
    with replacing(path) as out:
        for start, items in ((b'{"images": [', images), (b'"annotations": [', annotations)):
            out.write(start)
            _write_list(out, items)
            out.write(b"],\n")
        out.write(b'"categories": [')
        _write_list(out, categories)
        out.write(b"]}\n")


def _end(span: tuple[int, int]) -> int:
    """The byte of the closing bracket: new elements go before it."""
    return span[1] - 1


def _first_member(file: Source) -> int:
    return file.read(0, 4096).index(b"{") + 1


def _elements(items: Iterable[Mapping[str, Any]], file: Source, span: tuple[int, int]) -> Iterator[bytes]:
    """Texts with the commas that they need behind what the list holds."""
    empty = not file.read(span[0] + 1, min(_end(span), span[0] + 4097)).strip()
    for number, item in enumerate(items):
        yield (b"" if empty and number == 0 else b", ") + _dump(item)


def _write_list(out: BinaryIO, items: Iterable[Mapping[str, Any]]) -> None:
    for number, item in enumerate(items):
        out.write((b"\n" if number == 0 else b",\n") + _dump(item))


def _dump(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
