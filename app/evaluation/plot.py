"""The numbers as a picture: IoU by size, against jitter, and by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.evaluation.boxes import JITTERS
from app.evaluation.measures import SIZES, Measures

_CLASSES = 25


def plot(results: Sequence[Measures], path: Path, *, title: str) -> None:
    """Write a PNG (or what the suffix says). The best labeler's classes are in the lower panel. Raises OSError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    figure.suptitle(title, fontsize=12)
    panels: dict[str, Any] = figure.subplot_mosaic(
        [["sizes", "jitter"], ["classes", "classes"]], height_ratios=[1, 1.1]
    )
    _sizes(panels["sizes"], results)
    _jitter(panels["jitter"], results)
    _classes(panels["classes"], results)
    figure.savefig(path, dpi=110, metadata={"Software": None} if path.suffix.lower() == ".png" else None)


def _sizes(axes: Any, results: Sequence[Measures]) -> None:
    cuts = [name for name in ("all", *SIZES, "thing", "part") if results[0].counts.get(name)]
    width = 0.8 / len(results)
    for k, result in enumerate(results):
        heights = [100 * (result.iou.get(name) or 0) for name in cuts]
        at = np.arange(len(cuts)) + (k - (len(results) - 1) / 2) * width
        bars = axes.bar(at, heights, width, label=result.labeler)
        if len(results) <= 4:
            axes.bar_label(bars, fmt="%.0f", fontsize=7)
    axes.set_xticks(range(len(cuts)), [f"{name}\n{results[0].counts[name]}" for name in cuts])
    axes.set(ylabel="mean IoU, percent", ylim=(0, 100), title="by size of the true mask (instances)")
    axes.legend(fontsize=8, loc="upper right", ncols=min(len(results), 4))


def _jitter(axes: Any, results: Sequence[Measures]) -> None:
    for result in results:
        values = [result.iou.get("all"), *(result.iou.get(f"jitter {percent}") for percent in JITTERS)]
        known = [(x, 100 * v) for x, v in zip((0, *JITTERS), values, strict=True) if v is not None]
        axes.plot([x for x, _ in known], [v for _, v in known], marker="o", label=result.labeler)
    axes.set(xlabel="box edges moved by up to, percent of the side", ylabel="mean IoU, percent", title="inexact boxes")
    axes.grid(alpha=0.3)


def _classes(axes: Any, results: Sequence[Measures]) -> None:
    best = max(results, key=lambda result: result.iou.get("all") or 0)
    names = list(best.by_class)[:_CLASSES]
    axes.bar(range(len(names)), [100 * best.by_class[name][0] for name in names], color="0.75", label=best.labeler)
    for result in results:
        if result is not best:
            heights = [100 * result.by_class.get(name, (np.nan, 0))[0] for name in names]
            axes.plot(range(len(names)), heights, linestyle="none", marker="_", markersize=12, label=result.labeler)
    labels = [f"{name} ({best.by_class[name][1]})" for name in names]
    # a name from somebody's file must not be read as a formula
    axes.set_xticks(
        range(len(names)), [label.replace("$", r"\$") for label in labels], rotation=60, ha="right", fontsize=8
    )
    axes.set(ylabel="mean IoU, percent", ylim=(0, 100), title=f"most frequent classes: {best.labeler} as bars")
    axes.legend(fontsize=8)
