"""The bar chart of ``benchmarks.speed``: seconds and peak memory for each model and photo size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def plot(result: dict[str, Any], path: Path) -> None:
    """Write the chart; seconds on a logarithmic axis, as the models lie far apart."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(result["contestants"])
    sizes = list(result["sizes"])
    height = 0.8 / len(sizes)
    rows = np.arange(len(names))
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 1.6 + 0.7 * len(names)), sharey=True)
    panels = ((left, "seconds", "seconds a photo, JPEG to RLE", "{:.2g} s"), (right, "peak_mb", "peak MB", "{:.0f}"))
    for axis, key, title, form in panels:
        for k, size in enumerate(sizes):
            values = [result["sizes"][size][name][key] for name in names]
            drawn = axis.barh(rows + (k - (len(sizes) - 1) / 2) * height, values, height * 0.92, label=size)
            axis.bar_label(drawn, [form.format(value) for value in values], padding=3, fontsize=8)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_yticks(rows, names)
        axis.margins(x=0.18)
    left.set_xscale("log")
    left.invert_yaxis()
    left.legend(fontsize=8, frameon=False)
    boxes = result.get("settings", {}).get("boxes")
    cores = result["machine"]["threads"]
    figure.suptitle(f"Boxes to masks{f', {boxes} boxes a photo' if boxes else ''}, {cores} CPU threads", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
