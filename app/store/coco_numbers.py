"""Which COCO ids the photos, classes and annotations of a project get when it is exported.

What came from a file keeps its id. What was made in the project gets whole numbers after the largest, in its order of
making, and counting what was deleted or rejected too: leaving something out changes no other id.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.store.schema import AnnotationRow, CategoryRow, ImageRow

_BATCH = 5000


@dataclass(frozen=True)
class Numbers:
    """COCO ids by database id.

    Attributes:
        images, categories: an element of the file without a usable id, that no annotation needs, is not in them.
        annotations: of those without an id of their own only.
    """

    images: dict[int, Any]
    categories: dict[int, Any]
    annotations: dict[int, int]


def numbers(session: Session, project_id: int, *, orphans: Iterable[str]) -> Numbers:
    """Read all ids of the project. ``orphans``: texts of further annotations, whose ids are taken too."""
    live = (AnnotationRow.project_id == project_id) & AnnotationRow.deleted.is_(False)
    images = session.execute(
        select(ImageRow.id, ImageRow.source_key, ImageRow.raw.is_(None))
        .where(ImageRow.project_id == project_id)
        .order_by(ImageRow.position, ImageRow.id)
    )
    categories = session.execute(
        select(CategoryRow.id, CategoryRow.source_id, CategoryRow.raw.is_(None))
        .where(CategoryRow.project_id == project_id)
        .order_by(CategoryRow.position, CategoryRow.id)
    )
    return Numbers(
        images=_assigned(images, set(session.scalars(select(AnnotationRow.image_id).where(live).distinct()))),
        categories=_assigned(
            categories, set(session.scalars(select(AnnotationRow.category_id).where(live).distinct()))
        ),
        annotations=_annotations(session, project_id, orphans),
    )


def _assigned(rows: Iterable[tuple[int, str | None, bool]], needed: set[Any]) -> dict[int, Any]:
    """(database id, COCO id as JSON text, was it made here) in order -> COCO ids."""
    found: dict[int, Any] = {}
    without: list[int] = []
    for row_id, key, made in rows:
        usable, value = parsed(key)
        if usable:
            found[row_id] = value
        elif made or row_id in needed:
            without.append(row_id)
    return found | dict(zip(without, range(largest(found.values()) + 1, 2**63), strict=False))


def _annotations(session: Session, project_id: int, orphans: Iterable[str]) -> dict[int, int]:
    top = largest(_id_of(text) for text in orphans)
    without: list[int] = []
    rows = session.execute(
        select(AnnotationRow.id, AnnotationRow.source_key)
        .where(AnnotationRow.project_id == project_id)
        .order_by(AnnotationRow.position, AnnotationRow.id),
        execution_options={"yield_per": _BATCH},
    )
    for row_id, key in rows:
        if key is None:
            without.append(row_id)
        else:
            top = max(top, largest([parsed(key)[1]]))
    return dict(zip(without, range(top + 1, 2**63), strict=False))


def parsed(key: str | None) -> tuple[bool, Any]:
    """Whether a key is the id that an element has, and the id. See ``exporters.coco.ImageRow.key`` for other keys."""
    try:
        value = None if key is None else json.loads(key)
    except ValueError:
        return False, None
    return value is not None, value


def largest(ids: Iterable[Any]) -> int:
    """The largest whole number among the ids, rounded up where they have a fraction; 0 if there is none."""
    found = [math.ceil(i) for i in ids if isinstance(i, int | float) and not isinstance(i, bool) and -1e18 < i < 1e18]
    return max([0, *found])


def _id_of(text: str) -> Any:
    element = json.loads(text)
    return element.get("id") if isinstance(element, dict) else None
