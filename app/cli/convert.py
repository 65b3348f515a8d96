"""``openseed-label convert``: a data set from any format into any other."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporters.formats import FORMATS, STORED

if TYPE_CHECKING:
    from app.datasets.conversion import Foreseen
    from app.datasets.opening import Opened
    from exporters.dataset import Written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="IN", help="the labels: a file, the folder that holds them, or a project"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the file or folder to write")
    parser.add_argument("--to", required=True, choices=STORED, metavar="FORMAT", help="one of the formats below")
    add_source_arguments(parser)
    parser.add_argument("--strict", action="store_true", help="write nothing if anything would be lost (exit code 2)")
    parser.add_argument(
        "--copy-images",
        choices=("none", "link", "copy"),
        default="none",
        help="put the photos into OUT: not at all, as hard links where possible, as copies (default: none)",
    )
    parser.add_argument(
        "--tolerance",
        type=_pixels,
        default=0.0,
        metavar="PX",
        help="simplify outlines by at most so many pixels; the cost in IoU is reported (default: 0, not at all)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is a data set of this format")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be lost")
    parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="errors and losses only")
    parser.epilog = f"{_formats()}\n\n{parser.epilog or ''}"


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """How a data set is opened: shared with ``split``, ``stats`` and ``check``."""
    parser.add_argument(
        "--from", dest="given", choices=STORED, metavar="FORMAT", help="format of IN (default: found out)"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: as the labels say)")


def _formats() -> str:
    width = max(map(len, STORED))
    return "formats:\n" + "\n".join(f"  {name:<{width}}  {FORMATS[name].line}" for name in STORED)


def _pixels(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: a number of pixels, 0 or more")
    return value


def run(args: argparse.Namespace) -> int:
    """Convert; 0, or 1 where something was left out, or 2 where ``--strict`` refused."""
    from app.datasets.opening import opening

    with opening(args.source, given=args.given, images=args.images) as opened:
        return _run(args, opened)


def _run(args: argparse.Namespace, opened: Opened) -> int:
    from app.convert.progress import bar
    from app.datasets.conversion import complete, foresee, refuse_target, write
    from exporters.dataset import WriteOptions

    dataset = opened.dataset
    if not args.dry_run:
        refuse_target(args.source, dataset.images, args.out, args.to, overwrite=args.overwrite)
    total = max(dataset.count, 0)
    with bar(total=total, unit="photos", what="looking", quiet=args.quiet, delay=1.0) as shown:
        foreseen = foresee(dataset, args.to, on_picture=shown.update)
    for loss in foreseen.losses:
        print(f"lost: {loss}", file=sys.stderr)
    refused = args.strict and bool(foreseen.losses or opened.problems.count)
    if refused or args.dry_run:
        _report_problems(opened)
        _report(args, opened, foreseen, None)
        if refused:
            print(
                f"openseed-label convert: --strict: {args.to} can't hold all of it; nothing was written",
                file=sys.stderr,
            )
        return 2 if refused else int(bool(opened.problems.count))
    with bar(total=foreseen.pictures, unit="photos", what="writing", quiet=args.quiet, delay=1.0) as shown:
        options = WriteOptions(copy_images=args.copy_images, tolerance=args.tolerance, on_picture=shown.update)
        written = write(dataset, args.out, args.to, options)
    _report_problems(opened)
    _report(args, opened, foreseen, written)
    return 0 if complete(opened, written) else 1


def _report_problems(opened: Opened) -> None:
    for line in opened.problems.lines():
        print(f"left out: {line}", file=sys.stderr)


def _report(args: argparse.Namespace, opened: Opened, foreseen: Foreseen, written: Written | None) -> None:
    if args.json:
        json.dump(_as_json(args, opened, foreseen, written), sys.stdout, indent=2)
        sys.stdout.write("\n")
    if written is None:
        if not args.quiet:
            print(
                f"{args.source} ({opened.format}): {foreseen.items:,} objects of {foreseen.pictures:,} photos; "
                "nothing was written",
                file=sys.stderr,
            )
        return
    for reason, number in written.dropped.items():
        print(f"left out: {number:,} x {reason}", file=sys.stderr)
    if args.quiet:
        return
    for note in written.notes:
        print(f"note: {note}", file=sys.stderr)
    total, number, least = written.ious
    if number:
        print(
            f"outlines: mean IoU with their masks {total / number:.4f}, lowest {least:.4f} ({number:,})",
            file=sys.stderr,
        )
    print(
        f"wrote {args.out} ({args.to}): {written.items:,} objects of {written.pictures:,} photos, "
        f"from {args.source} ({opened.format})",
        file=sys.stderr,
    )


def _as_json(args: argparse.Namespace, opened: Opened, foreseen: Foreseen, written: Written | None) -> dict[str, Any]:
    return {
        "from": opened.format,
        "to": args.to,
        "pictures": foreseen.pictures,
        "items": foreseen.items,
        "losses": [{**dataclasses.asdict(loss), "message": str(loss)} for loss in foreseen.losses],
        "problems": {"count": opened.problems.count, "messages": opened.problems.messages},
        "written": None if written is None else dataclasses.asdict(written),
    }
