"""``openseed-label label-studio``: the ML backend, and its subcommands. The work is in ``app.label_studio``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from app.cli.convert_boxes import add_labeler_arguments, count, labeler_builder
from app.cli.label_studio_convert import add_export_arguments, add_import_arguments, run_export, run_import
from app.cli.label_studio_push import KEY_VARIABLES, URL_VARIABLES, add_push_arguments, first_of, run_push
from app.cli.ui import port_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.label_studio.settings import Answering, BackendSettings
    from labelers.protocol import Labeler

DEFAULT_PORT = 9090
AUTH_VARIABLES = (
    ("BASIC_AUTH_USER", "BASIC_AUTH_PASS"),
    ("ML_SERVER_BASIC_AUTH_USER", "ML_SERVER_BASIC_AUTH_PASS"),
)
ENVIRONMENT = f"""\
environment:
  {URL_VARIABLES[0]}        address of Label Studio, for --label-studio
  {KEY_VARIABLES[0]}    personal access token (or legacy token) of a Label Studio account
  {AUTH_VARIABLES[0][0]}, {AUTH_VARIABLES[0][1]}  what Label Studio has to send to this backend"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s [push | import | export] [options]"
    parser.epilog = f"{parser.epilog}\n\n{ENVIRONMENT}"
    server = parser.add_argument_group("server")
    server.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    server.add_argument("--port", type=port_number, default=DEFAULT_PORT, metavar="N", help="default: 9090")
    server.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default="info")
    server.add_argument(
        "--log-format", choices=("text", "json"), help="default: text on a terminal, else one JSON object a line"
    )
    photos = parser.add_argument_group("photos")
    photos.add_argument(
        "--label-studio",
        metavar="URL",
        help=f"address of Label Studio (default: {URL_VARIABLES[0]}, or as it says itself)",
    )
    photos.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another host that photos are fetched from: name, name:port or *.suffix; repeatable",
    )
    photos.add_argument("--max-photo-mb", type=count, default=100, metavar="N", help="of one photo file (default: 100)")
    add_answer_arguments(parser)
    parser.add_argument(
        "--predict-new-tasks",
        action="store_true",
        help="label tasks as they are created; needs a token (LABEL_STUDIO_API_KEY)",
    )
    add_labeler_arguments(parser)
    commands = parser.add_subparsers(dest="action", metavar="")
    form: dict[str, Any] = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
    add_push_arguments(commands.add_parser("push", help="pre-annotate a whole project through the API", **form))
    add_import_arguments(commands.add_parser("import", help="Label Studio JSON -> COCO", **form))
    add_export_arguments(commands.add_parser("export", help="COCO -> Label Studio JSON", **form))


def add_answer_arguments(parser: argparse.ArgumentParser) -> None:
    """What masks become; shared with ``push``."""
    group = parser.add_argument_group("answers")
    group.add_argument(
        "--shape",
        choices=("auto", "brush", "bitmask", "polygon"),
        default="auto",
        help="auto: the first of BrushLabels, BitmaskLabels, PolygonLabels that has the label (default)",
    )
    group.add_argument(
        "--simplify", type=_amount, default=1.0, metavar="PX", help="how far a polygon may stray (default: 1)"
    )
    group.add_argument(
        "--max-points", type=count, default=400, metavar="N", help="corners of a polygon at most (default: 400)"
    )
    group.add_argument(
        "--score-threshold", type=_share, default=0.0, metavar="S", help="leave out masks with a lower score"
    )
    group.add_argument(
        "--no-propose", action="store_true", help="tasks without boxes stay empty even if the model can find objects"
    )


def answering_of(args: argparse.Namespace) -> Answering:
    """What ``add_answer_arguments`` declared."""
    from app.label_studio.settings import Answering

    return Answering(
        shape=args.shape,
        simplify=args.simplify,
        max_points=max(args.max_points, 4),
        threshold=args.score_threshold,
        propose=not args.no_propose,
    )


def labeler_factory(args: argparse.Namespace) -> tuple[str, Callable[[], Labeler]]:
    """What the labeler will be, and a function that builds it when it is called, in the background."""
    from labelers.build import identity

    named = identity(
        args.labeler, model=args.model, weights=args.weights, mirror=args.mirror or None, runtime=args.runtime
    )
    return named, labeler_builder(args)


