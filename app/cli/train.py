"""``openseed-label train``: train a model from a TOML file, or on what a team has accepted in a project."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from app.cli.convert_boxes import count

BUNDLED = Path(__file__).parent.parent / "training"

SHARE = 0.2
"""Of the photos of a project that are measured on."""

_ONLY = ("model", "weights", "output", "steps", "share", "seed", "images", "project")
"""Options of --from-project; the TOML file says all of it otherwise."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s settings.toml | --from-project project.db [options] [settings.toml]"
    parser.add_argument(
        "settings",
        type=Path,
        nargs="?",
        metavar="settings.toml",
        help="TOML file, or the name of a bundled one (nano.toml). With --from-project: values that differ from the "
        "bundled fine_tune.toml (fine_tune_whole.toml: learn to find objects without boxes too)",
    )
    group = parser.add_argument_group(
        "fine-tune on a project",
        "Trains on the accepted annotations of most photos, measures on the others before and after, and says whether "
        "the model got better. Interrupt it, run it again, it goes on.",
    )
    group.add_argument("--from-project", metavar="FILE|URL", help="the project: a file, or the URL of a database")
    group.add_argument("--project", metavar="NAME", help="which project of the database (default: the only one)")
    group.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: the project's own)")
    start = group.add_mutually_exclusive_group()
    start.add_argument("--model", metavar="NAME", help="model to start from (default: nano)")
    start.add_argument("--weights", type=Path, metavar="FILE", help="weights of your own to start from")
    group.add_argument(
        "--output", type=Path, metavar="DIR", help="folder for the model and the report (default: runs/PROJECT)"
    )
    group.add_argument("--steps", type=count, metavar="N", help="steps of training (default: 300)")
    group.add_argument(
        "--share", type=float, metavar="F", help=f"part of the photos to measure on, 0 to 1 (default: {SHARE:g})"
    )
    group.add_argument("--seed", type=int, metavar="N", help="of the split and of all that is drawn (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from app.errors import UsageError

    # Idle threads that spin make every step wait when another program uses a core; must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if args.from_project is not None:
        return _fine_tune(args)
    given = next((name for name in _ONLY if getattr(args, name) is not None), None)
    if given is not None:
        raise UsageError(f"--{given} only makes sense with --from-project; the TOML file says it otherwise")
    if args.settings is None:
        raise UsageError("what is to be trained? Give a TOML file (bundled: nano.toml), or --from-project project.db")
    from app.training.run import run as train
    from app.training.run_folder import begin
    from app.training.settings import read

    settings = read(_toml(args.settings))
    begin(settings)
    print(train(settings))
    return 0


def _fine_tune(args: argparse.Namespace) -> int:
    from app.errors import UsageError
    from app.training.fine_tune import fine_tune
    from app.training.fine_tune_settings import plan

    project = args.from_project if "://" in args.from_project else Path(args.from_project)
    share = SHARE if args.share is None else args.share
    if not 0 < share < 1:
        raise UsageError(f"--share {share:g}: give a number between 0 and 1, like {SHARE:g}")
    if args.seed is not None and args.seed < 0:
        raise UsageError(f"--seed {args.seed}: give 0 or more")
    made = plan(
        project,
        own=None if args.settings is None else _toml(args.settings),
        output=args.output or Path("runs") / (args.project or _stem(args.from_project)),
        forced=args.output is not None,
        init=args.weights or (Path(args.model) if args.model else None),
        steps=args.steps,
        seed=args.seed,
    )
    tuned = fine_tune(project, made, name=args.project, images=args.images, share=share)
    if tuned is not None:
        print(f"{tuned.text}\nThe new model: --weights {tuned.model}")
    return 0


def _toml(path: Path) -> Path:
    """The file, or the bundled one of this name."""
    bundled = BUNDLED / path.name
    return bundled if not path.exists() and bundled.exists() and path.parent == Path() else path


def _stem(project: str) -> str:
    """``data/dataset.openseed.db`` -> dataset; a URL's database."""
    name = project.partition("?")[0].rstrip("/").rpartition("/")[2]
    return name.partition(".")[0] or "project"
