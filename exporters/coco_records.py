"""The types of a COCO document: what ``exporters.coco`` gives out and takes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The one key of an annotation that is ours; everything else belongs to the user.
PROVENANCE_KEY = "openseed_label"


class CocoError(ValueError):
    """The file can't be used; the message names file, place and remedy."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One element of ``images``.

    Attributes:
        row: place in ``images``, from 0.
        key: the id as JSON text (a text id has quotes), unique: of images with the same id the last one keeps it,
            the others get their row appended. The row as ``#3`` where there is no id.
        file_name: as written; empty where absent.
        width, height: as written; None where absent or no positive whole number.
    """

    row: int
    key: str
    file_name: str
    width: int | None
    height: int | None


@dataclass(frozen=True, slots=True)
class Category:
    """One element of ``categories``: place from 0, id as parsed, name (empty where absent)."""

    row: int
    id: Any
    name: str


@dataclass(frozen=True)
class Annotations:
    """The annotations of one image as parallel arrays, in file order.

    Attributes:
        rows: int64 [N], places in the document's annotation order.
        key_of: the id of a row as JSON text.
        xywh: float64 [N, 4], as written; NaN in all four where absent or not four numbers.
        category_rows: int64 [N], rows of ``categories``; -1 where unknown.
        iscrowd: bool [N].
        has_mask: bool [N]; False where the segmentation is absent, empty or only repeats the box.
        scores: float64 [N]; NaN where absent.
    """

    rows: NDArray[np.int64]
    key_of: Callable[[int], str]
    xywh: NDArray[np.float64]
    category_rows: NDArray[np.int64]
    iscrowd: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """N ids as JSON text; ``null`` where absent."""
        return tuple(self.key_of(row) for row in self.rows.tolist())


@dataclass(frozen=True)
class Edit:
    """What to change in one annotation; None keeps what is there.

    Attributes:
        segmentation: polygons or RLE (text counts).
        area: in pixels; applied only where the old area is absent, not a positive number, or equals width x height
            of the old box, unless ``force_area``.
        bbox: x, y, width, height in pixels.
        provenance: value of the key ``PROVENANCE_KEY``, put in place of an older one; an empty dict removes the key.
        values: other keys and their new values.
    """

    segmentation: list[Any] | dict[str, Any] | None = None
    area: float | int | None = None
    bbox: tuple[float, float, float, float] | None = None
    provenance: dict[str, Any] | None = None
    force_area: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
