"""``openseed-label label-studio export`` and ``import``: COCO to Label Studio's JSON and back."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

_SHOWN = 20


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Writes tasks to import and, beside them, the labeling config for the project's settings.\n\nexamples:\n"
        "  openseed-label label-studio export dataset.json --url-prefix https://photos.example/train/\n"
        "  openseed-label label-studio export dataset.json --images /data/photos --local-files-root /data"
    )
    parser.add_argument("source", type=Path, metavar="dataset.json", help="a COCO file")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: dataset.tasks.json beside it")
    parser.add_argument("--images", type=Path, metavar="DIR", help="the photos, to know which are EXIF-rotated")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--url-prefix", default="", metavar="URL", help="goes before each file name: https://..., s3://..."
    )
    where.add_argument(
        "--local-files-root",
        type=Path,
        metavar="DIR",
        help="LOCAL_FILES_DOCUMENT_ROOT of Label Studio; --images must lie in it",
    )
    parser.add_argument(
        "--as",
        dest="kind",
        choices=("annotations", "predictions"),
        default="predictions",
        help="predictions wait for an annotator (default); annotations are taken as done",
    )
    parser.add_argument(
        "--shape", choices=("brush", "bitmask", "polygon"), default="brush", help="of masks (default: brush)"
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "Annotations keep the ids they were exported with; new ones get new ids.\n\nexamples:\n"
        "  openseed-label label-studio import project-1.json --base dataset.json -o corrected.json\n"
        "  openseed-label label-studio import project-1.json -o labelled.json"
    )
    parser.add_argument(
        "source", type=Path, metavar="export.json", help="what Label Studio exports as JSON (not JSON-MIN)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: export.coco.json beside it")
    parser.add_argument(
        "--base", type=Path, metavar="FILE", help="the COCO file that was exported: all else in it stays as it is"
    )
    parser.add_argument(
        "--annotations",
        choices=("latest", "all"),
        default="latest",
        help="of several of a task: the ground truth or else the newest (default), or all",
    )
    parser.add_argument("--predictions", action="store_true", help="take those of tasks that have no annotation")
    parser.add_argument("--form", choices=("auto", "polygon", "rle"), default="auto", help="of new segmentations")
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def run_export(args: argparse.Namespace) -> int:
    from app.convert.progress import bar
    from app.errors import UsageError
    from app.label_studio.coco_export import Places, export_tasks, local_files_address, prefixed_address
    from exporters.coco import CocoDocument

    output = args.output or args.source.with_name(f"{args.source.stem}.tasks.json")
    if output.resolve() == args.source.resolve():
        raise UsageError(f"{output} is the input; give another -o/--output")
    address = prefixed_address(args.url_prefix)
    if args.local_files_root is not None:
        if args.images is None:
            raise UsageError("--local-files-root needs --images DIR, the folder of the photos inside it")
        try:
            address = local_files_address(args.images, args.local_files_root)
        except ValueError as error:
            raise UsageError(f"--images {args.images} does not lie in {args.local_files_root}") from error
    with CocoDocument.open(args.source) as document:
        total = len(document.images)
        with bar(total=total, unit="images", what="exporting", quiet=args.quiet, delay=1.0) as progress:
            done = export_tasks(
                document,
                output,
                places=Places(args.images, address),
                shape=args.shape,
                kind=args.kind,
                on_image=progress.update,
            )
    if not args.quiet:
        print(
            f"{done.tasks} tasks with {done.regions} regions: {output}\nlabeling config: {output.with_suffix('.xml')}"
        )
    return _problems(done.problems)


def run_import(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.label_studio.coco_import import import_tasks, read_tasks
    from app.label_studio.coco_merge import write_merged, write_new
    from exporters.coco import CocoDocument

    output = args.output or args.source.with_name(f"{args.source.stem}.coco.json")
    if output.resolve() == args.source.resolve():
        raise UsageError(f"{output} is the input; give another -o/--output")
    done = import_tasks(read_tasks(args.source), which=args.annotations, predictions=args.predictions, form=args.form)
    if args.base is not None:
        with CocoDocument.open(args.base) as base:
            counts = write_merged(done, base, output)
    else:
        counts = write_new(done, output)
    if not args.quiet:
        told = f"{counts.kept} unchanged, {counts.changed} changed, {counts.added} new, {counts.deleted} deleted"
        print(f"{done.tasks} images, annotations: {told}\nwrote {output}")
    return _problems(done.problems)


def _problems(rows: Sequence[tuple[str, str]]) -> int:
    for what, reason in rows[:_SHOWN]:
        print(f"{what}: {reason}", file=sys.stderr)
    if len(rows) > _SHOWN:
        print(f"... and {len(rows) - _SHOWN} more", file=sys.stderr)
    return 1 if rows else 0
