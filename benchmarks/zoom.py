"""Gain and cost of zoom: IoU and time with and without it, on a COCO file with true masks.

Zoom decodes boxes from enlarged crops; without it all boxes of a photo are decoded from the whole photo. Run it from
the repository: ``python -m benchmarks.zoom --help``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import photo_folder
from app.errors import UsageError
from app.evaluation.boxes import ask_all
from app.evaluation.measures import SIZES, size_bins
from app.evaluation.truth import Truth, image_rows, photos
from exporters.coco import CocoDocument, CocoError
from labelers.protocol import Labeler
from labelers.vocabulary import Vocabulary

SHARES = (0.05, 0.1, 0.25)
"""Limits of the cut by the box's longer side over the photo's: what zoom is about, whatever the photo's resolution."""


def compare(labelers: dict[str, Labeler], truths: Iterable[Truth], *, tick: Callable[[], None]) -> dict[str, Any]:
    """Ask every labeler about every photo, photo by photo in turn, so that other load hits them alike.

    Returns cuts -> {count, mean IoU by labeler}, and for each labeler the seconds a photo (median) and boxes/s.
    """
    iou: dict[str, list[NDArray[np.float64]]] = {name: [] for name in labelers}
    seconds: dict[str, list[float]] = {name: [] for name in labelers}
    areas: list[NDArray[np.int64]] = []
    shares: list[NDArray[np.float64]] = []
    order = list(labelers)
    for k, truth in enumerate(truths):
        if k == 0:
            for name in order:  # first calls set up buffers and encode the names
                ask_all(labelers[name], [truth], Vocabulary(), quick=True)
        for name in order if k % 2 == 0 else order[::-1]:
            answers = ask_all(labelers[name], [truth], Vocabulary(), quick=True)
            if answers.skipped:
                raise UsageError(answers.skipped[0])
            iou[name].append(answers.iou["exact"])
            seconds[name].append(answers.seconds)
        areas.append(truth.areas)
        sides = truth.boxes.xyxy[:, 2:] - truth.boxes.xyxy[:, :2]
        shares.append(sides.max(axis=1) / max(truth.header.height, truth.header.width))
        tick()
    if not areas:
        raise UsageError("no photo with a box and a true mask could be read; check --images")
    found = {name: np.concatenate(parts) for name, parts in iou.items()}
    cuts = {
        title: {"count": int(cut.sum()), "iou": {name: _mean(values[cut]) for name, values in found.items()}}
        for title, cut in _cuts(np.concatenate(areas), np.concatenate(shares)).items()
    }
    boxes = sum(len(part) for part in areas)
    speed = {
        name: {"seconds_per_photo": median(spent), "boxes_per_second": boxes / sum(spent)}
        for name, spent in seconds.items()
    }
    return {"photos": len(areas), "boxes": boxes, "cuts": cuts, "speed": speed}


def _cuts(areas: NDArray[np.int64], shares: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    cuts = {"all": np.ones(len(areas), bool), **dict(zip(SIZES, size_bins(areas), strict=True))}
    limits = (0.0, *SHARES, np.inf)
    for low, high in pairwise(limits):
        title = f"box {100 * low:.0f}-{100 * high:.0f} % of the photo" if high < 1 else f"box over {100 * low:.0f} %"
        cuts[title] = (shares >= low) & (shares < high)
    return cuts


def as_markdown(result: dict[str, Any]) -> str:
    """IoU by cut, then time."""
    names = list(result["speed"])
    lines = [f"| mean IoU, % | instances | {' | '.join(names)} | gain |", "| --- |" + " ---: |" * (len(names) + 2)]
    for title, cut in result["cuts"].items():
        values = [cut["iou"][name] for name in names]
        cells = ["-" if value is None else f"{100 * value:.1f}" for value in values]
        gain = "-" if None in values else f"{100 * (values[0] - values[-1]):+.1f}"
        lines.append(f"| {title} | {cut['count']:,} | {' | '.join(cells)} | {gain} |")
    speeds = [result["speed"][name] for name in names]
    for title, key, form in (
        ("seconds a photo, median", "seconds_per_photo", ".3f"),
        ("boxes/s", "boxes_per_second", ".1f"),
    ):
        cells = [format(speed[key], form) for speed in speeds]
        lines.append(f"| {title} | | {' | '.join(cells)} | {speeds[0][key] / speeds[-1][key]:.2f} x |")
    return "\n".join([f"{result['photos']:,} photos, {result['boxes']:,} boxes", "", *lines]) + "\n"


def build(args: argparse.Namespace) -> dict[str, Labeler]:
    """The same model twice. Raises what loading it raises."""
    from labelers.conditioned import ConditionedLabeler

    zooming: Any
    if args.random_weights:
        from benchmarks.contestants import Spec
        from benchmarks.ours import LabelerContestant

        zooming = LabelerContestant.of(Spec(args.model, "openseed", preset=args.model)).labeler
    else:
        zooming = ConditionedLabeler.from_model(model_name=args.model, weights=args.weights, device=args.device)
    plain = ConditionedLabeler(zooming.model, name=args.model, version="plain", zoom=False)
    return {"zoom": zooming, "whole photo": plain}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoom", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="COCO file with true masks")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the file)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N photos")
    parser.add_argument("--model", default="nano", help="configuration (default: nano)")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights for the model")
    parser.add_argument("--random-weights", action="store_true", help="without training: times only mean something")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args(argv)
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    skipped: list[str] = []
    try:
        document = CocoDocument.open(args.dataset)
        rows = image_rows(document, args.limit)
        named = [document.images[row].file_name for row in rows]
        images, _ = photo_folder(args.images, args.dataset.resolve().parent, named)
        truths = photos(document, images, rows, skipped=skipped)
        done = iter(range(1, len(rows) + 1))
        result = compare(
            build(args), truths, tick=lambda: print(f"\r{next(done)}/{len(rows)}", end="", file=sys.stderr)
        )
    except (UsageError, CocoError, OSError) as error:
        print(f"benchmarks.zoom: {error}", file=sys.stderr)
        return 2
    print(file=sys.stderr)
    for message in skipped:
        print(f"left out: {message}", file=sys.stderr)
    text = as_markdown(result)
    print(text, end="")
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


if __name__ == "__main__":
    sys.exit(main())
