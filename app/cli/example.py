"""``openseed-label example``: the bundled photos and boxes, converted, in a folder of the user's own."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from app.cli.convert_boxes import add_labeler_arguments, labeler_options

_FILES = ("README.md", "boxes.json", "truth.json", "photos")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("openseed-example"),
        metavar="FOLDER",
        help="where to put it (default: openseed-example)",
    )
    parser.add_argument("--overwrite", action="store_true", help="convert again where an example was converted before")
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")
    add_labeler_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from app.convert import Settings, convert
    from app.convert.summary import print_summary

    copy_example(args.folder)
    settings = Settings.of(
        source=args.folder / "boxes.json",
        output=None,
        report=args.folder / "report.html",
        overwrite=args.overwrite,
        **labeler_options(args),
    )
    summary = convert(settings, quiet=args.quiet)
    print_summary(summary, as_json=False, quiet=args.quiet, verbose=False, out=sys.stdout, err=sys.stderr)
    if not args.quiet:
        agreement = compare(settings.output, args.folder / "truth.json")
        print(f"mean IoU with the masks drawn by hand (truth.json): {agreement:.3f}", file=sys.stderr)
        print(f"\nLook at the masks:  open {settings.report} in a browser", file=sys.stderr)
        print("With your own data: openseed-label convert-boxes dataset.json --images photos/", file=sys.stderr)
    return summary.exit_code


def bundled() -> Path:
    """Where the example lies in the installed package."""
    return Path(__file__).resolve().parent.parent / "examples"


def copy_example(folder: Path) -> None:
    """Copy what is not there yet; a file that somebody has changed is left alone. Raises OSError."""
    source = bundled()
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        target = folder / relative
        if path.is_file() and relative.parts[0] in _FILES and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def compare(output: Path, truth: Path) -> float:
    """Mean mask IoU of two COCO files with the same annotations; a missing mask counts 0."""
    import numpy as np

    from app.evaluation.boxes import mask_ious
    from exporters import masks
    from exporters.coco import CocoDocument

    with CocoDocument.open(output) as made, CocoDocument.open(truth) as drawn:
        ious: list[float] = []
        for image in drawn.images:
            size = image.height or 0, image.width or 0
            for row in drawn.annotations(image.row).rows.tolist():
                answer, wanted = (masks.from_coco(doc.segmentation(row), *size) for doc in (made, drawn))
                ious.extend(mask_ious([answer], [wanted]) if wanted is not None else [])
    return float(np.mean(ious)) if ious else 0.0
