"""``openseed-label project``: datasets into projects and back, and what stands in them."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.store.progress import Progress
    from app.store.projects import Project
    from app.ui.start import Wanted

_STATES = ("proposed", "accepted", "needs work", "rejected")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    importing = actions.add_parser("import", help="make a project of a COCO file or of a folder of bare photos")
    importing.add_argument("source", type=Path, metavar="SOURCE", help="dataset.json, or a folder of photos")
    importing.add_argument("--images", type=Path, metavar="DIR", help="folder of a COCO file's photos")
    importing.add_argument(
        "--names",
        action="append",
        default=[],
        metavar="NAMES",
        help='classes of bare photos: "person, sky (stuff), tv = television | monitor"; repeatable',
    )
    importing.add_argument(
        "--merge", action="store_true", help="add what is new in the file to the project that is there already"
    )
    importing.add_argument(
        "--exif",
        choices=("auto", "raw", "upright"),
        default="auto",
        help="do the boxes of rotated photos refer to the raw or to the upright photo? (default: by width and height)",
    )
    _add_place(importing)
    importing.add_argument("-q", "--quiet", action="store_true", help="errors only")

    exporting = actions.add_parser("export", help="write a project as a COCO file")
    _add_source(exporting)
    exporting.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the COCO file to write")
    exporting.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    exporting.add_argument(
        "--states",
        metavar="STATES",
        help=f"comma separated: {', '.join(_STATES)} (default: all but rejected)",
    )
    exporting.add_argument(
        "--no-provenance",
        dest="provenance",
        action="store_false",
        help='leave out the key "openseed_label" (state, author, source, score)',
    )
    exporting.add_argument("-q", "--quiet", action="store_true", help="errors only")

    status = actions.add_parser("status", help="how far a project is")
    _add_source(status)
    status.add_argument("--json", action="store_true", help="as JSON")

    listing = actions.add_parser("list", help="the projects of a database")
    listing.add_argument("source", type=Path, nargs="?", metavar="SOURCE", help="project.db, or the data beside it")
    listing.add_argument("--database", metavar="URL", help="postgresql://user@host/name")
    listing.add_argument("--json", action="store_true", help="as JSON")

    adding = actions.add_parser("add-user", help="give an annotator a password, or a new one")
    adding.add_argument("file", type=Path, metavar="FILE", help="the accounts, for `openseed-label ui --users FILE`")
    adding.add_argument("name", metavar="NAME", help="the annotator's name, as it stands in the history")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--database",
        metavar="URL",
        help="postgresql://user@host/name, or a file (default: beside the data, data.openseed.db or DIR/openseed.db)",
    )
    parser.add_argument("--project", metavar="NAME", help="which project of the database (default: the only one)")


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, nargs="?", metavar="SOURCE", help="project.db, or the data beside it")
    _add_place(parser)


def run(args: argparse.Namespace) -> int:
    """Run the action; returns the exit code."""
    actions = {"import": _import, "export": _export, "status": _status, "list": _list, "add-user": _add_user}
    return actions[args.action](args)


def _wanted(args: argparse.Namespace, **more: Any) -> Wanted:
    from app.ui.start import Wanted

    return Wanted(source=args.source, database=args.database, project=args.project, **more)


def _open(args: argparse.Namespace) -> Project:
    from app.store.database import open_database
    from app.store.projects import open_project
    from app.ui.start import place_of

    return open_project(open_database(place_of(_wanted(args)), create=False), args.project)


def _import(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.store.database import open_database
    from app.store.projects import open_project, projects
    from app.ui.start import import_data, is_project_file, name_of, place_of

    if is_project_file(args.source):
        raise UsageError(f"{args.source} is a project already; give a COCO file or a folder of photos")
    if args.merge and (args.source.is_dir() or args.images is not None or args.names):
        raise UsageError("--merge takes a COCO file; the project has its own folder of photos and its own classes")
    wanted = _wanted(args, images=args.images, names=tuple(args.names), exif=args.exif)
    place = place_of(wanted)
    notes: list[str] = []
    database = open_database(place)
    try:
        if args.merge:
            project = open_project(database, args.project)
            done = _merge(project, args.source, exif=args.exif, quiet=args.quiet, notes=notes)
        else:
            name = args.project or name_of(args.source)
            known = [record.name for record in projects(database)]
            if name in known:
                raise UsageError(
                    f"{database.url} has a project {name!r} already. To add what is new in the file: --merge. "
                    "To make another one: --project NAME"
                )
            project = import_data(database, args.source, wanted, name=name, quiet=args.quiet, say=notes.append)
            done = "imported"
        _say_imported(project, done, notes, quiet=args.quiet)
    finally:
        database.close()
    return 0


def _merge(project: Project, source: Path, *, exif: Any, quiet: bool, notes: list[str]) -> str:
    from app.convert.progress import bar
    from app.convert.sniff import refuse_other_formats
    from app.store.coco_import import merge_coco

    refuse_other_formats(source, images_json=None)
    with bar(total=source.stat().st_size, unit="B", what="reading", quiet=quiet, delay=1.0, scale=True) as progress:
        merged = merge_coco(project, source, exif=exif, on_read=progress.update, on_note=notes.append)
    return (
        f"added {merged.annotations:,} annotations, {merged.images:,} photos and {merged.categories:,} classes "
        f"({merged.known:,} annotations were there already)"
    )


def _say_imported(project: Project, done: str, notes: list[str], *, quiet: bool) -> None:
    if quiet:
        return
    from app.store.progress import progress

    found = progress(project)
    for text in notes:
        print(f"note: {text}", file=sys.stderr)
    print(
        f"project {project.name!r} in {project.database.url}: {done}; it has {found.images:,} photos, "
        f"{sum(found.states.values()):,} annotations, {len(found.classes):,} classes",
        file=sys.stderr,
    )


def _export(args: argparse.Namespace) -> int:
    from app.convert.progress import bar
    from app.errors import UsageError
    from app.store.coco_export import EXPORTED, export_coco
    from app.store.progress import progress

    states = EXPORTED if args.states is None else _states(args.states)
    if args.output.exists() and not args.overwrite:
        raise UsageError(f"{args.output} exists already; replace it with --overwrite, or choose another -o/--output")
    project = _open(args)
    try:
        total = sum(progress(project).states.values())
        with bar(total=total, unit="annotations", what="writing", quiet=args.quiet, delay=1.0) as shown:
            summary = export_coco(
                project, args.output, states=states, provenance=args.provenance, on_annotation=shown.update
            )
    finally:
        project.database.close()
    if not args.quiet:
        left = f" ({summary.left_out:,} left out because of their state)" if summary.left_out else ""
        print(
            f"wrote {args.output}: {summary.annotations:,} annotations of {summary.images:,} photos{left}",
            file=sys.stderr,
        )
    return 0


def _states(text: str) -> tuple[Any, ...]:
    from app.errors import UsageError
    from app.store.records import State

    chosen = [part.strip() for part in text.split(",") if part.strip()]
    wrong = [part for part in chosen if part not in _STATES]
    if wrong or not chosen:
        raise UsageError(f"--states {text!r}: choose from {', '.join(_STATES)}, with commas between them")
    return tuple(State(part) for part in chosen)


def _status(args: argparse.Namespace) -> int:
    from app.store.progress import progress

    project = _open(args)
    try:
        found = progress(project)
    finally:
        project.database.close()
    if args.json:
        json.dump(_as_json(project, found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        print("\n".join(_in_words(project, found)))
    return 0


def _as_json(project: Project, found: Progress) -> dict[str, Any]:
    import dataclasses

    return {"project": project.name, "database": project.database.url, **dataclasses.asdict(found)}


def _in_words(project: Project, found: Progress) -> list[str]:
    lines = [f"project {project.name!r} in {project.database.url}, photos in {project.images_root}"]
    lines.append(f"{found.images_done:,} of {found.images:,} photos done; {sum(found.states.values()):,} annotations")
    lines += [f"  {count:>9,}  {state}" for state, count in found.states.items()]
    if found.annotators:
        lines.append("annotators:")
    lines += [
        f"  {one.name}: {one.accepted:,} accepted, {one.rejected:,} rejected, {one.needs_work:,} need work, "
        f"{one.edited:,} acts of editing"
        for one in found.annotators
    ]
    if found.classes:
        lines.append("classes:")
    lines += [f"  {sum(one.states.values()):>9,}  {one.name}" for one in found.classes]
    return lines


def _list(args: argparse.Namespace) -> int:
    from app.store.database import open_database
    from app.store.projects import projects
    from app.ui.start import Wanted, place_of

    database = open_database(place_of(Wanted(source=args.source, database=args.database)), create=False)
    try:
        found = projects(database)
    finally:
        database.close()
    if args.json:
        rows = [{"name": one.name, "images": one.images_root, "source": one.source} for one in found]
        json.dump(rows, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for one in found:
            print(f"{one.name}  (photos in {one.images_root}, from {one.source or 'bare photos'})")
    return 0


def _add_user(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.ui.passwords import add_user, name_problem

    problem = name_problem(args.name)  # before somebody types a password for nothing
    if problem is not None:
        raise UsageError(f"the name {args.name!r} {problem}")
    if sys.stdin.isatty():
        password = getpass.getpass(f"Password for {args.name}: ")
        if getpass.getpass("Again: ") != password:
            raise UsageError("the two passwords differ; nothing was changed")
    else:  # from a pipe or a file, never from the command line, which others can see
        password = sys.stdin.readline().rstrip("\n")
    new = add_user(args.file, args.name, password)
    print(f"{args.file}: {args.name} {'was added' if new else 'has a new password'}", file=sys.stderr)
    return 0
