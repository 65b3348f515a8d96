"""The page of a report: counts, what failed, and thumbnails with the worst scores first. One file, no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from app.convert.plan import State
from app.convert.summary import WORDS, Summary
from app.reports.thumbnails import Thumbnail

_LISTED = 500


@dataclass(frozen=True)
class Card:
    """One instance on the page. ``annotation`` is empty before it is one; ``picture`` is None if its photo is gone."""

    annotation: str
    file: str
    name: str
    colour: str
    score: float
    size: tuple[int, int]
    picture: Thumbnail | None


def render(summary: Summary, cards: Sequence[Card], *, made: str = "masks", words: Mapping[State, str] = WORDS) -> str:
    """The whole page as HTML. Every text that comes from the data is escaped.

    ``made``: what was made, in the plural; ``words``: what the outcomes are called.
    """
    template = Template(Path(__file__).with_name("report.html").read_text("utf-8"))
    converted = summary.annotations.get("converted", 0)
    shown = f"All {converted:,}" if len(cards) == converted else f"The {len(cards):,} lowest scores of {converted:,}"
    labeler = " ".join(summary.labeler) if summary.labeler else ""
    return template.substitute(
        title=_text(Path(summary.source).name),
        labeler=_text(labeler),
        score="" if summary.mean_score is None else f"· mean score {summary.mean_score:.3f}",
        counts="".join(_counts(summary, words)),
        problems=_problems(summary),
        shown=f"{shown} {made}, lowest score first." if converted else f"There are no {made}.",
        made=made,
        options="".join(_options(cards)),
        cards="\n".join(_card(card) for card in cards),
    )


def _counts(summary: Summary, words: Mapping[State, str]) -> Iterator[str]:
    yield f"<li><b>{summary.photos['in_file']:,}</b> photos</li>"
    for state in State:
        n = summary.annotations.get(state.name.lower(), 0)
        if n:
            bad = " class=bad" if state >= State.EMPTY else ""
            yield f"<li{bad}><b>{n:,}</b> {_text(words[state])}</li>"


def _problems(summary: Summary) -> str:
    rows = [
        f"<tr><td>{_text(p.file or '?')}<td>{'all' if p.outcome == 'no_photo' else _text(p.annotation)}"
        f"<td>{_text(p.reason)}"
        for p in summary.problems[:_LISTED]
    ]
    rows += [f"<tr><td colspan=3>{_text(text)}" for text in (*summary.mismatches, *summary.notes)[:_LISTED]]
    if not rows:
        return ""
    total = len(summary.problems) + len(summary.mismatches) + len(summary.notes)
    more = (
        "" if total == len(rows) else f"<p>{total - len(rows):,} more: see the command's own output with -v or --json."
    )
    opened = " open" if len(rows) <= 8 else ""
    return (
        f"<details{opened}><summary>{total:,} to look at</summary>"
        f"<table><tr><th>photo<th>annotation<th>what{''.join(rows)}</table>{more}</details>"
    )


def _options(cards: Sequence[Card]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for card in cards:
        counts[card.name] = counts.get(card.name, 0) + 1
    for name in sorted(counts):
        yield f'<option value="{_text(name)}">{_text(name)} ({counts[name]})</option>'


def _card(card: Card) -> str:
    own = f"annotation {_text(card.annotation)} · " if card.annotation else ""
    level = "low" if card.score < 0.5 else "mid" if card.score < 0.75 else "high"
    return (
        f'<figure data-name="{_text(card.name)}" style="--c:{card.colour}">{_picture(card.picture)}'
        f"<figcaption><span class='score {level}'>{card.score:.2f}</span> <b>{_text(card.name)}</b>"
        f'<small title="{_text(card.file)}">{_text(card.file)}</small>'
        f"<small>{own}box {card.size[0]} &times; {card.size[1]} px</small>"
        "</figcaption></figure>"
    )


def _picture(picture: Thumbnail | None) -> str:
    if picture is None:
        return "<div class=gone>photo can't be read any more</div>"
    x, y, w, h = picture.box
    place = f'x="{x}" y="{y}" width="{w}" height="{h}"'
    return (
        f'<svg viewBox="0 0 {picture.width} {picture.height}" role="img">'
        f'<image href="{picture.jpeg}" width="{picture.width}" height="{picture.height}"/>'
        f'<path class=m d="{picture.mask}"/>'
        f"<rect class=b0 {place}/><rect class=b {place}/></svg>"
    )


def _text(value: str) -> str:
    # lone surrogates in somebody's file name can't be written as UTF-8
    return escape(value.encode("utf-8", "replace").decode("utf-8"), quote=True)
