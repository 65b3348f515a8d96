"""``openseed-label convert``: a data set from any format into any other."""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from exporters.formats import FORMATS, STORED, near

if TYPE_CHECKING:
    from app.datasets.conversion import Foreseen
    from app.datasets.opening import Opened
    from exporters.dataset import Written


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", type=Path, metavar="IN", help="the labels: a file, the folder that holds them, or a project"
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the file or folder to write")
    parser.add_argument("--to", required=True, type=format_name, metavar="FORMAT", help="one of the formats below")
    add_source_arguments(parser)
    parser.add_argument("--strict", action="store_true", help="write nothing if anything would be lost (exit code 2)")
    parser.add_argument(
        "--upright",
        action="store_true",
        help="turn labels of EXIF-rotated photos that are in the frame of the stored pixels (see `check`)",
    )
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
        "--from", dest="given", type=format_name, metavar="FORMAT", help="format of IN (default: found out)"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: as the labels say)")


def format_name(text: str) -> str:
    """The value of an option that names a format."""
    if text not in STORED:
        raise argparse.ArgumentTypeError(f"there is no format {text!r}; {near(text)}")
    return text


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
    from app.datasets.conversion import refuse_target
    from app.datasets.opening import opening

    if not args.dry_run:
        refuse_target(args.source, args.images, args.out, args.to, overwrite=args.overwrite)
    photos_for = args.out if args.upright or args.copy_images != "none" else None

    def work() -> int:
        with opening(args.source, given=args.given, images=args.images, photos_for=photos_for) as opened:
            return _run(args, opened)

    return all_or_nothing(work)


def all_or_nothing(work: Callable[[], int]) -> int:
    """Run what writes in one step; interrupted or told to end, it removes what it has begun, and says so: 130."""

    def leave(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    ours = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, leave) if ours else None
    try:
        return work()
    except KeyboardInterrupt:
        print("\nInterrupted. Nothing was written.", file=sys.stderr)
        return 130
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


def _run(args: argparse.Namespace, opened: Opened) -> int:
    from app.convert.progress import bar
    from app.datasets.conversion import complete, foresee, refuse_target, write
    from app.datasets.upright import upright
    from exporters.dataset import WriteOptions

    dataset, turned = upright(opened.dataset) if args.upright else (opened.dataset, None)
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
        return _refused(args, opened, foreseen) if refused else int(bool(opened.problems.count))
    with bar(total=foreseen.pictures, unit="photos", what="writing", quiet=args.quiet, delay=1.0) as shown:
        options = WriteOptions(copy_images=args.copy_images, tolerance=args.tolerance, on_picture=shown.update)
        written = write(dataset, args.out, args.to, options, strict=args.strict)
    written.notes += turned.notes() if turned else ()
    if args.tolerance and not written.ious[1]:
        written.notes.append(f"--tolerance changed nothing: {args.to} has no outlines of these objects")
    _report_problems(opened)
    for reason, number in written.dropped.items():
        print(f"left out: {number:,} x {reason}", file=sys.stderr)
    if args.strict and written.dropped:
        _report(args, opened, foreseen, None)
        return _refused(args, opened, foreseen)
    _report(args, opened, foreseen, written)
    return 0 if complete(opened, written) else 1


def _refused(args: argparse.Namespace, opened: Opened, foreseen: Foreseen) -> int:
    reason = (
        f"{args.to} can't hold all of it" if foreseen.losses or not opened.problems.count else "not all can be read"
    )
    print(f"openseed-label convert: --strict: {reason}; nothing was written", file=sys.stderr)
    return 2


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
