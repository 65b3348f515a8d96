"""``openseed-label convert-boxes``: options in, exit code out. The work is in ``app.convert``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.convert.settings import Settings
    from labelers.protocol import Labeler
    from labelers.remote import RemoteFolder

_MOST_PARTS = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] dataset.json | project.db"
    parser.add_argument(
        "source",
        type=place,
        nargs="?",
        metavar="dataset.json",
        help="COCO file with boxes and class names, here or by URL (s3://, gs://, https://); or a project, which is "
        "converted in place",
    )

    files = parser.add_argument_group("files")
    files.add_argument(
        "--images", type=place, metavar="DIR", help="folder of the photos, or its URL (default: beside the JSON)"
    )
    files.add_argument(
        "-o", "--output", type=place, metavar="FILE", help="where to write, or a URL (default: dataset.masks.json)"
    )
    files.add_argument("--database", metavar="URL", help="a project in postgresql://user@host/name, or in a file")
    files.add_argument("--project", metavar="NAME", help="which project of the database (default: the only one)")
    files.add_argument("--in-place", action="store_true", help="replace the input file, once everything is done")
    files.add_argument("--overwrite", action="store_true", help="replace an existing output and start from nothing")
    files.add_argument(
        "--images-json",
        type=place,
        metavar="FILE",
        help="the input is a list of detections ([{image_id, category_id, bbox, score}]); FILE has the images",
    )
    files.add_argument("--report", type=Path, metavar="FILE", help="also write a page of thumbnails, worst score first")

    add_labeler_arguments(parser)

    what = parser.add_argument_group("what to convert")
    what.add_argument("--redo", action="store_true", help="make existing masks anew (default: they are kept)")
    what.add_argument(
        "--categories",
        action="append",
        default=[],
        metavar="NAMES",
        help="only these classes, comma separated; repeatable",
    )
    what.add_argument("--limit", type=count, metavar="N", help="only the first N photos that have something to convert")
    what.add_argument(
        "--part",
        type=_part,
        metavar="K/N",
        help="only the K-th of N parts, for one of several machines; keeps its results in a journal beside the output",
    )
    what.add_argument(
        "--merge",
        type=count,
        metavar="N",
        help="write the output from the journals of all N parts; nothing is labelled",
    )
    what.add_argument("--dry-run", action="store_true", help="check the boxes and photos, write nothing")
    what.add_argument(
        "--exif",
        choices=("auto", "raw", "upright"),
        default="auto",
        help="do the boxes of rotated photos refer to the raw or to the upright photo? (default: by width and height)",
    )

    masks = parser.add_argument_group("masks")
    masks.add_argument(
        "--format",
        dest="form",
        choices=("auto", "polygon", "rle"),
        default="auto",
        help="auto: polygons, or RLE for masks with holes (default)",
    )
    masks.add_argument("--simplify", type=_amount, default=0.0, metavar="PX", help="let polygons deviate by this much")
    masks.add_argument("--clip-to-box", action="store_true", help="cut masks to their box")
    masks.add_argument(
        "--margin",
        type=_amount,
        metavar="F",
        help="with --clip-to-box: grow the box first, by this fraction of its size",
    )
    masks.add_argument(
        "--overlap",
        choices=("keep", "argmax"),
        default="keep",
        help="keep: new masks may overlap (default); argmax: the higher score takes the pixel",
    )
    masks.add_argument(
        "--tighten", action="store_true", help="set bbox to the mask's own box (the old one stays in provenance)"
    )
    masks.add_argument(
        "--no-provenance",
        dest="provenance",
        action="store_false",
        help='leave out the key "openseed_label" (score, labeler)',
    )

    add_engine_arguments(parser)

    talk = parser.add_argument_group("messages")
    talk.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    talk.add_argument("-q", "--quiet", action="store_true", help="errors only")
    talk.add_argument("-v", "--verbose", action="store_true", help="list every problem and note")


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose where the work is done."""
    group = parser.add_argument_group("where the work is done (docs/scale.md)")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: this process (default); ray: several workers, here or on a Ray cluster. The masks are the same",
    )
    group.add_argument(
        "--ray-address", metavar="ADDR", help="host:port of the cluster's head, or auto (default: this machine)"
    )
    group.add_argument(
        "--workers", type=count, metavar="N", help="each loads the model once (default: one per GPU, or per machine)"
    )
    group.add_argument(
        "--gpus-per-worker",
        type=_amount,
        metavar="F",
        help="0.5: two share a GPU (default: 1, if there is any)",
    )


