"""The numbers as a text table, labelers side by side, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from app.evaluation.boxes import JITTERS
from app.evaluation.measures import SIZES, Measures

Row = tuple[str, Callable[[Measures], float | int | None], str]


def as_text(results: Sequence[Measures], *, classes: int = 0) -> str:
    """One column a labeler, one line a number; with ``classes`` > 0 that many of the most frequent classes follow."""
    first = results[0]
    width = max(14, *(len(result.labeler) + 2 for result in results))
    lines = [
        f"{first.instances:,} instances of {first.photos:,} photos, boxes and names given; mean IoU in percent",
        "",
    ]
    lines.append(" " * 34 + "".join(f"{result.labeler:>{width}}" for result in results))
    for section, rows in _sections(first):
        shown = [row for row in rows if any(row[1](result) is not None for result in results)]
        if not shown:
            continue
        lines.append(section)
        for title, value, form in shown:
            cells = "".join(f"{_cell(value(result), form):>{width}}" for result in results)
            lines.append(f"  {title:<32}{cells}")
    listed = list(first.by_class)[:classes]
    if listed:
        lines.append("mean IoU by class (instances)")
        for name in listed:
            cells = "".join(f"{_cell(result.by_class.get(name, (None,))[0], '%'):>{width}}" for result in results)
            lines.append(f"  {f'{name} ({first.by_class[name][1]})':<32.32}{cells}")
    skipped = sorted({message for result in results for message in result.skipped})
    lines += [f"not measured: {message}" for message in skipped]
    return "\n".join(lines) + "\n"


def as_json(results: Sequence[Measures], *, source: str, protocol: str) -> dict[str, Any]:
    """For ``--json``. Fractions, not percent."""
    return {"source": source, "protocol": protocol, "labelers": [asdict(result) for result in results]}


def _sections(first: Measures) -> Iterator[tuple[str, list[Row]]]:
    def cut(name: str, title: str | None = None) -> Row:
        count = first.counts.get(name)
        return (title or name) + (f" ({count:,})" if count is not None else ""), lambda m: m.iou.get(name), "%"

    yield "mean IoU (instances)", [cut(name) for name in ("all", "large", "medium", "small", "thing", "part")]
    jitters = [cut(f"jitter {percent}", f"box edges moved by up to {percent} %") for percent in JITTERS]
    yield "with worse input", [*jitters, cut("name object", 'every name "object"')]
    pairs: list[Row] = [
        ("right name", lambda m: m.pairs.get("right"), "%"),
        ('"object"', lambda m: m.pairs.get("object"), "%"),
        ("the neighbour's name", lambda m: m.pairs.get("neighbour"), "%"),
    ]
    yield f"two classes in one place ({first.pairs.get('count') or 0})", pairs
    precision: list[Row] = [
        (name, lambda m, n=name: m.ap.get(n), "%")  # type: ignore[misc]
        for name in ("AP", "AP50", "AP75", *(f"AP {size}" for size in SIZES))
    ]
    yield "mask AP, boxes given", precision
    ranks: list[Row] = [
        (name, lambda m, n=name: m.spearman.get(n), "r")  # type: ignore[misc]
        for name in ("all", *SIZES)
    ]
    yield "score against true IoU (Spearman)", ranks
    yield (
        "speed, file to RLE",
        [("photos/s", lambda m: m.images_per_second, "n"), ("boxes/s", lambda m: m.boxes_per_second, "n")],
    )


def _cell(value: float | int | None, form: str) -> str:
    if value is None:
        return "-"
    return {"%": f"{100 * value:.1f}", "r": f"{value:.2f}", "n": f"{value:,.1f}"}[form]
