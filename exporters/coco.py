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

from exporters.coco_columns import Columns
from exporters.coco_edit import edited
from exporters.coco_records import PROVENANCE_KEY, Annotations, Category, CocoError, Edit, ImageRow
from exporters.coco_tables import Links, Source, Tables, link, read_tables
from exporters.files import replacing

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
        problems: what is odd in the file, one message for each kind.
    """

    def __init__(self, layout: Layout, tables: Tables, columns: Columns, links: Links) -> None:
        self.path: Path = layout.body.path
        self.images: tuple[ImageRow, ...] = links.images
        self.categories: tuple[Category, ...] = tuple(tables.categories)
        self.problems: list[str] = links.problems
        self._layout, self._tables, self._columns, self._links = layout, tables, columns, links
        self._order = np.argsort(links.image_rows, kind="stable")
        self._order.setflags(write=False)  # slices of it are given out
        self._first = np.searchsorted(links.image_rows[self._order], np.arange(len(self.images) + 1))

    @classmethod
    def open(cls, path: Path, *, on_read: Callable[[int], object] = lambda size: None) -> CocoDocument:
        """Read a COCO file; it stays open until ``close``. ``on_read`` hears of bytes read, for progress.

        Raises:
            CocoError: no such file, malformed JSON (with line and column), or no ``images`` or ``annotations`` list.
        """
        source = Source(path)
        tables = read_tables(source, on_read=on_read)
        if tables.is_list:
            raise CocoError(
                f"{path}: line 1: a list stands where the COCO object is expected; if it is a list of detection "
                "results, give the COCO file with the images too (--images-json)"
            )
        require(tables, source, "images", "annotations")
        layout = Layout(source, tables.spans["annotations"], source, tables.spans["annotations"])
        return cls(layout, tables, tables.columns, link(tables, tables.columns))

    @property
    def annotation_count(self) -> int:
        return len(self._columns)

    def annotations(self, image_row: int) -> Annotations:
        """The annotations of one image, in file order."""
        rows = self._order[self._first[image_row] : self._first[image_row + 1]]
        columns = self._columns
        return Annotations(
            rows=rows,
            keys=tuple(self.annotation_key(row) for row in rows.tolist()),
            xywh=_view(columns.boxes, np.float64).reshape(-1, 4)[rows],
            category_rows=self._links.category_rows[rows],
            iscrowd=_view(columns.crowd, np.int8)[rows].astype(bool),
            has_mask=_view(columns.masked, np.int8)[rows].astype(bool),
            scores=_view(columns.scores, np.float64)[rows],
        )

    def annotation_key(self, row: int) -> str:
        """The id of one annotation as JSON text; ``null`` where absent."""
        return self._columns.other_ids.get(row) or str(self._columns.ids[row])

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
                if not self.has_ids and self._columns.other_ids.get(row) == "null":
                    new_id, next_id = next_id, next_id + 1
                if change is None and new_id is None:
                    continue
                raw = self._raw(row)
                if raw.startswith(b"{"):
                    at.body.copy(done, self._columns.starts[row], out)
                    out.write(edited(raw, change, new_id=new_id))
                    done = self._columns.ends[row]
            at.body.copy(done, at.body_span[1], out)
            out.write(at.after)
            at.frame.copy(at.hole[1], at.frame.size, out)
            self.check_unchanged()

    def _largest_id(self) -> int:
        ids = _view(self._columns.ids, np.int64)
        return max(int(ids.max()), 0) if len(ids) else 0

    def _element(self, places: Sequence[int], row: int) -> str:
        return self._layout.frame.read(places[2 * row], places[2 * row + 1]).decode()

    def _raw(self, row: int) -> bytes:
        return self._layout.body.read(self._columns.starts[row], self._columns.ends[row])

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


def _view(column: Any, dtype: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(column, dtype) if len(column) else np.zeros(0, dtype)
