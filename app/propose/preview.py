"""The HTML page of a run: thumbnails of what was proposed, lowest score first."""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np

from app.convert.plan import State
from app.convert.summary import WORDS, Problem
from app.convert.summary import Summary as PageSummary
from app.propose.result import Region
from app.propose.sources import Asked, Item, ask
from app.propose.summary import Summary
from app.propose.write import Run
from app.reports.colours import colour_at
from app.reports.page import Card, render
from app.reports.thumbnails import thumbnail
from exporters.files import replacing
from labelers.photos import PhotoError

LIMIT = 200
"""Cards on a page, as in the report of convert-boxes."""


def write_preview(path: Path, run: Run, summary: Summary, *, limit: int = LIMIT) -> None:
    """Write the page of the ``limit`` lowest scores among the instances. Raises OSError."""
    scored = (
        (region.score, place, k)
        for place, (_, found) in enumerate(run.photos())
        for k, region in enumerate(found.instances)
    )
    worst = heapq.nsmallest(limit, scored)
    wanted: dict[int, list[int]] = {}
    for _, place, k in worst:
        wanted.setdefault(place, []).append(k)
    cards: dict[tuple[int, int], Card] = {}
    for place, (item, found) in enumerate(run.photos()):  # each photo is decoded once
        if place in wanted:
            made = _cards(run, item, [found.instances[k] for k in wanted[place]])
            cards.update({(place, k): card for k, card in zip(wanted[place], made, strict=True)})
    page = render(
        _page_summary(run, summary),
        [cards[place, k] for _, place, k in worst],
        made="proposals",
        words={**WORDS, State.CONVERTED: "proposed"},
    )
    with replacing(path) as file:
        file.write(page.encode("utf-8"))


def _cards(run: Run, item: Item, regions: list[Region]) -> list[Card]:
    asked: Asked | None
    try:
        asked = ask(run.source, item, exif=run.settings.exif, with_masks=False)
        pixels = asked.header.photo(item.key).pixels()
    except (PhotoError, MemoryError):
        asked = None
    places = {name: k for k, name in enumerate(run.vocabulary.names)}
    found = []
    for region in regions:
        picture = None
        if asked is not None and region.mask is not None:
            x, y, w, h = region.xywh
            box = asked.frame.boxes_to_upright(np.array([[x, y, x + w, y + h]]))[0]
            picture = thumbnail(pixels, asked.frame.mask_to_upright(region.mask), box)
        found.append(
            Card(
                annotation="",
                file=item.file_name,
                name=region.name,
                colour=colour_at(places.get(region.name, -1)),
                score=region.score,
                size=(round(region.xywh[2]), round(region.xywh[3])),
                picture=picture,
            )
        )
    return found


def _page_summary(run: Run, summary: Summary) -> PageSummary:
    """In the terms of the page, which counts annotations."""
    scores = [region.score for _, found in run.photos() for region in found.instances]
    return PageSummary(
        source=summary.source,
        output=None,
        report=None,
        labeler=summary.labeler,
        annotations={"converted": len(scores)},
        photos={"in_file": summary.photos["asked"]},
        mean_score=round(float(np.mean(scores)), 4) if scores else None,
        problems=tuple(Problem("", None, name, "no_photo", reason) for name, reason in summary.problems),
        mismatches=(),
        notes=summary.notes,
    )
