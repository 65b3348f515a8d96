"""From a finished conversion to its page: choose the worst, draw them, write the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.convert.ledger import Ledger
from app.convert.plan import Plan, State
from app.convert.result import PhotoResult
from app.convert.run import Asked, ask
from app.convert.summary import Summary
from app.reports.colours import colour_at
from app.reports.page import Card, render
from app.reports.thumbnails import thumbnail
from exporters.files import replacing
from labelers.photos import PhotoError

if TYPE_CHECKING:
    from app.convert.write import Results

LIMIT = 200
"""Cards on a page: what a person looks through, and a browser opens at once (about 3 MB)."""


def write_report(
    path: Path, plan: Plan, ledger: Ledger, results: Results, summary: Summary, *, limit: int = LIMIT
) -> None:
    """Write the page of the ``limit`` lowest scores to ``path``. Raises OSError."""
    rows = np.flatnonzero(ledger.state == State.CONVERTED)
    worst = rows[np.argsort(ledger.score[rows], kind="stable")[:limit]]
    cards: dict[int, Card] = {}
    for image_row in np.unique(plan.image_of[worst]).tolist():  # each photo is decoded once
        cards.update(
            _cards(plan, results, image_row, {row for row in worst.tolist() if plan.image_of[row] == image_row})
        )
    text = render(summary, [cards[row] for row in worst.tolist()])
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def _cards(plan: Plan, results: Results, image_row: int, rows: set[int]) -> dict[int, Card]:
    image = plan.document.images[image_row]
    annotations = plan.document.annotations(image_row)
    position = {row: k for k, row in enumerate(annotations.rows.tolist())}
    result = PhotoResult.from_payload(results.read(str(image_row)))
    asked: Asked | None
    try:
        asked = ask(plan, image_row)
        pixels = asked.header.photo(image.key).pixels()
    except (PhotoError, MemoryError):
        asked = None
    found = {}
    for k, (row, mask) in enumerate(zip(result.rows, result.masks, strict=True)):
        if row not in rows or mask is None:
            continue
        at = position[row]
        picture = None
        if asked is not None:
            picture = thumbnail(pixels, asked.frame.mask_to_upright(mask), asked.boxes.xyxy[k])
        found[row] = Card(
            annotation=annotations.keys[at],
            file=image.file_name,
            name=plan.name(int(annotations.category_rows[at])),
            colour=colour_at(int(annotations.category_rows[at])),
            score=result.scores[k],
            size=(round(float(annotations.xywh[at, 2])), round(float(annotations.xywh[at, 3]))),
            picture=picture,
        )
    return found
