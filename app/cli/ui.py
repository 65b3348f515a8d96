"""``openseed-label ui``: options in, a page in the browser out. The work is in ``app.ui``."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from app.cli.convert_boxes import add_labeler_arguments, labeler_builder

if TYPE_CHECKING:
    from app.store.projects import Project
    from app.ui.passwords import Accounts
    from app.ui.settings import UiSettings

DEFAULT_PORT = 7860
PORTS_TRIED = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [options] [dataset.json | DIR | project.db]"
    parser.add_argument(
        "source",
        type=Path,
        nargs="?",
        metavar="SOURCE",
        help="a COCO file, a folder of bare photos, or a project file; "
        "the project is kept beside it (dataset.openseed.db, DIR/openseed.db) and opened again next time",
    )
    data = parser.add_argument_group("data")
    data.add_argument("--images", type=Path, metavar="DIR", help="folder of a COCO file's photos (default: beside it)")
    data.add_argument(
        "--names",
        action="append",
        default=[],
        metavar="NAMES",
        help='classes of bare photos: "person, sky (stuff), tv = television | monitor"; repeatable',
    )
    data.add_argument("--database", metavar="URL", help="keep the project in postgresql+psycopg://user@host/name")
    data.add_argument("--project", metavar="NAME", help="which project of the database (default: the only one)")

    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    server.add_argument("--port", type=port_number, metavar="N", help="default: 7860, or the next free one")
    server.add_argument("--no-browser", action="store_true", help="don't open a browser")
    server.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a host name by which browsers call this server; repeatable",
    )
    server.add_argument(
        "--https-cookies", action="store_true", help="a TLS proxy stands in front: send cookies over https only"
    )

    people = parser.add_argument_group("people")
    people.add_argument("--annotator", metavar="NAME", help="your name in the history (default: your login name)")
    people.add_argument(
        "--users",
        type=Path,
        metavar="FILE",
        help="accounts, made by `openseed-label project add-user FILE NAME`; "
        "or set OPENSEED_LABEL_PASSWORD to one password for all",
    )
    add_labeler_arguments(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="errors only")


def run(args: argparse.Namespace) -> int:
    from app.serving.listen import listen, url_of
    from app.serving.run import serve
    from app.ui.app import build_app
    from app.ui.start import Wanted, find_project, place_of

    wanted = Wanted(
        source=args.source,
        images=args.images,
        names=tuple(args.names),
        database=args.database,
        project=args.project,
    )

    def say(text: str) -> None:
        if not args.quiet:
            print(text, file=sys.stderr, flush=True)

    place_of(wanted)  # before the port: a wrong path is the more likely mistake
    accounts = _accounts(args)
    ports = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED) if args.port is None else [args.port]
    opened = listen(args.host, ports)
    uploads = tempfile.TemporaryDirectory(prefix="openseed-label-uploads-", ignore_cleanup_errors=True)
    try:
        project = find_project(wanted, quiet=args.quiet, say=say)
        settings = _settings(args, project, accounts)
        port = opened.getsockname()[1]
        url = url_of(args.host, port, https=args.https_cookies)
        say(f"project {project.name!r} in {project.database.url}")
        _set_prompts(project, args.prompt)
        _warn(args, settings, port)
        # both are read when Gradio is imported; its own folder for uploads is one for all programs and never emptied
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = uploads.name
        app = build_app(project, labeler_builder(args), settings)

        def ready() -> None:
            say(f"Label at {url}   (Ctrl+C stops; everything is saved as you do it)")
            if not args.no_browser and _has_browser():
                import webbrowser

                webbrowser.open(url)

        try:
            serve(app, opened, on_ready=ready, behind_proxy=settings.https_cookies)
        except KeyboardInterrupt:
            say("\nStopped. Everything that was done is saved.")
        finally:
            project.database.close()
    finally:
        uploads.cleanup()
        opened.close()
    return 0


def _settings(args: argparse.Namespace, project: Project, accounts: Accounts | None) -> UiSettings:
    from app.ui.secret import session_key, state_file
    from app.ui.settings import UiSettings

    return UiSettings(
        key=session_key(state_file(project, "session-key")),
        revoked=state_file(project, "sessions"),
        accounts=accounts,
        annotator=_annotator(args.annotator),
        host=args.host,
        allowed_hosts=tuple(args.allow_host),
        https_cookies=args.https_cookies,
        model_name=args.model if args.labeler == "conditioned" else args.labeler,
    )


def _set_prompts(project: Project, prompts: list[str]) -> None:
    """``--prompt`` becomes the synonyms of the project's class, so that it is there the next time too."""
    from app.errors import UsageError
    from app.store.projects import categories, set_synonyms
    from labelers.vocabulary import parse_line

    for text in prompts:
        entry = parse_line(text)
        found = [category for category in categories(project) if category.name == entry.name]
        if not found:
            known = ", ".join(category.name for category in categories(project)[:20])
            raise UsageError(f"--prompt: there is no class {entry.name!r} in the project; it has {known or 'none'}")
        for category in found:
            set_synonyms(project, category.id, entry.prompts)


def _accounts(args: argparse.Namespace) -> Accounts | None:
    """Who may log in. Raises UsageError: others can reach the server, and there is no password."""
    from app.errors import UsageError
    from app.serving.listen import is_loopback
    from app.ui.passwords import PASSWORD_VARIABLE, SharedPassword, UsersFile

    if args.users is not None:
        return UsersFile.read(args.users)
    password = os.environ.get(PASSWORD_VARIABLE, "")
    if password:
        return SharedPassword.of(password)
    if not is_loopback(args.host):
        raise UsageError(
            f"others can reach {args.host}, so passwords are needed: --users FILE "
            f"(make it with `openseed-label project add-user FILE NAME`), or set {PASSWORD_VARIABLE}"
        )
    return None


def _annotator(given: str | None) -> str:
    """``--annotator``, or who is logged in to this machine. Raises UsageError."""
    from app.errors import UsageError
    from app.ui.passwords import name_problem

    try:
        name = given if given is not None else getpass.getuser()
    except (OSError, KeyError):  # a container without a user
        name = "annotator"
    problem = name_problem(name)
    if problem is not None:
        raise UsageError(f"--annotator {name!r} {problem}")
    return name


def _warn(args: argparse.Namespace, settings: UiSettings, port: int) -> None:
    """What the user should know even with --quiet: who can reach the server, and who can listen in."""
    from app.serving.listen import is_loopback

    if not is_loopback(settings.host):
        print(f"warning: other machines can reach this server on {settings.host}", file=sys.stderr)
        if not settings.https_cookies:
            print(
                "warning: the traffic is plain HTTP, passwords and photos can be read on the way; "
                "put a TLS proxy in front and start with --https-cookies",
                file=sys.stderr,
            )
    if args.port is None and port != DEFAULT_PORT and not args.quiet:
        print(f"port {DEFAULT_PORT} is taken; using {port}", file=sys.stderr)


def _has_browser() -> bool:
    """Is there a screen to open one on? A text browser would take over the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def port_number(text: str) -> int:
    """For argparse."""
    number = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 1 to 65535")
    return number
