"""``openseed-label label-studio push``: a whole project, however large."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.convert_boxes import add_labeler_arguments, count

if TYPE_CHECKING:
    from app.label_studio.push import Pushed

URL_VARIABLES = ("LABEL_STUDIO_URL", "LABEL_STUDIO_HOST")
KEY_VARIABLES = ("LABEL_STUDIO_API_KEY", "LABEL_STUDIO_ACCESS_TOKEN")
_SHOWN = 20


def add_push_arguments(parser: argparse.ArgumentParser) -> None:
    from app.cli.label_studio import add_answer_arguments

    parser.epilog = (
        "Tasks that have a prediction of the present model, settings and labels are skipped,\n"
        "so the same command goes on where it was stopped.\n\nexamples:\n"
        "  openseed-label label-studio push --project 7 --label-studio http://localhost:8080\n"
        "  openseed-label label-studio push --project 7 --shape polygon --limit 100"
    )
    parser.add_argument(
        "--project", type=count, required=True, metavar="N", help="number of the project (in its address)"
    )
    add_place_arguments(parser)
    parser.add_argument("--limit", type=count, metavar="N", help="label so many tasks at most")
    parser.add_argument(
        "--tasks-at-once", type=count, default=8, metavar="N", help="tasks between imports (default: 8)"
    )
    parser.add_argument("--dry-run", action="store_true", help="predict, but import nothing")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="as of the backend")
    add_answer_arguments(parser)
    add_labeler_arguments(parser)
    parser.add_argument("--json", action="store_true", help="summary as JSON on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def add_place_arguments(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """Where Label Studio is, and the token; shared with ``doctor``."""
    group = parser.add_argument_group("Label Studio")
    group.add_argument(
        "--label-studio", metavar="URL", required=required, help=f"its address (default: {URL_VARIABLES[0]})"
    )
    group.add_argument(
        "--token",
        metavar="TOKEN",
        help=f"personal access token; others on this machine can read command lines, so better: {KEY_VARIABLES[0]}",
    )
    group.add_argument("--token-file", type=Path, metavar="FILE", help="a file that holds the token")


def url_and_token(args: argparse.Namespace) -> tuple[str, str]:
    """What the options, or else the environment, say. Raises UsageError."""
    from app.errors import UsageError
    from app.label_studio.tokens import origin_of

    url = args.label_studio or first_of(URL_VARIABLES)
    if not url:
        raise UsageError(f"where is Label Studio? Give --label-studio URL or set {URL_VARIABLES[0]}")
    if origin_of(url) is None:
        raise UsageError(f"{url!r} is no address of a Label Studio; write http://HOST:PORT")
    token = args.token or (args.token_file.read_text().strip() if args.token_file else first_of(KEY_VARIABLES))
    if not token:
        raise UsageError(
            f"a token is needed: set {KEY_VARIABLES[0]} to a personal access token "
            "(Label Studio, Account & Settings, Personal Access Token), or give --token-file FILE"
        )
    if any(not 33 <= ord(letter) < 127 for letter in token):
        raise UsageError("the token holds spaces or other odd characters; copy it again")
    return url.rstrip("/"), token


def first_of(variables: tuple[str, ...]) -> str | None:
    """The first of these environment variables that is set."""
    return next((value for name in variables if (value := os.environ.get(name, "").strip())), None)


def run_push(args: argparse.Namespace) -> int:
    from app.cli.label_studio import answering_of, labeler_factory
    from app.convert.progress import bar
    from app.label_studio.client import Client
    from app.label_studio.engine import Engine
    from app.label_studio.push import push
    from app.label_studio.settings import Access, BackendSettings

    url, token = url_and_token(args)
    name, build = labeler_factory(args)
    settings = BackendSettings(
        answering=answering_of(args),
        access=Access(url=url, api_key=token, allowed_hosts=tuple(args.allow_host)),
        model_wait=3600.0,
        # nothing is asked twice here, so nothing needs to be kept
        opened_photos=3,
        answer_bytes=0,
    )
    engine = Engine(build, identity=name, settings=settings)
    try:
        with Client(url, token) as client, bar(total=0, unit="tasks", what="predicting", quiet=args.quiet) as progress:
            client.project(args.project)  # a wrong token is the more likely mistake: before the model is loaded
            engine.start()

            def begin(total: int) -> None:
                progress.total = total
                progress.refresh()

            done = push(
                client,
                args.project,
                engine,
                limit=args.limit,
                batch=args.tasks_at_once,
                dry_run=args.dry_run,
                on_start=begin,
                on_tasks=progress.update,
            )
    finally:
        engine.close()
    _report(done, args)
    return done.exit_code


def _report(done: Pushed, args: argparse.Namespace) -> None:
    if args.json:
        print(json.dumps(summary(done), indent=2))
        return
    verb = "would get" if args.dry_run else "got"
    print(f"{done.predicted} tasks {verb} a prediction with {done.regions} regions, {done.skipped} had one already")
    if done.unasked:
        print(f"{done.unasked} have no boxes, and this model finds no objects by itself")
    print(f"model version: {done.model_version}")
    for title, rows in (("without a prediction", done.failed), ("left out of a prediction", done.problems)):
        if rows:
            print(f"{len(rows)} {title}:", file=sys.stderr)
        for task, reason in rows[:_SHOWN]:
            print(f"  task {task}: {reason}", file=sys.stderr)
        if len(rows) > _SHOWN:
            print(f"  ... and {len(rows) - _SHOWN} more (--json lists all)", file=sys.stderr)


def summary(done: Pushed) -> dict[str, Any]:
    """For programs."""
    listed = {
        name: [{"task": task, "reason": reason} for task, reason in rows]
        for name, rows in (("failed", done.failed), ("problems", done.problems))
    }
    return {
        "model_version": done.model_version,
        "predicted": done.predicted,
        "skipped": done.skipped,
        "without_boxes": done.unasked,
        "regions": done.regions,
        **listed,
    }
