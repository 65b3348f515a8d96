"""``openseed-label assist``: masks by a model for boxes that nobody will draw masks for, to train on.

This is ``convert-boxes`` with two differences: poor masks are not written, and each mask says that it is assisted.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.cli.convert_boxes import add_labeler_arguments, count, labeler_options, share


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] boxes.json"
    parser.add_argument("source", type=Path, metavar="boxes.json", help="COCO file with boxes and class names")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the JSON)")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="where to write (default: boxes.assisted.json)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output and start from nothing")
    parser.add_argument(
        "--min-quality",
        type=share,
        default=0.5,
        metavar="Q",
        help="leave out masks whose quality score is lower, from 0 to 1 (default: 0.5); 0 writes all",
    )
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N photos that have something to do")
    parser.add_argument(
        "--exif", choices=("auto", "raw", "upright"), default="auto", help="the frame of the boxes of rotated photos"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="also write a page of thumbnails, worst first")
    add_labeler_arguments(parser)
    talk = parser.add_argument_group("messages")
    talk.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    talk.add_argument("-q", "--quiet", action="store_true", help="errors only")
    talk.add_argument("-v", "--verbose", action="store_true", help="list every problem and note")


def run(args: argparse.Namespace) -> int:
    from app.convert import Settings, convert
    from app.convert.sniff import refuse_other_formats
    from app.convert.summary import print_summary

    refuse_other_formats(args.source)
    settings = Settings.of(
        source=args.source,
        images=args.images,
        output=args.output or args.source.with_name(f"{args.source.stem}.assisted.json"),
        overwrite=args.overwrite,
        report=args.report,
        **labeler_options(args),
        limit=args.limit,
        exif=args.exif,
        form="rle",  # exactly the model's pixels, and smaller than polygons along pixel edges
        min_quality=args.min_quality,
        assisted=True,
    )
    summary = convert(settings, quiet=args.quiet)
    print_summary(summary, as_json=args.json, quiet=args.quiet, verbose=args.verbose, out=sys.stdout, err=sys.stderr)
    return summary.exit_code
