"""``openseed-label check``: what is wrong with a data set."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.convert import add_source_arguments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.datasets.checks import Finding
    from app.datasets.opening import Opened

_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="IN", help="the labels: a file, the folder that holds them, or a project"
    )
    add_source_arguments(parser)
    parser.add_argument("--json", action="store_true", help="the findings as JSON on stdout")
    parser.add_argument("-v", "--verbose", action="store_true", help="up to 100 places of each kind instead of 5")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def run(args: argparse.Namespace) -> int:
    """Check; 0 if nothing serious is wrong, else 1."""
    from app.datasets.opening import opening

    with opening(args.source, given=args.given, images=args.images) as opened:
        return _run(args, opened)


def _run(args: argparse.Namespace, opened: Opened) -> int:
    from app.convert.progress import bar
    from app.datasets.checks import KINDS, check

    images = opened.dataset.images
    total = max(opened.dataset.count, 0)
    with bar(total=total, unit="photos", what="checking", quiet=args.quiet, delay=1.0) as shown:
        findings = check(opened, on_picture=shown.update)
    serious = any(KINDS[finding.kind].serious for finding in findings)
    if args.json:
        found = [finding.as_json() for finding in findings]
        photos = None if images is None else str(images)
        json.dump({"format": opened.format, "images": photos, "findings": found}, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return int(serious)
    for finding in findings:
        print("\n".join(_in_words(finding, _SHOWN if not args.verbose else len(finding.places))))
    if images is None:
        print("the photos were not looked at: give their folder with --images")
    if not findings:
        print(f"{args.source} ({opened.format}): nothing is wrong")
    return int(serious)


def _in_words(finding: Finding, limit: int) -> Iterator[str]:
    from app.datasets.checks import KINDS

    kind = KINDS[finding.kind]
    yield f"{'PROBLEM' if kind.serious else 'note'}  {finding.count:,} {kind.what}"
    for place in finding.places[:limit]:
        yield f"    {place}"
    if finding.count > min(limit, len(finding.places)):
        yield f"    and {finding.count - min(limit, len(finding.places)):,} more"
    yield f"  fix: {kind.fix}"
