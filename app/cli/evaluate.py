"""``openseed-label evaluate``: what a labeler makes against the truth in a file, labelers side by side.

``--protocol boxes`` gives it boxes and names; the other protocols and ``--suite`` give it nothing but the class names.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.convert_boxes import add_labeler_arguments, count, labeler_builder

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.evaluation.suites.suite import Suite
    from app.evaluation.task import Run, Task
    from labelers.protocol import Labeler

LABELERS = ("conditioned", "rectangle", "ellipse", "grabcut")
PLOT_SUFFIXES = (".png", ".svg", ".pdf")
PROTOCOLS = ("boxes", "instance", "detection", "panoptic", "semantic", "seginw")
SUITES = ("coco", "ade20k", "cityscapes", "lvis", "bdd", "scannet", "sun", "seginw")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] gt.json | --suite NAME --root DIR"
    parser.add_argument(
        "source",
        type=Path,
        nargs="?",
        metavar="gt.json",
        help="the truth: a COCO or COCO panoptic file; a folder of label PNGs for semantic; of data sets for seginw",
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the JSON)")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        default="boxes",
        help="boxes: masks from given boxes (default); the others find everything themselves. instance, detection: "
        "mask or box AP; panoptic: PQ; semantic: mIoU; seginw: mask AP of many data sets",
    )
    parser.add_argument("--suite", choices=SUITES, help="a public data set in its own layout, see docs/evaluation.md")
    parser.add_argument("--root", type=Path, metavar="DIR", help="with --suite: the folder of the data set")
    parser.add_argument("--limit", type=count, metavar="N", help="only the first N photos")
    parser.add_argument("--quick", action="store_true", help="the boxes as they are only: no jitter, no other names")
    parser.add_argument(
        "--exif", choices=("auto", "raw", "upright"), default="auto", help="the frame of the boxes of rotated photos"
    )
    truth = parser.add_argument_group("truth of panoptic and semantic")
    truth.add_argument("--panoptic-dir", type=Path, metavar="DIR", help="folder of the PNGs (default: gt/ for gt.json)")
    truth.add_argument("--stuff", type=Path, metavar="FILE", help="COCO file with stuff masks of the same photos")
    truth.add_argument("--vocab", metavar="NAMES", help="classes of label PNGs: a list, a file, or a name (ade20k-150)")
    truth.add_argument(
        "--first-label", type=int, default=0, metavar="N", help="value of their first class (default: 0)"
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
    from app.errors import UsageError

    _refuse_idle(args)
    if args.suite is not None:
        return _run_suite(args)
    if args.source is None:
        raise UsageError("name the file with the truth: openseed-label evaluate gt.json, or use --suite and --root")
    if args.protocol != "boxes":
        return _run_protocol(args)
    return _run_boxes(args)


def _refuse_idle(args: argparse.Namespace) -> None:
    """Options that would do nothing: whoever gives one expects something else. Raises UsageError."""
    from app.errors import UsageError

    asked = f"--suite {args.suite}" if args.suite is not None else f"--protocol {args.protocol}"
    maps = args.suite is None and args.protocol in ("panoptic", "semantic")
    idle = {
        "--quick": args.quick and asked != "--protocol boxes",
        "--panoptic-dir": args.panoptic_dir is not None and not maps,
        "--stuff": args.stuff is not None and not maps,
        "--vocab": args.vocab is not None and not maps,
        "--first-label": args.first_label != 0 and not maps,
        "--images": args.images is not None and args.suite is not None,
        "--prompt": bool(args.prompt) and (args.suite is not None or args.protocol == "seginw"),
        "--root": args.root is not None and args.suite is None,
    }
    for option in (name for name, given in idle.items() if given):
        raise UsageError(f"{option} does nothing with {asked}; leave it out")


def _run_suite(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.evaluation.suites import SUITES as KNOWN

    if args.root is None or args.source is not None:
        raise UsageError(f"--suite {args.suite} needs --root, the folder of the data set, and no other file")
    suite = KNOWN[args.suite]
    return _measure(args, lambda: suite.tasks(args.root), suite=suite)


def _run_protocol(args: argparse.Namespace) -> int:
    from app.evaluation.protocols import Asked, tasks_for

    asked = Asked(
        args.source,
        images=args.images,
        panoptic_dir=args.panoptic_dir,
        stuff=args.stuff,
        vocab=args.vocab,
        first_label=args.first_label,
        prompts=tuple(args.prompt),
        exif=args.exif,
    )
    return _measure(args, lambda: tasks_for(args.protocol, asked))


def _measure(args: argparse.Namespace, make_tasks: Callable[[], list[Task]], *, suite: Suite | None = None) -> int:
    """Everything but ``boxes``. The tasks keep count, so they are made anew for each labeler."""
    from app.convert.progress import bar
    from app.errors import UsageError
    from app.evaluation.resize import resize_as
    from app.evaluation.scene_table import as_json, as_text
    from app.evaluation.seginw import summarised
    from app.evaluation.task import photos_of, run_tasks

    if args.plot is not None:
        raise UsageError("--plot draws --protocol boxes only; use --json for the numbers of this one")
    averaged = suite.averaged if suite is not None else args.protocol == "seginw"
    # the default names the baselines too, and they find nothing without boxes
    names = ["conditioned"] if args.labeler == ",".join(LABELERS) else _names(args.labeler)
    runs: list[tuple[str, Run]] = []
    for name in names:
        tasks = make_tasks()
        labeler = _build(name, args)
        sized = resize_as(labeler, suite.resize) if suite is not None else ""
        with bar(total=len(photos_of(tasks, args.limit)), unit="photos", what=name, quiet=args.quiet) as progress:
            run = run_tasks(labeler, tasks, limit=args.limit, on_photo=progress.update)
        runs.append((labeler.spec.name, summarised(run) if averaged else run))
    source = str(args.root if suite is not None else args.source)
    published = suite.published if suite is not None else ()
    remarks = (sized, *suite.remarks) if suite is not None else ()
    if args.json:
        protocol = f"suite {suite.name}" if suite is not None else args.protocol
        found = as_json(runs, source=source, protocol=protocol, published=published, remarks=remarks)
        json.dump(found, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        title = suite.title if suite is not None else f"{Path(source).name}, {args.protocol}"
        sys.stdout.write(as_text(runs, title=title, classes=args.classes, published=published))
        sys.stdout.write("".join(f"{remark}\n" for remark in remarks))
    return 1 if any(run.skipped for _, run in runs) else 0


def _run_boxes(args: argparse.Namespace) -> int:
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
    return labeler_builder(args, name=name)()
