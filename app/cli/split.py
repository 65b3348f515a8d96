"""``openseed-label split``: a data set into train, val and test."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.convert import add_source_arguments, all_or_nothing, format_name

if TYPE_CHECKING:
    from app.datasets.opening import Opened
    from app.datasets.splitting import Parts
    from exporters.dataset import Written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="IN", help="the labels: a file, the folder that holds them, or a project"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the folder to write, new or empty")
    add_source_arguments(parser)
    parser.add_argument("--to", type=format_name, metavar="FORMAT", help="format of OUT (default: that of IN)")
    parser.add_argument(
        "--ratios",
        default="train=0.8,val=0.1,test=0.1",
        metavar="NAME=SHARE,...",
        help="parts and their shares (default: train=0.8,val=0.1,test=0.1)",
    )
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        choices=("folder", "prefix", "lookalike"),
        help="keep photos together that share a folder, a name before the frame number, or their looks; repeatable",
    )
    parser.add_argument(
        "--distance",
        type=int,
        choices=range(17),
        default=6,
        metavar="BITS",
        help="how far photos that look alike may differ: 0 to 16 of 64 bits of their hash (default: 6)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another seed, another split (default: 0)")
    parser.add_argument(
        "--copy-images", choices=("none", "link", "copy"), default="none", help="put the photos into OUT"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how the parts would look")
    parser.add_argument("--json", action="store_true", help="the parts as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def run(args: argparse.Namespace) -> int:
    """Split; 0, or 1 where something was left out."""
    from app.datasets.opening import opening
    from app.datasets.splitting import parse_ratios
    from app.errors import UsageError

    parse_ratios(args.ratios)  # complain before reading
    if not args.dry_run and args.out.exists() and not (args.out.is_dir() and not any(args.out.iterdir())):
        raise UsageError(f"{args.out} exists already; choose a new folder")
    photos_for = args.out if args.copy_images != "none" or "lookalike" in args.group else None

    def work() -> int:
        with opening(args.source, given=args.given, images=args.images, photos_for=photos_for) as opened:
            return _run(args, opened)

    return all_or_nothing(work)


def _run(args: argparse.Namespace, opened: Opened) -> int:
    from app.convert.progress import bar
    from app.datasets.splitting import divide_dataset, parse_ratios, write_parts
    from app.errors import UsageError
    from exporters.dataset import WriteOptions

    total = max(opened.dataset.count, 0)
    with bar(total=total, unit="photos", what="looking", quiet=args.quiet, delay=1.0) as shown:
        parts = divide_dataset(
            opened.dataset,
            parse_ratios(args.ratios),
            group=args.group,
            distance=args.distance,
            seed=args.seed,
            on_picture=shown.update,
        )
    if not parts.of:
        raise UsageError(f"{args.source} ({opened.format}) has no photos to split")
    if args.json:
        json.dump(_as_json(args, parts), sys.stdout, indent=2)
        sys.stdout.write("\n")
    if not args.quiet:
        print("\n".join(_in_words(parts)), file=sys.stderr)
    empty = [name for name, number in parts.photos.items() if not number]
    if empty:
        print(f"no photo is left for {', '.join(empty)}: {len(parts.of):,} photos are too few", file=sys.stderr)
    written: dict[str, Written] = {}
    if not args.dry_run:
        with bar(total=len(parts.of), unit="photos", what="writing", quiet=args.quiet, delay=1.0) as shown:
            options = WriteOptions(copy_images=args.copy_images, on_picture=shown.update)
            written = write_parts(opened.dataset, parts, args.out, args.to or opened.format, options)
    for line in opened.problems.lines():
        print(f"left out: {line}", file=sys.stderr)
    dropped = [(name, reason, number) for name, one in written.items() for reason, number in one.dropped.items()]
    for name, reason, number in dropped:
        print(f"left out{f' of {name}' if name else ''}: {number:,} x {reason}", file=sys.stderr)
    if written and not args.quiet:
        print(f"wrote {args.out} ({args.to or opened.format})", file=sys.stderr)
    return int(bool(opened.problems.count or dropped))


def _in_words(parts: Parts) -> list[str]:
    names = list(parts.photos)
    total = len(parts.of)
    width = max([len(name) for name in parts.classes] + [len("photos")])
    lines = [f"{total:,} photos in {parts.groups:,} groups"]
    lines.append(" " * (width + 2) + "".join(f"{name:>16}" for name in names))
    shares = {name: f"{parts.photos[name]:,} ({100 * parts.photos[name] / total:.1f} %)" for name in names}
    lines.append(f"  {'photos':<{width}}" + "".join(f"{shares[name]:>16}" for name in names))
    for label in sorted(parts.classes, key=lambda label: -sum(parts.classes[label].values())):
        lines.append(f"  {label:<{width}}" + "".join(f"{parts.classes[label].get(name, 0):>16,}" for name in names))
    return lines


def _as_json(args: argparse.Namespace, parts: Parts) -> dict[str, Any]:
    return {
        "seed": args.seed,
        "groups": parts.groups,
        "photos": dict(parts.photos),
        "classes": {name: dict(found) for name, found in parts.classes.items()},
    }
