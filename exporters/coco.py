"""A COCO file as a lossless document: read once in little memory, written with only the asked values changed.

The document keeps compact columns and byte spans, never the parsed annotations. Writing copies the file's own bytes
around the edits, so unknown fields, key order, number text and white space survive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.coco_columns import CROWD, MASKED, NO_ID, OTHER_ID, AnnotationColumns
from exporters.coco_edit import edited
from exporters.coco_records import PROVENANCE_KEY, Annotations, Category, CocoError, Edit, ImageRow
from exporters.coco_tables import Links, Source, Tables, link, read_tables
from exporters.files import replacing
from exporters.long_columns import blocks, grouped

__all__ = ["PROVENANCE_KEY", "Annotations", "Category", "CocoDocument", "CocoError", "Edit", "ImageRow"]


@dataclass(frozen=True)
class Layout:
    """How the output is put together from pieces of one or two files.

    The output is ``frame`` with its bytes hole[0]:hole[1] replaced by ``before``, the annotation list
    ``body``[body_span] and ``after``.
    """

    frame: Source
    hole: tuple[int, int]
    body: Source
    body_span: tuple[int, int]
    before: bytes = b""
    after: bytes = b""


class CocoDocument:
    """See the module. Made by ``CocoDocument.open`` or ``exporters.coco_results.open_results``.

    Attributes:
        path: the file with the annotations.
        images, categories: in file order.
        image_rows, category_rows: int64 [annotations], rows of ``images`` and ``categories``; -1 where there is none.
        problems: what is odd in the file, one message for each kind.
    """

    def __init__(self, layout: Layout, tables: Tables, columns: AnnotationColumns, links: Links) -> None:
        self.path: Path = layout.body.path
        self.images: tuple[ImageRow, ...] = links.images
        self.categories: tuple[Category, ...] = tuple(tables.categories)
        self.image_rows, self.category_rows = links.image_rows, links.category_rows
        self.problems: list[str] = links.problems
        self._layout, self._tables, self._columns = layout, tables, columns
        self._order, self._first = grouped(links.image_rows, len(self.images), columns.folder)
        self._order.setflags(write=False)  # slices of it are given out

    @classmethod
    def open(
        cls, path: Path, *, on_read: Callable[[int], object] = lambda size: None, folder: Path | None = None
    ) -> CocoDocument:
        """Read a COCO file; it stays open until ``close``.

        Args:
            on_read: hears of bytes read, for progress.
            folder: where the columns lie in files if there are many annotations (some 120 bytes for each); None for
                the system's temporary folder.

        Raises:
            CocoError: no such file, malformed JSON (with line and column), or no ``images`` or ``annotations`` list.
            OSError: the columns don't fit on the disk.
        """
        source = Source(path)
        tables = read_tables(source, on_read=on_read, folder=folder)
        if tables.is_list:
            raise CocoError(
                f"{path}: line 1: a list stands where the COCO object is expected; if it is a list of detection "
                "results, give the COCO file with the images too (--images-json)"
            )
        require(tables, source, "images", "annotations")
        layout = Layout(source, tables.spans["annotations"], source, tables.spans["annotations"])
        columns = tables.columns.finish()
        return cls(layout, tables, columns, link(tables, columns, key_text=lambda row: _key(source, columns, row)))

    @property
    def annotation_count(self) -> int:
        return len(self._columns)

    def annotations(self, image_row: int) -> Annotations:
        """The annotations of one image, in file order."""
        rows = self._order[self._first[image_row] : self._first[image_row + 1]]
        columns = self._columns
        flags = columns.flags[rows]
        return Annotations(
            rows=rows,
            key_of=self.annotation_key,
            xywh=columns.boxes[rows],
            category_rows=self.category_rows[rows],
            iscrowd=flags & CROWD > 0,
            has_mask=flags & MASKED > 0,
            scores=columns.scores[rows],
        )

    def marks(self, rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Of these rows, which are crowds and which have a mask; bool [N] each, as in ``Annotations``."""
        flags = self._columns.flags[rows]
        return flags & CROWD > 0, flags & MASKED > 0

    def annotation_key(self, row: int) -> str:
        """The id of one annotation as JSON text; ``null`` where absent."""
        return _key(self._layout.body, self._columns, row)

    def raw_annotation(self, row: int) -> dict[str, Any]:
        """One annotation as written, parsed now; an empty dict where the element is no object."""
        found = json.loads(self._raw(row))
        return found if isinstance(found, dict) else {}

    def annotation_text(self, row: int) -> str:
        """One annotation as written."""
        return self._raw(row).decode()

    def image_text(self, row: int) -> str:
        """One element of ``images`` as written."""
        return self._element(self._tables.image_places, row)

    def category_text(self, row: int) -> str:
        """One element of ``categories`` as written."""
        return self._element(self._tables.category_places, row)

    def top_level(self) -> list[tuple[str, str | None]]:
        """The keys of the outermost object in file order, each with its value as written; None for the three lists.

        ``annotations`` is always among them, ``categories`` where the file has it.
        """
        members = self._tables.members
        lists = ("images", "annotations", "categories")
        found = [
            (key, None if key in lists else self._layout.frame.read(*span).decode()) for key, span in members.items()
        ]
        return found if "annotations" in members else [*found, ("annotations", None)]

    def orphans(self) -> NDArray[np.int64]:
        """Rows of the annotations whose image is not in the file, in file order; ``annotations`` never gives them."""
        return self._order[: self._first[0]]

    @property
    def has_ids(self) -> bool:
        """Whether the annotations are those of a COCO file. Results have no ids of their own."""
        return self._layout.body is self._layout.frame

    def check_unchanged(self) -> None:
        """Raise CocoError where someone wrote into the file since it was opened: what is read by row would be wrong."""
        self._layout.frame.check_unchanged()
        self._layout.body.check_unchanged()

    def segmentation(self, row: int) -> Any:
        """The segmentation of one annotation as written, parsed now; None where absent."""
        return self.raw_annotation(row).get("segmentation")

    def write(
        self,
        path: Path,
        edit: Callable[[int], Edit | None],
        *,
        before_replace: Callable[[Path], None] | None = None,
    ) -> None:
        """Write the document with the edits; all other bytes are those of the file that was read.

        Args:
            path: output; replaced in one step when it is complete. May be the input.
            edit: called once for each annotation row, in file order; None keeps the annotation.
            before_replace: see ``exporters.files.replacing``.

        Raises:
            CocoError: the input was changed by someone since it was opened.
            OSError: the output can't be written.
        """
        at = self._layout
        self.check_unchanged()
        with replacing(path, before_replace=before_replace) as out:
            at.frame.copy(0, at.hole[0], out)
            out.write(at.before)
            done = at.body_span[0]
            next_id = self._largest_id() + 1
            for row in range(self.annotation_count):
                change = edit(row)
                new_id = None
                if not self.has_ids and self._columns.flags[row] & NO_ID:
                    new_id, next_id = next_id, next_id + 1
                if change is None and new_id is None:
                    continue
                raw = self._raw(row)
                if raw.startswith(b"{"):
                    at.body.copy(done, int(self._columns.starts[row]), out)
                    out.write(edited(raw, change, new_id=new_id))
                    done = int(self._columns.ends[row])
            at.body.copy(done, at.body_span[1], out)
            out.write(at.after)
            at.frame.copy(at.hole[1], at.frame.size, out)
            self.check_unchanged()

    def _largest_id(self) -> int:
        columns, largest = self._columns, 0
        for block in blocks(len(columns)):
            numbers = columns.ids[block][columns.flags[block] & OTHER_ID == 0]  # 0 where there is none
            largest = max(largest, int(numbers.max(initial=0)))
        return largest

    def _element(self, places: Sequence[int], row: int) -> str:
        return self._layout.frame.read(places[2 * row], places[2 * row + 1]).decode()

    def _raw(self, row: int) -> bytes:
        return _raw(self._layout.body, self._columns, row)

    def close(self) -> None:
        self._layout.frame.file.close()
        self._layout.body.file.close()

    def __enter__(self) -> CocoDocument:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def require(tables: Tables, source: Source, *lists: str) -> None:
    """Raise CocoError where the file lacks one of these lists."""
    for name in lists:
        if name not in tables.spans:
            raise CocoError(
                f'{source.path}: the top-level object has no "{name}" list; is it a COCO detection file? '
                f'Add "{name}": [] if there are none'
            )


def _raw(source: Source, columns: AnnotationColumns, row: int) -> bytes:
    return source.read(int(columns.starts[row]), int(columns.ends[row]))


def _key(source: Source, columns: AnnotationColumns, row: int) -> str:
    kind = columns.flags[row]
    if kind & OTHER_ID:
        return json.dumps(json.loads(_raw(source, columns, row))["id"])
    return "null" if kind & NO_ID else str(columns.ids[row])
