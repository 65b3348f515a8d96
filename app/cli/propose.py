"""``openseed-label propose``: objects, regions and names that nobody has drawn. The work is in ``app.propose``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from app.cli.convert_boxes import (
    add_engine_arguments,
    add_labeler_arguments,
    check_engine,
    count,
    engine_options,
    labeler_options,
    place,
    share,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] PHOTOS | dataset.json [OUT]"
    parser.add_argument(
        "source",
        type=Path,
        metavar="PHOTOS",
        help="folder of photos (its subfolders too), or a COCO file, whose annotations are kept and not found again",
    )
    parser.add_argument(
        "output", type=Path, nargs="?", metavar="OUT", help="folder for the results (default: PHOTOS.proposals)"
    )
    what = parser.add_argument_group("what to find")
    what.add_argument(
        "--vocab",
        metavar="CLASSES",
        help='"person, traffic light, sky (stuff)"; a file with lines "name [stuff] [threshold 0.4] = text | text"; '
        "a COCO file, for its categories; or a list by name: coco-133, coco-80, objects365, ade20k-150, ade20k-847, "
        "cityscapes-19, scannet-20, scannet-37, scannet-40, sun-37, bdd-19, bdd-40, pascal-context-59 "
        "(default: the categories of dataset.json)",
    )
    what.add_argument(
        "--tasks",
        metavar="NAMES",
        help="comma separated: instances (masks), boxes, panoptic, semantic (default: instances)",
    )
    what.add_argument(
        "--threshold", type=share, metavar="S", help="lowest score of a proposal, 0 to 1 (default: the labeler's own)"
    )
    what.add_argument(
        "--thresholds", metavar='"CLASS=S,..."', help="by class: a list, or a file with a line for each class"
    )
    what.add_argument("--max", dest="most", type=count, metavar="N", help="at most N instances, and boxes, a photo")
    what.add_argument("--limit", type=count, metavar="N", help="only the first N photos")
    what.add_argument(
        "--for-boxes",
        action="store_true",
        help="find nothing new: rank names for the boxes of dataset.json, and flag names that look wrong",
    )
    what.add_argument(
        "--margin",
        type=share,
        metavar="S",
        help="with --for-boxes: flag a name that another class outscores by this much (default: 0.1)",
    )

    files = parser.add_argument_group("files")
    files.add_argument(
        "--images", type=place, metavar="DIR", help="folder of the photos, or its URL (default: beside the JSON)"
    )
    files.add_argument("--overwrite", action="store_true", help="replace existing results and start from nothing")
    files.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="also write a page of the instances, worst score first",
    )
    files.add_argument(
        "--format",
        dest="form",
        choices=("auto", "polygon", "rle"),
        default="auto",
        help="of masks; auto: polygons, or RLE for masks with holes (default)",
    )
    files.add_argument(
        "--exif",
        choices=("auto", "raw", "upright"),
        default="auto",
        help="do the boxes of rotated photos refer to the raw or to the upright photo? (default: by width and height)",
    )

    add_labeler_arguments(parser)
    add_engine_arguments(parser)

    talk = parser.add_argument_group("messages")
    talk.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    talk.add_argument("-q", "--quiet", action="store_true", help="errors only")
    talk.add_argument("-v", "--verbose", action="store_true", help="list every problem, class and note")


def run(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.propose import Settings, name_boxes, propose
    from app.propose.classes import read_thresholds
    from app.propose.names import print_names
    from app.propose.summary import print_summary
    from labelers.name_check import MARGIN

    if args.margin is not None and not args.for_boxes:
        raise UsageError("--margin only makes sense with --for-boxes; add it, or leave --margin out")
    if args.for_boxes:
        for option in ("tasks", "threshold", "thresholds", "max", "report"):
            if getattr(args, "most" if option == "max" else option) is not None:
                raise UsageError(f"--{option} makes no sense with --for-boxes, which finds nothing new; leave it out")
    check_engine(args)
    if args.for_boxes and args.engine != "local":
        raise UsageError("--engine ray makes no sense with --for-boxes, which has one process; leave it out")
    if args.quiet and args.verbose:
        raise UsageError("--quiet and --verbose exclude each other; choose one")
    tasks = "instances" if args.tasks is None else args.tasks
    settings = Settings.of(
        source=args.source,
        output=args.output,
        vocabulary=args.vocab,
        tasks=tuple(dict.fromkeys(name.strip() for name in tasks.split(",") if name.strip())),
        threshold=args.threshold,
        thresholds={} if args.thresholds is None else read_thresholds(args.thresholds),
        most=args.most,
        limit=args.limit,
        for_boxes=args.for_boxes,
        margin=MARGIN if args.margin is None else args.margin,
        images=args.images,
        overwrite=args.overwrite,
        report=args.report,
        form=args.form,
        exif=args.exif,
        **labeler_options(args),
        **engine_options(args),
    )
    talk = {"as_json": args.json, "quiet": args.quiet, "verbose": args.verbose}
    if settings.for_boxes:
        named = name_boxes(settings, quiet=args.quiet)
        print_names(named, **talk, out=sys.stdout, err=sys.stderr)
        return named.exit_code
    found = propose(settings, quiet=args.quiet)
    print_summary(found, **talk, out=sys.stdout, err=sys.stderr)
    return found.exit_code
