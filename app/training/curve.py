"""The training curve as a PNG: loss over steps and validation IoU."""

from __future__ import annotations

import json
from pathlib import Path


def draw_curve(log: Path, png: Path) -> None:
    """Draw the JSON-lines log of a run (a resumed run's repeated steps: the last report counts)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    entries = [json.loads(line) for line in log.read_text().splitlines()]
    losses = {e["step"]: e["losses"]["total"] for e in entries if e["losses"]}
    validation = {e["step"]: e["validation"] for e in entries if e["validation"] is not None}
    figure, axis = plt.subplots(figsize=(8, 4.5), dpi=110)
    steps = sorted(losses)
    axis.plot(steps, [losses[s] for s in steps], color="0.6", linewidth=1, label="training loss")
    axis.set_xlabel("step")
    axis.set_ylabel("loss")
    if validation:
        right = axis.twinx()
        steps = sorted(validation)
        right.plot(steps, [validation[s] for s in steps], "o-", color="tab:blue", label="validation IoU")
        right.set_ylabel("mean IoU", color="tab:blue")
    axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(png, metadata={"Software": None})
    plt.close(figure)
