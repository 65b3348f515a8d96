"""How much a correcting click repairs: ways of using it, compared on simulated clicks.

Objects whose mask is wrong are clicked again and again where the error is largest (``benchmarks.clicks``). Settings
were chosen on one half of the photos; the table is about the other. Run it from the repository:
``python -m benchmarks.repair --help``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from app.errors import UsageError
from benchmarks.clicks import Subject, iou, next_click, one_box, shuffled_truths, subjects
from benchmarks.repair_fit import fitted
from benchmarks.repair_ways import WAYS, Situation, Way, obeys
from exporters.coco import CocoError
from exporters.masks import decode
from labelers.build import build_labeler
from labelers.photos import PhotoError
from labelers.protocol import Labeler
from labelers.vocabulary import Vocabulary

SHOWN = (0, 1, 2, 3, 5)
GOAL = 0.85
LOW, HIGH = 0.4, 0.9


@dataclass
class Record:
    """What one way did: IoU before and after each click [objects][clicks + 1], seconds and outcome of each click."""

    iou: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    disobeyed: int = 0

    def summary(self) -> dict[str, Any]:
        table = np.array(self.iou)
        last = table.shape[1] - 1
        steps = [(a, b) for row in self.iou for a, b in pairwise(row) if a < 1]
        needed = [next((i for i, value in enumerate(row) if value >= GOAL), last + 1) for row in self.iou]
        return {
            "iou": {str(k): round(float(table[:, k].mean()), 4) for k in SHOWN if k <= last},
            "clicks_to_goal": round(float(np.mean(needed)), 3),
            "reached": round(float(np.mean([k <= last for k in needed])), 4),
            "worse": round(float(np.mean([b < a for a, b in steps])), 4) if steps else 0.0,
            "ms": round(1000 * median(self.seconds), 1) if self.seconds else 0.0,
            "disobeyed": self.disobeyed,
        }


def compare(
    labeler: Labeler,
    chosen: Sequence[Subject],
    ways: dict[str, Way],
    *,
    clicks: int,
    exact: bool,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Let every way correct every object. The places clicked follow from the way's own mask and a fixed seed."""
    records = {name: Record() for name in ways}
    for number, subject in enumerate(chosen):
        photo = subject.header.photo("subject")
        opened, pixels, truth = labeler.open(photo), photo.pixels(), decode(subject.truth)
        opened.masks(one_box(subject), Vocabulary())  # the annotator has seen this mask: its view is encoded
        for name, way in ways.items():
            record, mask = records[name], subject.mask
            generator = None if exact else np.random.default_rng(number)
            values = [iou(mask, subject.truth)]
            for _ in range(clicks):
                click = next_click(decode(mask), truth, generator)
                if click is not None:
                    at = Situation(subject, opened, pixels, mask, *click)
                    start = time.perf_counter()
                    mask = way(at)
                    record.seconds.append(time.perf_counter() - start)
                    record.disobeyed += not obeys(at, mask)
                values.append(iou(mask, subject.truth))
            record.iou.append(values)
        tick()
    return {
        "objects": len(chosen),
        "clicks": clicks,
        "exact": exact,
        "ways": {name: record.summary() for name, record in records.items()},
    }


def as_markdown(result: dict[str, Any]) -> str:
    shown = [k for k in SHOWN if k <= result["clicks"]]
    heads = [f"IoU after {k}" for k in shown]
    lines = [
        f"| way | {' | '.join(heads)} | clicks to {GOAL:.2f} | reached | made worse | ms |",
        "| --- |" + " ---: |" * (len(shown) + 4),
    ]
    for name, way in result["ways"].items():
        values = " | ".join(f"{100 * way['iou'][str(k)]:.1f}" for k in shown)
        lines.append(
            f"| {name} | {values} | {way['clicks_to_goal']:.2f} | {100 * way['reached']:.0f} % "
            f"| {100 * way['worse']:.0f} % | {way['ms']:.1f} |"
        )
    where = "at the middle of the error" if result["exact"] else "near the middle of the error"
    return f"{result['objects']} objects, up to {result['clicks']} clicks {where}\n\n" + "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repair", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="COCO file with true masks")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the file)")
    parser.add_argument("--labeler", default="conditioned", help="default: conditioned")
    parser.add_argument("--objects", type=int, default=400, metavar="N", help="both halves together (default: 400)")
    parser.add_argument("--clicks", type=int, default=5, metavar="N", help="clicks on each object (default: 5)")
    parser.add_argument("--ways", metavar="TEXT", help="only ways whose name contains this text")
    parser.add_argument("--exact", action="store_true", help="click exactly where the error is deepest")
    parser.add_argument("--tuning-half", action="store_true", help="measure on the half that settings were chosen on")
    parser.add_argument("--fit", action="store_true", help="fit the product's weights on the tuning half, print them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args(argv)
    ways = {name: way for name, way in WAYS.items() if args.ways is None or args.ways in name}
    skipped: list[str] = []
    try:
        if not ways or args.clicks < 1 or args.objects < 2:
            raise UsageError("nothing to measure: check --ways, --clicks and --objects")
        truths = shuffled_truths(args.dataset, args.images, skipped=skipped)
        labeler = build_labeler(args.labeler, device="cpu")
        found = subjects(
            labeler, truths, low=LOW, high=HIGH, limit=args.objects,
            tick=lambda count: print(f"\rlooking for objects: {count}", end="", file=sys.stderr),
        )  # fmt: skip
        tuning = args.tuning_half or args.fit
        chosen = [subject for subject in found if subject.tuning == tuning]
        if not chosen:
            raise UsageError(f"no object of this half has a mask with an IoU between {LOW} and {HIGH}")
        if args.fit:
            print(f"\n{len(chosen)} objects", fitted(labeler, chosen), sep="\n")
            return 0
        done = iter(range(1, len(chosen) + 1))
        result = compare(
            labeler, chosen, ways, clicks=args.clicks, exact=args.exact,
            tick=lambda: print(f"\robject {next(done)} of {len(chosen)}   ", end="", file=sys.stderr),
        )  # fmt: skip
    except (UsageError, CocoError, PhotoError, OSError, ValueError) as error:
        print(f"benchmarks.repair: {error}", file=sys.stderr)
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


if __name__ == "__main__":
    sys.exit(main())
