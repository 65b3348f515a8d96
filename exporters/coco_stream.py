"""A COCO file written while a data set is walked through: a few bytes in memory for each image and annotation.

Ids are kept where they are numbers that came only once; what has none gets the next number when all are known. So
annotations wait in a temporary file until the end.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO

from exporters.coco_elements import FileId, dump
from exporters.dataset import Written

_NO_ID = -(2**63)


class _Ids:
    """Ids in order, each once; what can't keep its own gets a number when ``finish`` is called."""

    def __init__(self) -> None:
        self._numbers = array("q")
        self._texts: dict[int, str] = {}
        self._used: set[int | str] = set()
        self._largest = 0
        self.again = 0

    def add(self, key: int | str | None) -> bool:
        """Whether the element keeps its id, sooner or later as the same value."""
        if key is not None and key in self._used:
            self.again += 1
        elif isinstance(key, FileId):
            self._texts[len(self._numbers)] = str(key)
            self._used.add(str(key))
        elif isinstance(key, int) and not isinstance(key, bool) and -(2**62) < key < 2**62:
            self._used.add(key)
            self._largest = max(self._largest, key)
            self._numbers.append(key)
            return True
        kept = isinstance(key, FileId) and len(self._numbers) in self._texts
        self._numbers.append(_NO_ID)
        return kept

    def finish(self) -> None:
        self._used.clear()

    def __getitem__(self, row: int) -> int | str:
        if row in self._texts:
            return self._texts[row]
        found = self._numbers[row]
        if found == _NO_ID:
            self._largest += 1
            found = self._numbers[row] = self._largest
        return found


class CocoStream:
    """Writes ``images``, ``annotations`` and ``categories`` (last, so that they may count) into an open file.

    ::

        with CocoStream(out, folder) as stream:
            stream.image(picture.id, {"file_name": ...})
            stream.annotation(item.id, {...})   # of the image before
            stream.finish({"info": {}}, categories)
    """

    def __init__(self, out: BinaryIO, folder: Path) -> None:
        """``folder``: where the temporary files may lie; on the disk of the output."""
        self._out = out
        self._images: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed at the end
        self._annotations: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed at the end
        self._image_ids, self._annotation_ids = _Ids(), _Ids()
        self._of_image = array("q")
        self._image_count = 0

    def __enter__(self) -> CocoStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._images.close()
        self._annotations.close()

    def image(self, key: int | str | None, value: Mapping[str, Any]) -> None:
        kept = self._image_ids.add(key)
        self._images.write(dump(value if kept or not isinstance(key, str) else {**value, "source_id": key}) + b"\n")
        self._image_count += 1

    def annotation(self, key: int | str | None, value: Mapping[str, Any]) -> None:
        kept = self._annotation_ids.add(key)
        self._of_image.append(self._image_count - 1)
        text = dump(value if kept or not isinstance(key, str) else {**value, "source_id": key})
        self._annotations.write(text + b"\n")

    def finish(self, info: Mapping[str, Any], categories: list[dict[str, Any]], written: Written) -> None:
        """Put the file together. ``info``: members of the outermost object beside the lists."""
        self._image_ids.finish()
        self._annotation_ids.finish()
        out = self._out
        out.write(b"{")
        for key, value in info.items():
            if key not in ("images", "annotations", "categories"):
                out.write(dump(key) + b": " + dump(value) + b",\n")
        out.write(b'"images": [')
        self._images.seek(0)
        for row, line in enumerate(self._images):
            out.write((b",\n" if row else b"\n") + b'{"id": ' + dump(self._image_ids[row]) + b", " + line[1:-1])
        out.write(b'],\n"annotations": [')
        self._annotations.seek(0)
        for row, line in enumerate(self._annotations):
            head = b'{"id": %b, "image_id": %b, ' % (
                dump(self._annotation_ids[row]),
                dump(self._image_ids[self._of_image[row]]),
            )
            out.write((b",\n" if row else b"\n") + head + line[1:-1])
        out.write(b'],\n"categories": [')
        out.write(b",".join(b"\n" + dump(category) for category in categories) + b"]}\n")
        for what, ids in (("image", self._image_ids), ("annotation", self._annotation_ids)):
            if ids.again:
                written.notes.append(f"{ids.again} {what} ids were used twice: the later ones got new numbers")
