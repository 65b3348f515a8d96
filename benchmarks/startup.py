"""How long until the command says something? Seconds to ``--help``, and to the first mask in the journal.

Run it from the repository: ``python -m benchmarks.startup``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from app.cli.main import COMMANDS
from benchmarks.machine import describe
from benchmarks.team import ROOT

EXAMPLES = ROOT / "app" / "examples"
_COMMAND = (sys.executable, "-m", "app.cli.main")


def help_seconds(words: Sequence[str]) -> float:
    """From the start of the process to its end. Raises CalledProcessError if the command fails."""
    start = time.perf_counter()
    subprocess.run([*_COMMAND, *words, "--help"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def first_mask_seconds(output: Path, options: Sequence[str]) -> tuple[float, float]:
    """Convert the bundled example: seconds from the start of the process to the first photo in the journal, to its end.

    Raises RuntimeError if the command fails.
    """
    journal = output.with_name(output.name + ".journal")
    dataset = EXAMPLES / "boxes.json"
    command = [*_COMMAND, "convert-boxes", str(dataset), "--images", str(EXAMPLES), "-o", str(output), "--overwrite"]
    start, first = time.perf_counter(), None
    process = subprocess.Popen([*command, "--quiet", *options], cwd=ROOT)
    while process.poll() is None:
        if first is None and journal.exists() and b'"counts":["' in journal.read_bytes():
            first = time.perf_counter() - start
        time.sleep(0.005)
    if process.returncode != 0 or first is None:
        raise RuntimeError(f"convert-boxes ended with exit code {process.returncode}, first mask after {first} s")
    return first, time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="repeat each (default: 5)")
    parser.add_argument("--model", default="nano", help="for the first mask (default: nano)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    args = parser.parse_args(argv)
    machine = describe(1)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="openseed-startup-") as folder:
        for _ in range(args.rounds):
            for words in ([], *([name] for name in COMMANDS)):
                found.setdefault(" ".join([*words, "--help"]), []).append(help_seconds(words))
            first, whole = first_mask_seconds(Path(folder) / "masks.json", ["--model", args.model])
            found.setdefault("convert-boxes, first mask", []).append(first)
            found.setdefault("convert-boxes, six photos", []).append(whole)
    print("| command | median s | least | most |\n| :-- | ---: | ---: | ---: |")
    for name, seconds in found.items():
        print(f"| {name} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |")
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "seconds": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
