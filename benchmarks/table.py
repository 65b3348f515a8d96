"""The document of ``benchmarks.speed`` as text for people: a terminal table and markdown from the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

Table = tuple[str, list[str], list[list[str]]]
"""Title, header, rows; every row as long as the header."""

BUSY = 0.5
"""Load average above which a note says that other programs were running."""


def as_text(result: dict[str, Any]) -> str:
    """Aligned columns."""
    parts = [_machine(result)]
    for title, header, rows in tables(result):
        widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
        lines = [_aligned(row, widths) for row in (header, *rows)]
        parts.append("\n".join([title, *lines]))
    return "\n\n".join([*parts, *_notes(result)])


def as_markdown(result: dict[str, Any]) -> str:
    """GitHub tables."""
    parts = [_machine(result)]
    for title, header, rows in tables(result):
        rule = ["---", *["---:"] * (len(header) - 1)]
        lines = ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join([*parts, *_notes(result)]) + "\n"


def tables(result: dict[str, Any]) -> Iterator[Table]:
    """All tables of the document."""
    for size, found in result["sizes"].items():
        yield _main_table(result, size, found)
    for size, found in result["sizes"].items():
        stages = list(dict.fromkeys(stage for numbers in found.values() for stage in numbers["stages"]))
        rows = [[name, *(_seconds(n["stages"].get(stage)) for stage in stages)] for name, n in found.items()]
        yield f"Seconds by stage, {size}", ["model", *stages], rows
    if result["box_count"]:
        counts = list(result["box_count"].items())
        few, many = counts[0][1]["few"], counts[0][1]["many"]
        header = ["model", f"{few} box, s", f"{many} boxes, s", "ratio"]
        rows = [[n, _seconds(c["few_seconds"]), _seconds(c["many_seconds"]), f"{c['ratio']:.2f}"] for n, c in counts]
        yield "Boxes per photo, without zoom", header, rows
    if any(result["click"].values()):
        yield _click_table(result)
    if result["bars"]:
        rows = [
            [bar["title"], f"{bar['value']:.3g}", f"{'>=' if bar['at_least'] else '<'} {bar['limit']:g}", _met(bar)]
            for bar in result["bars"]
        ]
        yield "Bars", ["bar", "measured", "wanted", "met"], rows


def _main_table(result: dict[str, Any], size: str, found: dict[str, Any]) -> Table:
    ratios = result["ratios"].get(size, {})
    others = list(dict.fromkeys(other for ours in ratios.values() for other in ours))
    header = ["model", "weights", "input", "params, M", "GFLOPs", "encodes", "s/photo", "photos/s", "boxes/s"]
    header += ["peak MB", "mIoU, %", *(f"faster than {other}" for other in others)]
    rows = []
    for name, numbers in found.items():
        facts = result["contestants"][name]
        iou = (facts["iou"] or {}).get("all")
        row = [name, str(facts["weights"]).rpartition("/")[2], facts["input"], f"{facts['parameters'] / 1e6:.1f}"]
        row += [_amount(numbers.get("flops", 0) / 1e9), f"{numbers['encodes']:g}", _seconds(numbers["seconds"])]
        row += [f"{numbers['photos_per_second']:.3g}", f"{numbers['boxes_per_second']:.3g}"]
        row += [f"{numbers['peak_mb']:.0f}", "-" if iou is None else f"{100 * iou:.1f}"]
        row += [f"{ratios[name][other]:.1f} x" if other in ratios.get(name, {}) else "-" for other in others]
        rows.append(row)
    return f"From JPEG file to RLE, {size}", header, rows


def _click_table(result: dict[str, Any]) -> Table:
    rows = []
    for size, found in result["click"].items():
        for name, kinds in found.items():
            for kind, times in kinds.items():
                cells = [f"{1000 * times['median']:.1f}", f"{1000 * times['high']:.1f}", str(times["count"])]
                rows.append([f"{name}, {size}, {kind}", *cells])
    return "Click to mask on an opened photo (one box)", ["model", "median ms", "95 % ms", "clicks"], rows


def _machine(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{machine['processor']}, {machine['threads']} of {machine['cores']} cores; Python {machine['python']}, "
        f"torch {machine['torch']}, transformers {machine['transformers']}"
    )


def _notes(result: dict[str, Any]) -> Sequence[str]:
    notes = []
    if result["machine"]["load_before"][0] > BUSY:
        load = result["machine"]["load_before"][0]
        notes.append(
            f"Other programs were running (load {load:.1f} before the start): seconds are too long; ratios are of "
            "neighbours in time and suffer less."
        )
    untrained = [name for name, facts in result["contestants"].items() if facts["weights"] == "random"]
    if untrained:
        notes.append(f"Random weights, so no IoU: {', '.join(untrained)}.")
    return notes


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    (name, width), *others = zip(row, widths, strict=True)
    return "  ".join([name.ljust(width), *(cell.rjust(room) for cell, room in others)])


def _met(bar: dict[str, Any]) -> str:
    return "yes" if bar["met"] else "no"


def _amount(value: float) -> str:
    return "-" if not value else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value >= 0.001 else "0"