def run(args: argparse.Namespace) -> int:
    require_extra()
    if args.action == "push":
        return run_push(args)
    if args.action == "import":
        return run_import(args)
    if args.action == "export":
        return run_export(args)
    return _serve(args)


def require_extra() -> None:
    """Raise UsageError where the parts for Label Studio are not installed."""
    from importlib.util import find_spec

    from app.errors import UsageError

    missing = [name for name in ("label_studio_sdk", "httpx", "prometheus_client") if find_spec(name) is None]
    if missing:
        raise UsageError(f"{', '.join(missing)} is not installed; run: pip install 'openseed-label[label-studio]'")


def _serve(args: argparse.Namespace) -> int:
    from app.label_studio.app import build_app
    from app.label_studio.logs import start_logging
    from app.label_studio.new_tasks import predict_new_tasks
    from app.serving.listen import listen, url_of
    from app.serving.run import serve

    settings = settings_of(args)
    start_logging(args.log_level, as_json=(args.log_format or ("text" if sys.stderr.isatty() else "json")) == "json")
    opened = listen(args.host, [args.port])
    try:
        name, build = labeler_factory(args)
        _warn(settings, args.host)
        app = build_app(build, identity=name, settings=settings, on_event=predict_new_tasks)
        url = url_of(args.host, opened.getsockname()[1]).rstrip("/")

        def ready() -> None:
            print(
                f"Label Studio backend at {url}   (Ctrl+C stops)\n"
                f"In Label Studio: project settings, Model, Connect Model, {url}\n"
                "A Label Studio on this machine must have been started with ML_BLOCK_LOCAL_IP=false; "
                "`openseed-label doctor --label-studio URL` checks that.",
                file=sys.stderr,
                flush=True,
            )

        serve(app, opened, on_ready=ready, last_requests=100)
    finally:
        opened.close()
    return 0


def settings_of(args: argparse.Namespace) -> BackendSettings:
    """Options and environment. Raises UsageError."""
    from app.errors import UsageError
    from app.label_studio.settings import MEBI, Access, BackendSettings
    from app.label_studio.tokens import origin_of

    url = args.label_studio or first_of(URL_VARIABLES)
    if url and origin_of(url) is None:
        raise UsageError(f"{url!r} is no address of a Label Studio; write http://HOST:PORT")
    api_key = first_of(KEY_VARIABLES)
    if args.predict_new_tasks and not (api_key and url):
        raise UsageError(
            f"--predict-new-tasks needs {KEY_VARIABLES[0]} and --label-studio URL, to write predictions with"
        )
    return BackendSettings(
        answering=answering_of(args),
        access=Access(
            url=url,
            api_key=api_key,
            allowed_hosts=tuple(args.allow_host),
            max_bytes=args.max_photo_mb * MEBI,
        ),
        basic_auth=basic_auth(),
        model_name=args.model if args.labeler == "conditioned" else args.labeler,
        predict_new_tasks=args.predict_new_tasks,
    )


def basic_auth() -> tuple[str, str] | None:
    """What Label Studio has to send, from the environment. Raises UsageError: half of it is missing."""
    from app.errors import UsageError

    for user_variable, password_variable in AUTH_VARIABLES:
        user, password = os.environ.get(user_variable, ""), os.environ.get(password_variable, "")
        if user and password:
            return user, password
        if user or password:
            raise UsageError(f"set both {user_variable} and {password_variable}, or none of them")
    return None


def _warn(settings: BackendSettings, host: str) -> None:
    from app.serving.listen import is_loopback

    if not is_loopback(host) and settings.basic_auth is None:
        print(
            f"warning: whoever reaches {host} can use this backend; set {' and '.join(AUTH_VARIABLES[0])}, and give "
            "Label Studio the same under Basic Authentication",
            file=sys.stderr,
        )
    if settings.access.api_key is None:
        print(
            f"note: {KEY_VARIABLES[0]} is not set; photos that were uploaded to Label Studio can be fetched only if it "
            "still has legacy tokens switched on",
            file=sys.stderr,
        )


def _amount(text: str) -> float:
    return _number(text, most=1000, otherwise="is no distance in pixels; give 0 to 1000")


def _share(text: str) -> float:
    return _number(text, most=1, otherwise="is no score; give a number from 0 to 1")


def _number(text: str, *, most: float, otherwise: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= most:
        raise argparse.ArgumentTypeError(f"{text!r} {otherwise}")
    return number
