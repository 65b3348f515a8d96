"""``openseed-label train``: train a model from a TOML file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

BUNDLED = Path(__file__).parent.parent / "training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("settings", type=Path, help="TOML file, or the name of a bundled one (nano.toml)")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    # Idle threads that spin make every step wait when another program uses a core; must be set before torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from app.training.run import run as train
    from app.training.settings import read

    path: Path = arguments.settings
    if not path.exists() and (BUNDLED / path.name).exists() and path.parent == Path():
        path = BUNDLED / path.name
    print(train(read(path)))
    return 0