def add_labeler_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The options that choose who makes the masks; shared with ``evaluate`` and ``example``."""
    from labelers.build import RUNTIMES

    group = parser.add_argument_group("labeler")
    if several:
        group.add_argument(
            "--labeler",
            default="conditioned,rectangle,ellipse,grabcut",
            metavar="NAMES",
            help="comma separated: conditioned, rectangle, ellipse, grabcut (default: all)",
        )
    else:
        group.add_argument(
            "--labeler",
            choices=("conditioned", "grabcut", "rectangle"),
            default="conditioned",
            help="conditioned: the model (default); the others are baselines without one",
        )
    group.add_argument(
        "--model", default="nano", metavar="NAME", help="see `openseed-label models list` (default: nano)"
    )
    group.add_argument("--weights", type=Path, metavar="FILE", help="weights of your own for the model")
    group.add_argument("--device", default="auto", metavar="DEV", help="auto, cpu, cuda, cuda:1 (default: auto)")
    group.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=RUNTIMES[0],
        help="who computes the model on the CPU: torch (default); openvino: faster, the same masks but for rounding; "
        "openvino-int8: faster still, slightly other masks (docs/runtimes.md)",
    )
    group.add_argument(
        "--mirror",
        action="store_true",
        help="average each mask with that of the mirror image: a little better, half as long again",
    )
    group.add_argument(
        "--batch-size",
        type=count,
        metavar="N",
        help="boxes decoded at once; fewer need less memory, and may change masks by rounding",
    )
    group.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar='"CATEGORY=TEXT"',
        help='what to call a class for the model; "tv=television | monitor" averages two texts; repeatable',
    )


def labeler_builder(args: argparse.Namespace, *, name: str | None = None) -> Callable[[], Labeler]:
    """What ``add_labeler_arguments`` declared, built when it is called: servers do that in the background.

    ``name``: one of several labelers, in place of ``args.labeler``.
    """

    def build() -> Labeler:
        from app.convert.conversion import build as build_labeler

        return build_labeler(
            name or args.labeler,
            model=args.model,
            weights=args.weights,
            device=args.device,
            batch_size=args.batch_size,
            mirror=args.mirror,
            runtime=args.runtime,
        )

    return build


def labeler_options(args: argparse.Namespace) -> dict[str, Any]:
    """What ``add_labeler_arguments`` declared, as arguments of ``Settings.of``."""
    return {
        "labeler": args.labeler,
        "model": args.model,
        "weights": args.weights,
        "device": args.device,
        "batch_size": args.batch_size,
        "mirror": args.mirror,
        "runtime": args.runtime,
        "prompts": tuple(args.prompt),
    }


def run(args: argparse.Namespace) -> int:
    from app.cli import convert_project
    from app.convert import check, convert
    from app.convert.summary import print_summary
    from app.errors import UsageError

    _check_pairs(args)
    if convert_project.wants_project(args):
        if args.engine != "local":
            raise UsageError("--engine ray converts COCO files; leave it out to convert a project")
        _check_project(args)
        return convert_project.run(args)
    from app.convert.transfer import staged

    _check_places(args)
    here = {name: getattr(args, name) for name in ("source", "output", "images_json", "images")}
    with staged(**here, overwrite=args.overwrite) as files:
        for name in here:
            setattr(args, name, getattr(files, name))
        settings = settings_from(args)
        summary = check(settings, quiet=args.quiet) if args.dry_run else convert(settings, quiet=args.quiet)
        summary = files.delivered(summary, part=args.part is not None)
    print_summary(summary, as_json=args.json, quiet=args.quiet, verbose=args.verbose, out=sys.stdout, err=sys.stderr)
    return summary.exit_code


def _check_places(args: argparse.Namespace) -> None:
    """Raises UsageError: no input, or ``--in-place`` with a URL."""
    from app.errors import UsageError

    if args.source is None:
        raise UsageError("what is to be converted? Give a COCO file, or a project (project.db, --database URL)")
    if args.in_place and not isinstance(args.source, Path):
        raise UsageError(f"--in-place replaces files of this machine; give -o/--output for {args.source}")


def _check_project(args: argparse.Namespace) -> None:
    """What only COCO files can have. Raises UsageError."""
    from app.errors import UsageError

    for name in ("source", "output", "images", "images_json"):
        if not isinstance(getattr(args, name), Path | None):
            raise UsageError(f"{getattr(args, name)}: a project takes files of this machine; download them first")
    if args.part is not None or args.merge is not None:
        raise UsageError("--part and --merge convert COCO files; leave them out to convert a project")


def settings_from(args: argparse.Namespace) -> Settings:
    """Check the options against each other and fill in the default paths. Raises UsageError."""
    from app.convert.settings import Settings
    from app.convert.sniff import refuse_other_formats
    from app.errors import UsageError

    _check_pairs(args)
    if args.in_place and args.output:
        raise UsageError("--in-place and --output exclude each other; choose one")
    if args.in_place and args.images_json:
        raise UsageError(
            "--in-place can't be used with --images-json (a list of detections becomes a COCO file); use --output"
        )
    refuse_other_formats(args.source, images_json=args.images_json)
    return Settings.of(
        source=args.source,
        images=args.images,
        output=args.output,
        in_place=args.in_place,
        overwrite=args.overwrite,
        images_json=args.images_json,
        report=args.report,
        **labeler_options(args),
        redo=args.redo,
        categories=tuple(args.categories),
        limit=args.limit,
        part=args.part,
        merge=args.merge,
        exif=args.exif,
        form=args.form,
        simplify=args.simplify,
        clip=args.clip_to_box,
        margin=args.margin or 0.0,
        overlap=args.overlap,
        tighten=args.tighten,
        provenance=args.provenance,
        **engine_options(args),
    )


def _check_pairs(args: argparse.Namespace) -> None:
    """Options that exclude each other whatever is converted. Raises UsageError."""
    from app.errors import UsageError

    if args.margin is not None and not args.clip_to_box:
        raise UsageError("--margin only makes sense with --clip-to-box; add it, or leave --margin out")
    check_engine(args)
    if args.part is not None and args.report is not None:
        raise UsageError("--report shows the whole; give it with --merge, and not with --part")
    if args.merge is not None and args.dry_run:
        raise UsageError("--merge labels nothing that could be checked before; leave --dry-run out")
    if args.quiet and args.verbose:
        raise UsageError("--quiet and --verbose exclude each other; choose one")


def check_engine(args: argparse.Namespace) -> None:
    """What ``add_engine_arguments`` declared. Raises UsageError."""
    from app.errors import UsageError

    for name in ("ray_address", "workers", "gpus_per_worker"):
        if args.engine == "local" and getattr(args, name) is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} only makes sense with --engine ray; add it, or leave {option} out")


def engine_options(args: argparse.Namespace) -> dict[str, Any]:
    """What ``add_engine_arguments`` declared, as arguments of ``Settings.of``."""
    return {name: getattr(args, name) for name in ("engine", "ray_address", "workers", "gpus_per_worker")}


def place(text: str) -> Path | RemoteFolder:
    """A path, or what is there by URL, for argparse."""
    from labelers.remote import RemoteError
    from labelers.remote import place as found

    try:
        return found(text)
    except RemoteError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _part(text: str) -> tuple[int, int]:
    number, slash, total = text.partition("/")
    if not (slash and number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total) <= _MOST_PARTS):
        raise argparse.ArgumentTypeError(f"{text!r}: write 3/10 for the third of ten parts")
    return int(number), int(total)


def share(text: str) -> float:
    """A number from 0 to 1, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return number


def _amount(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 0 or more")
    return number
