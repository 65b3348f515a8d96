"""How good is the mask of an object that is only pointed at? Simulated points on objects with true masks.

The first point is where the object is deepest, the next ones where the error is. Run it from the repository:
``python -m benchmarks.points --help``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.errors import UsageError
from benchmarks.clicks import Subject, iou, next_click, shuffled_truths, subjects
from exporters.coco import CocoError
from exporters.masks import area, decode
from labelers.build import build_labeler
from labelers.photos import PhotoError
from labelers.points import Point, mask_from_points
from labelers.protocol import Labeler, Opened
from labelers.records import RLE, Boxes
from labelers.vocabulary import Vocabulary

SMALL, MEDIUM = 32**2, 96**2
"""COCO's limits of object sizes, pixels of area."""


def by_points(opened: Opened, subject: Subject, *, clicks: int, name: str, seconds: list[float]) -> list[float]:
    """IoU after each of so many points."""
    truth = decode(subject.truth)
    height, width = truth.shape
    points: list[Point] = []
    mask = np.zeros_like(truth)
    values: list[float] = []
    for _ in range(clicks):
        at = next_click(mask, truth, None)
        if at is not None:
            points.append(Point(at[0] + 0.5, at[1] + 0.5, at[2]))
            start = time.perf_counter()
            found = mask_from_points(opened, Vocabulary(), points=points, name=name, height=height, width=width).masks[
                0
            ]
            seconds.append(time.perf_counter() - start)
            mask = decode(found) if found is not None else np.zeros_like(truth)
            values.append(iou(found, subject.truth) if found is not None else 0.0)
        else:
            values.append(values[-1])
    return values


def by_fixed_box(opened: Opened, subject: Subject) -> float:
    """What a box of half the photo's shorter side around the same point gives."""
    truth = decode(subject.truth)
    height, width = truth.shape
    at = next_click(np.zeros_like(truth), truth, None)
    assert at is not None
    half = min(height, width) / 4
    box = np.array([[at[0] - half, at[1] - half, at[0] + half, at[1] + half]], np.float32)
    found: RLE | None = opened.masks(Boxes(box, (subject.name,)), Vocabulary()).masks[0]
    return iou(found, subject.truth) if found is not None else 0.0


def measure(labeler: Labeler, chosen: Sequence[Subject], *, clicks: int) -> dict[str, Any]:
    """Mean IoU of each way, by size for the first point."""
    rows: dict[str, list[list[float]]] = {"points and name": [], 'points, every name "object"': []}
    fixed: list[list[float]] = []
    true_box: list[list[float]] = []
    seconds: list[float] = []
    sizes = np.array([area(subject.truth) for subject in chosen])
    for number, subject in enumerate(chosen):
        for way, name in (("points and name", subject.name), ('points, every name "object"', "object")):
            opened = labeler.open(subject.header.photo("subject"))
            timed = seconds if name == subject.name else []
            rows[way].append(by_points(opened, subject, clicks=clicks, name=name, seconds=timed))
        fixed.append([by_fixed_box(opened, subject)])
        true_box.append([iou(subject.mask, subject.truth)])
        print(f"\robject {number + 1} of {len(chosen)}   ", end="", file=sys.stderr)
    table = {**rows, "one box of half the shorter side": fixed, "the true box and name, for comparison": true_box}
    middle = (sizes >= SMALL) & (sizes < MEDIUM)
    bins = {"all": sizes >= 0, "small": sizes < SMALL, "medium": middle, "large": sizes >= MEDIUM}
    ways = {}
    for way, values in table.items():
        found = np.array(values)
        first = {name: round(float(found[rows_, 0].mean()), 4) for name, rows_ in bins.items() if rows_.any()}
        ways[way] = {"first": first, "clicks": [round(float(value), 4) for value in found.mean(axis=0)]}
    return {"objects": len(chosen), "ms": round(1000 * float(np.median(seconds)), 1), "ways": ways}


def as_markdown(result: dict[str, Any]) -> str:
    bins = list(next(iter(result["ways"].values()))["first"])
    clicks = max(len(way["clicks"]) for way in result["ways"].values())
    later = [k for k in (2, 3, 5) if k <= clicks]
    lines = [
        f"| way | {' | '.join(bins)} |" + "".join(f" after {k} points |" for k in later),
        "| --- |" + " ---: |" * (len(bins) + len(later)),
    ]
    for name, way in result["ways"].items():
        values = [f"{100 * way['first'][one]:.1f}" for one in bins]
        values += [f"{100 * way['clicks'][k - 1]:.1f}" if k <= len(way["clicks"]) else "" for k in later]
        lines.append(f"| {name} | {' | '.join(values)} |")
    return f"{result['objects']} objects, {result['ms']:.0f} ms a point (median)\n\n" + "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.points", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="COCO file with true masks")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the file)")
    parser.add_argument("--labeler", default="conditioned", help="default: conditioned")
    parser.add_argument("--objects", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--points", type=int, default=3, metavar="N", help="on each object (default: 3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args(argv)
    skipped: list[str] = []
    try:
        if args.points < 1 or args.objects < 1:
            raise UsageError("nothing to measure: check --points and --objects")
        truths = shuffled_truths(args.dataset, args.images, skipped=skipped)
        labeler = build_labeler(args.labeler, device="cpu")
        found = subjects(labeler, truths, low=-1.0, high=2.0, limit=args.objects, tick=lambda count: None)
        result = measure(labeler, list(found), clicks=args.points)
    except (UsageError, CocoError, PhotoError, OSError, ValueError) as error:
        print(f"benchmarks.points: {error}", file=sys.stderr)
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
