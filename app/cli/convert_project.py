"""``convert-boxes`` with a project in it: which one, made from what, kept where. The work is in ``app.convert``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import UsageError

if TYPE_CHECKING:
    from app.convert.settings import Settings
    from app.store.database import Database
    from app.store.projects import Project

_PROJECT_SUFFIXES = (".db", ".sqlite", ".sqlite3")


def wants_project(args: argparse.Namespace) -> bool:
    """Whether the command line names a project: as its input, as its output, or by a database."""
    named = (args.source, args.output)
    return (
        args.database is not None
        or args.project is not None
        or any(_is_project(path) for path in named if isinstance(path, Path))
    )


def run(args: argparse.Namespace) -> int:
    """Import if need be, convert in place, export if asked; returns the exit code."""
    from app.convert.conversion import labeler_of
    from app.convert.project import check_project, convert_project
    from app.convert.summary import print_summary
    from app.store.database import open_database

    _refuse(args)
    settings = settings_from(args)
    target = _export_target(args)
    database = open_database(_place(args), create=not _is_input(args))
    try:
        project = _project(database, args)
        if args.dry_run:
            summary = check_project(project, settings, quiet=args.quiet)
        else:
            summary = convert_project(
                project, settings, labeler_of(settings), quiet=args.quiet, on_wait=lambda text: _say(text, args.quiet)
            )
            if target is not None:
                _export(project, target, provenance=args.provenance, quiet=args.quiet)
    finally:
        database.close()
    print_summary(summary, as_json=args.json, quiet=args.quiet, verbose=args.verbose, out=sys.stdout, err=sys.stderr)
    return summary.exit_code


def settings_from(args: argparse.Namespace) -> Settings:
    """The options that concern masks; the paths among the settings are not used for a project."""
    from app.cli.convert_boxes import labeler_options
    from app.convert.settings import Settings

    for name in ("images", "weights"):
        path = getattr(args, name)
        if path is not None and not path.exists():
            raise UsageError(f"--{name} {path}: no such file or folder; check the path")
    if args.images is not None and not args.images.is_dir():
        raise UsageError(f"--images {args.images} is not a folder; give the folder that holds the photos")
    source = args.source or Path(args.project or "project")
    return Settings(
        source=source,
        output=args.output or source,
        images=args.images,
        **labeler_options(args),
        redo=args.redo,
        categories=tuple(args.categories),
        limit=args.limit,
        form=args.form,
        simplify=args.simplify,
        clip=args.clip_to_box,
        margin=args.margin or 0.0,
        overlap=args.overlap,
        tighten=args.tighten,
        provenance=args.provenance,
    )


def _is_project(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in _PROJECT_SUFFIXES or suffix == ".json" or not path.is_file():
        return suffix in _PROJECT_SUFFIXES
    from app.store.database import is_database_file  # takes a moment, which most command lines needn't wait for

    return is_database_file(path)


def _is_input(args: argparse.Namespace) -> bool:
    """Whether the project is there already, rather than to be made of a COCO file."""
    return args.source is None or _is_project(args.source)


def _refuse(args: argparse.Namespace) -> None:
    """What makes no sense with a project. Raises UsageError."""
    given_project = args.source is not None and _is_project(args.source)
    if args.source is None and args.database is None:
        raise UsageError("what is to be converted? Give a COCO file, a project file, or --database URL")
    if given_project and args.database is not None:
        raise UsageError(f"{args.source} is a project, and --database names another place; give one of them")
    if given_project and args.output is not None and _is_project(args.output):
        raise UsageError("a project is converted in place; -o/--output takes a COCO file to export it to")
    if not _is_input(args) and args.output is not None and _is_project(args.output) and args.database is not None:
        raise UsageError(f"-o {args.output} and --database both say where the project goes; give one of them")
    if not _is_input(args) and args.database is None and (args.output is None or not _is_project(args.output)):
        raise UsageError("--project needs a project: -o project.db, or --database URL")
    if args.images_json is not None:
        raise UsageError("--images-json does not go into a project; convert the detections to a COCO file first")
    if args.report is not None:
        raise UsageError("--report is made from COCO files; export the project, or look at it with `openseed-label ui`")
    if args.in_place and not _is_input(args):
        raise UsageError("--in-place and a project exclude each other; leave it out")
    if _is_input(args) and args.exif != "auto":
        raise UsageError("--exif is decided when a file is imported: openseed-label project import FILE --exif ...")
    if not _is_input(args):
        from app.convert.sniff import refuse_other_formats

        refuse_other_formats(args.source)


def _place(args: argparse.Namespace) -> str | Path:
    if args.database is not None:
        return str(args.database)
    place: Path = args.source if _is_project(args.source) else args.output
    return place


def _export_target(args: argparse.Namespace) -> Path | None:
    """The COCO file to write in the end. Raises UsageError: it would replace something."""
    output: Path | None = args.output
    if output is None or _is_project(output):
        if args.overwrite:
            raise UsageError("a project is never overwritten; --overwrite is for the COCO file of -o/--output")
        return None
    if args.source is not None and output.resolve() == args.source.resolve():
        raise UsageError(f"{output} is the input; give another -o/--output")
    if output.is_dir() or not output.resolve().parent.is_dir():
        raise UsageError(f"{output} can't be a file here; give the name of a file in a folder that exists")
    if output.exists() and not args.overwrite:
        raise UsageError(f"{output} exists already; replace it with --overwrite, or choose another -o/--output")
    return output


def _project(database: Database, args: argparse.Namespace) -> Project:
    """Open the project, or import the COCO file into a new one; a run that was interrupted finds its own again."""
    from app.convert.digest import sha256
    from app.store.projects import open_project, projects
    from app.ui.start import Wanted, import_data, name_of

    if _is_input(args):
        return open_project(database, args.project)
    digest = sha256(args.source)
    name = args.project or name_of(args.source)
    known = {record.name: record.source_sha256 for record in projects(database)}
    if name in known:
        if known[name] == digest:
            return open_project(database, name)
        raise UsageError(
            f"{database.url} has a project {name!r} of another file. To add what is new: openseed-label project "
            f"import {args.source} --merge --database {database.url} --project {name}. "
            "To make another one: --project NAME"
        )
    wanted = Wanted(source=args.source, images=args.images, exif=args.exif)
    return import_data(
        database, args.source, wanted, name=name, quiet=args.quiet, say=lambda text: _say(text, args.quiet)
    )


def _export(project: Project, target: Path, *, provenance: bool, quiet: bool) -> None:
    from app.store.coco_export import export_coco

    summary = export_coco(project, target, provenance=provenance)
    _say(f"wrote {target}: {summary.annotations:,} annotations of {summary.images:,} photos", quiet)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
