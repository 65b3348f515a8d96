"""``openseed-label evaluate``: masks from given boxes against the file's own masks, labelers side by side."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.convert_boxes import add_labeler_arguments, count

if TYPE_CHECKING:
    from labelers.protocol import Labeler

LABELERS = ("conditioned", "rectangle", "ellipse", "grabcut")
PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] gt.json"
    parser.add_argument("source", type=Path, metavar="gt.json", help="COCO file with boxes, class names and true masks")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the JSON)")
    parser.add_argument("--protocol", choices=("boxes",), default="boxes", help="what is measured (default: boxes)")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N photos")
    parser.add_argument("--quick", action="store_true", help="the boxes as they are only: no jitter, no other names")
    parser.add_argument(
        "--exif", choices=("auto", "raw", "upright"), default="auto", help="the frame of the boxes of rotated photos"
    )
    add_labeler_arguments(parser, several=True)
    out = parser.add_argument_group("output")
    out.add_argument(
        "--classes", type=int, default=20, metavar="N", help="classes in the table, most frequent first (default: 20)"
    )
    out.add_argument("--json", action="store_true", help="print JSON instead of the table")
    out.add_argument("--plot", type=Path, metavar="FILE.png", help="also draw the numbers")
    out.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    from app.convert.plan import make_vocabulary, photo_folder
    from app.convert.progress import bar
    from app.convert.sniff import refuse_other_formats
    from app.errors import UsageError
    from app.evaluation.boxes import ask_all
    from app.evaluation.measures import measure
    from app.evaluation.table import as_json, as_text
    from app.evaluation.truth import image_rows, photos
    from exporters.coco import CocoDocument

    refuse_other_formats(args.source)
    if args.images is not None and not args.images.is_dir():
        raise UsageError(f"--images {args.images} is not a folder; give the folder that holds the photos")
    _check_plot(args.plot)
    document = CocoDocument.open(args.source)
    rows = image_rows(document, args.limit)
    images, _ = photo_folder(
        args.images, args.source.resolve().parent, [document.images[row].file_name for row in rows]
    )
    vocabulary = make_vocabulary(tuple(args.prompt), document.categories)
    class_names = [category.name for category in document.categories]
    results = []
    for name in _names(args.labeler):
        labeler = _build(name, args)
        skipped: list[str] = []
        with bar(total=len(rows), unit="photos", what=name, quiet=args.quiet) as progress:
            truths = photos(document, images, rows, exif=args.exif, skipped=skipped)
            answers = ask_all(labeler, truths, vocabulary, quick=args.quick, on_photo=progress.update)
        if not answers.photos:
            listed = "".join(f"\n  {message}" for message in (*skipped, *answers.skipped)[:5])
            raise UsageError(f"{args.source}: no photo with a box and a true mask could be measured{listed}")
        found = measure(
            answers, labeler=name, version=labeler.spec.version, class_names=class_names, skipped=tuple(skipped)
        )
        results.append(found)
    if args.json:
        json.dump(as_json(results, source=str(args.source), protocol=args.protocol), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(as_text(results, classes=args.classes))
    if args.plot:
        from app.evaluation.plot import plot

        plot(
            results, args.plot, title=f"{args.source.name}: masks from given boxes, {results[0].instances:,} instances"
        )
    return 1 if any(result.skipped for result in results) else 0


def _check_plot(path: Path | None) -> None:
    """Before hours of measuring, not after. Raises UsageError."""
    from app.errors import UsageError

    if path is not None and path.suffix.lower() not in PLOT_SUFFIXES:
        raise UsageError(f"--plot {path}: the name must end in one of {', '.join(PLOT_SUFFIXES)}")
    if path is not None and not path.resolve().parent.is_dir():
        raise UsageError(f"the folder {path.resolve().parent} does not exist; make it, or choose another --plot")


def _names(text: str) -> list[str]:
    from app.errors import UsageError

    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in LABELERS:
            raise UsageError(f"--labeler: there is no labeler {name!r}; choose from {', '.join(LABELERS)}")
    if not names:
        raise UsageError(f"--labeler: name at least one of {', '.join(LABELERS)}")
    return names


def _build(name: str, args: argparse.Namespace) -> Labeler:
    if name == "ellipse":
        from app.evaluation.ellipse import EllipseLabeler

        return EllipseLabeler()
    from app.convert.conversion import build

    return build(
        name, model=args.model, weights=args.weights, device=args.device, batch_size=args.batch_size, mirror=args.mirror
    )
