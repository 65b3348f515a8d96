"""``openseed-label stats``: what a data set is made of."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.convert import add_source_arguments

if TYPE_CHECKING:
    from app.datasets.opening import Opened
    from app.datasets.statistics import Statistics

_CLASSES = 40
_PAGES = (".html", ".htm", ".png", ".svg", ".pdf", ".jpg", ".jpeg", ".webp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="IN", help="the labels: a file, the folder that holds them, or a project"
    )
    add_source_arguments(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots and tables")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the plots (PNG, SVG, PDF)")
    parser.add_argument("--json", action="store_true", help="the numbers as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Count; 0, or 1 where something could not be read."""
    from app.datasets.opening import opening
    from app.errors import UsageError

    for option, target in (("--html", args.html), ("--plot", args.plot)):
        if target is not None and target.exists() and target.suffix.lower() not in _PAGES:
            raise UsageError(f"{option} {target}: this file is no page or picture and is not replaced; name another")
    with opening(args.source, given=args.given, images=args.images) as opened:
        return _run(args, opened)


def _run(args: argparse.Namespace, opened: Opened) -> int:
    from app.convert.progress import bar
    from app.datasets.statistics import count
    from app.errors import UsageError

    total = max(opened.dataset.count, 0)
    with bar(total=total, unit="photos", what="counting", quiet=args.quiet, delay=1.0) as shown:
        found = count(opened, on_picture=shown.update)
    if args.json:
        json.dump(found.as_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print("\n".join(_in_words(found)))
    if args.html:
        from app.reports.dataset_page import write_dataset_page

        write_dataset_page(args.html, found)
    if args.plot:
        from app.reports.dataset_plot import plot

        try:
            plot(found, args.plot)
        except ValueError as error:  # matplotlib's word for a suffix it can't draw
            raise UsageError(f"--plot {args.plot}: {error}") from error
    return int(bool(found.problem_count))


def _in_words(found: Statistics) -> list[str]:
    from app.datasets.statistics import QUALITY, mean

    counts = found.counts
    lines = [
        f"{found.source} ({found.format}): {counts['pictures']:,} photos, {counts['items']:,} objects, "
        f"{counts['masks']:,} with a mask, {counts['boxes_only']:,} with a box only",
        "sizes: " + ", ".join(f"{number:,} {name}" for name, number in found.sizes.items()),
    ]
    for key, said in (("crowds", "crowds"), ("empty_pictures", "photos without objects"), ("neither", "without both")):
        if counts[key]:
            lines.append(f"  {counts[key]:>9,}  {said}")
    if found.splits:
        lines.append("splits: " + ", ".join(f"{name} {number:,}" for name, number in found.splits.items()))
    lines.append("classes (objects, photos):")
    names = sorted(found.labels, key=lambda name: -found.labels[name].items)
    lines += [f"  {found.labels[n].items:>9,}  {found.labels[n].photos:>9,}  {n}" for n in names[:_CLASSES]]
    if len(names) > _CLASSES:
        lines.append(f"  and {len(names) - _CLASSES:,} more classes (--json has all)")
    if counts["masks"]:
        lines.append("masks:")
        lines += [f"  {found.quality[key]:>9,}  {said}" for key, said in QUALITY.items() if found.quality[key]]
        fill = mean(found.fill)
        if fill is not None:
            lines.append(f"  a mask fills {100 * fill:.0f} % of its box on average")
    score = mean(found.scores)
    if score is not None:
        lines.append(f"mean score: {score:.3f}")
    if found.problem_count:
        lines.append(f"{found.problem_count:,} could not be read:")
        lines += [f"  {message}" for message in found.problems[:20]]
        lines.append("`openseed-label check` lists all, with a remedy for each")
    return lines
