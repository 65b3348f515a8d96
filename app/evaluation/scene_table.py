"""Results of ``run_tasks`` as a text table and as JSON, labelers and published rows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.evaluation.suites.suite import Published
from app.evaluation.task import Result, Run


def as_text(
    runs: Sequence[tuple[str, Run]], *, title: str, classes: int = 0, published: Sequence[Published] = ()
) -> str:
    """One column a labeler, then one for each published row; ``classes`` of each task are listed after it."""
    first = runs[0][1]
    heads = [name for name, _ in runs] + [row.row for row in published]
    width = max(14, *(len(head) + 2 for head in heads))
    lines = [
        f"{title}: {first.photos:,} photos, nothing given but the class names; percent",
        "",
        " " * 34 + "".join(f"{head:>{width}}" for head in heads),
    ]
    for k, result in enumerate(first.results):
        lines.append(f"{result.name} ({result.photos:,} photos)")
        for name in result.numbers:
            values = [run.results[k].numbers.get(name) for _, run in runs]
            known = [row.percent.get((result.name, name)) for row in published]
            if all(value is None for value in [*values, *known]):
                continue
            cells = "".join(f"{_percent(value):>{width}}" for value in values)
            cells += "".join(f"{'-' if value is None else f'{value:.1f}':>{width}}" for value in known)
            lines.append(f"  {name:<32}{cells}".rstrip())
        lines += _by_class(runs, k, classes, width)
        lines += [f"  note: {note}" for note in result.notes]
    lines += [f"{row.row}: {row.source}" for row in published]
    lines += [f"not measured: {message}" for message in sorted({one for _, run in runs for one in run.skipped})]
    return "\n".join(lines) + "\n"


def _by_class(runs: Sequence[tuple[str, Run]], k: int, classes: int, width: int) -> list[str]:
    listed = list(runs[0][1].results[k].by_class.items())[: max(classes, 0)]
    if not listed:
        return []
    main = next(iter(listed[0][1]))
    lines = [f"  {main} by class"]
    for name, numbers in listed:
        count = numbers.get("count")
        label = name if count is None else f"{name} ({int(count)})"
        values = [_class(run.results[k], name, main) for _, run in runs]
        lines.append(f"    {label:<30.30}" + "".join(f"{_percent(value):>{width}}" for value in values))
    return lines


def _class(result: Result, name: str, number: str) -> float | None:
    return result.by_class.get(name, {}).get(number)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def as_json(
    runs: Sequence[tuple[str, Run]],
    *,
    source: str,
    protocol: str,
    published: Sequence[Published] = (),
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """For ``--json``. Ours as fractions, published rows in percent as they were printed."""
    return {
        "source": source,
        "protocol": protocol,
        "labelers": [
            {
                "labeler": name,
                "photos": run.photos,
                "seconds": round(run.seconds, 3),
                "results": [asdict(result) for result in run.results],
                "skipped": list(run.skipped),
            }
            for name, run in runs
        ],
        "published": [
            {"row": row.row, "source": row.source, "percent": {" ".join(key): v for key, v in row.percent.items()}}
            for row in published
        ],
        "remarks": list(remarks),
    }
