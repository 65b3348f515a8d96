"""The numbers of a data set as a picture: classes, sizes, objects of a photo, shape of the masks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from app.datasets.statistics import SIZES, Statistics
from app.reports.colours import colour_at

_CLASSES = 30
_BINS = 40


def plot(found: Statistics, path: Path) -> None:
    """Write a PNG, or what the suffix says. Raises OSError, and ValueError for a suffix that can't be drawn."""
    figure = _figure(found)
    figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix.lower() == ".png" else None)


def png(found: Statistics) -> bytes:
    """The same picture for a page."""
    stream = io.BytesIO()
    _figure(found).savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _figure(found: Statistics) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 8), layout="constrained")
    panels: dict[str, Any] = figure.subplot_mosaic([["classes"] * 3, ["sides", "photos", "fill"]])
    _classes(panels["classes"], found)
    _sides(panels["sides"], found)
    _per_photo(panels["photos"], found)
    _fill(panels["fill"], found)
    return figure


def _classes(axes: Any, found: Statistics) -> None:
    place = {name: k for k, name in enumerate(found.labels)}
    names = sorted(found.labels, key=lambda name: -found.labels[name].items)[:_CLASSES]
    axes.bar(
        range(len(names)),
        [found.labels[name].items for name in names],
        color=[colour_at(place[name]) for name in names],
    )
    # a name from somebody's file must not be read as a formula
    ticks = [name.replace("$", r"\$")[:24] for name in names]
    axes.set_xticks(range(len(names)), ticks, rotation=55, ha="right", fontsize=8)
    more = f" (the {_CLASSES} largest of {len(found.labels)})" if len(found.labels) > _CLASSES else ""
    axes.set(ylabel="objects", title=f"classes{more}")
    if names and found.labels[names[0]].items > 100 * max(found.labels[names[-1]].items, 1):
        axes.set_yscale("log")


def _sides(axes: Any, found: Statistics) -> None:
    sides = np.maximum(np.asarray(found.sides, np.float64), 1)
    if len(sides):
        axes.hist(sides, bins=np.geomspace(1, max(sides.max(), 2), _BINS), color="0.5")
        axes.set_xscale("log")
        for _, limit in SIZES[:-1]:
            axes.axvline(limit**0.5, color="tab:red", linewidth=0.8, linestyle="--")
    axes.set(xlabel="square root of the area, pixels", ylabel="objects", title="sizes (lines: small, medium, large)")


def _per_photo(axes: Any, found: Statistics) -> None:
    numbers = np.asarray(found.per_photo, np.int64)
    if len(numbers):
        whole = np.arange(int(numbers.max()) + 2) - 0.5  # a bar for each number, where there are few
        axes.hist(numbers, bins=whole if len(whole) <= _BINS else _BINS, color="0.5")
    axes.set(xlabel="objects of a photo", ylabel="photos", title="objects per photo")


def _fill(axes: Any, found: Statistics) -> None:
    if len(found.fill):
        axes.hist(np.asarray(found.fill, np.float64), bins=_BINS, range=(0, 1), color="0.5")
    axes.set(xlabel="share of its box that a mask fills", ylabel="masks", title="shape (1.0: probably a box)")
