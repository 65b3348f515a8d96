"""Are the cores busy while ``convert-boxes`` runs? Processor time over wall time in the middle of a run.

Run it from the repository: ``python -m benchmarks.pipeline --help``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import describe
from benchmarks.memory import generate
from benchmarks.team import ROOT

MIDDLE = (0.1, 0.9)
"""The middle of a run: from the first to the second share of the photos that are in the journal."""

_EVERY = 0.05  # seconds between two looks; a look costs 0.2 ms


@dataclass(frozen=True)
class Look:
    """At one moment: seconds on the clock, processor seconds of the process so far, photos in the journal."""

    wall: float
    cpu: float
    photos: int


def middle(looks: Sequence[Look], photos: int) -> tuple[Look, Look]:
    """The looks that bound the middle of the run. Raises ValueError if the run was too short to have one."""
    low, high = (share * photos for share in MIDDLE)
    first = next((look for look in looks if look.photos >= low), None)
    last = next((look for look in looks if look.photos >= high), None)
    if first is None or last is None or last.wall <= first.wall:
        raise ValueError(f"{len(looks)} looks at a run of {photos} photos have no middle; take more photos")
    return first, last


def share(looks: Sequence[Look], photos: int, cores: int) -> float:
    """Processor seconds in the middle of the run, as a share of what all cores had to give."""
    first, last = middle(looks, photos)
    return (last.cpu - first.cpu) / ((last.wall - first.wall) * cores)


def slowest(looks: Sequence[Look], photos: int, cores: int, *, seconds: float) -> float:
    """The least share of any stretch of about ``seconds`` in the middle."""
    first, last = middle(looks, photos)
    marks = [first]
    for look in looks:
        if first.wall < look.wall <= last.wall and look.wall - marks[-1].wall >= seconds:
            marks.append(look)
    return min(((b.cpu - a.cpu) / ((b.wall - a.wall) * cores) for a, b in pairwise(marks)), default=0.0)


def watch(command: Sequence[str], journal: Path, *, environment: dict[str, str]) -> list[Look]:
    """Run it and look at it now and then. Raises RuntimeError if it fails."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        watched, looks, place, photos = psutil.Process(process.pid), [], 0, 0
        while process.poll() is None:
            if journal.exists():
                with journal.open("rb") as lines:
                    lines.seek(place)
                    fresh = lines.read()
                whole = fresh.rfind(b"\n") + 1
                place += whole
                photos += sum(b'"key":"' in line and b'"rows":' in line for line in fresh[:whole].splitlines())
            try:
                spent = watched.cpu_times()
            except psutil.NoSuchProcess:
                break
            looks.append(Look(time.perf_counter(), spent.user + spent.system, photos))
            time.sleep(_EVERY)
        if process.wait() != 0:
            said.seek(0)
            raise RuntimeError(f"convert-boxes ended with exit code {process.returncode}:\n{said.read()[-2000:]}")
    return looks


def work(options: dict[str, Any]) -> int:
    """The watched process: a conversion with this many photos at once, None for the labeler's own choice."""
    from app.convert import Settings, convert
    from app.convert.conversion import labeler_of

    at_once = options.pop("at_once")
    for name in ("source", "images", "output"):
        options[name] = Path(options[name])
    settings = Settings.of(**options)
    labeler: Any = labeler_of(settings)
    if at_once is not None:
        labeler.spec = replace(labeler.spec, photos_at_once=at_once)
    return convert(settings, labeler=labeler).exit_code


def measure(options: dict[str, Any], *, at_once: int | None, photos: int, cores: int, folder: Path) -> dict[str, Any]:
    """One row: share of the cores, photos/s, and the digest of what was written."""
    output = folder / "masks.json"
    request = json.dumps({**options, "output": str(output), "overwrite": True, "at_once": at_once})
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # a thread that waits must not look busy
    command = [sys.executable, "-m", "benchmarks.pipeline", "--work", request]
    looks = watch(command, output.with_name(output.name + ".journal"), environment=environment)
    first, last = middle(looks, photos)
    return {
        "at_once": at_once,
        "share": share(looks, photos, cores),
        "least_share_of_2s": slowest(looks, photos, cores, seconds=2.0),
        "photos_per_second": (last.photos - first.photos) / (last.wall - first.wall),
        "middle_seconds": last.wall - first.wall,
        "seconds": looks[-1].wall - looks[0].wall,
        "sha256": hashlib.sha256(output.read_bytes()).hexdigest(),
    }


def as_markdown(rows: Sequence[dict[str, Any]], cores: int) -> str:
    lines = [
        f"| photos at once | share of {cores} cores | least in 2 s | photos/s | middle of the run, s | whole run, s |",
        "| :-- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {'as the labeler says' if row['at_once'] is None else row['at_once']} | {row['share']:.1%} "
        f"| {row['least_share_of_2s']:.1%} | {row['photos_per_second']:.2f} | {row['middle_seconds']:.1f} "
        f"| {row['seconds']:.1f} |"
        for row in rows
    ]
    equal = len({row["sha256"] for row in rows}) == 1
    return "\n".join([*lines, "", f"Outputs {'are equal, byte for byte' if equal else 'DIFFER'}."]) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, metavar="FILE", help="COCO file (default: generated photos)")
    parser.add_argument("--images", type=Path, metavar="DIR", help="its photos")
    parser.add_argument("--limit", type=int, default=60, metavar="N", help="photos (default: 60)")
    parser.add_argument("--labeler", default="conditioned", choices=("conditioned", "grabcut", "rectangle"))
    parser.add_argument("--model", default="nano", help="of the labeler conditioned (default: nano)")
    parser.add_argument("--device", default="cpu", help="of the labeler conditioned (default: cpu)")
    parser.add_argument(
        "--at-once", default="1,auto", metavar="N,N", help="photos labelled at the same time (default: 1,auto)"
    )
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="repeat, in turn; the best counts")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    parser.add_argument("--work", help=argparse.SUPPRESS)  # the watched process
    args = parser.parse_args(argv)
    if args.work:
        return work(json.loads(args.work))
    if (args.dataset is None) != (args.images is None):
        parser.error("--dataset and --images go together")
    numbers = [None if text == "auto" else int(text) for text in args.at_once.split(",")]
    cores = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else os.cpu_count() or 1
    machine = describe(cores)
    with tempfile.TemporaryDirectory(prefix="openseed-pipeline-") as name:
        folder = Path(name)
        dataset = args.dataset.resolve() if args.dataset else generate(folder, images=args.limit, boxes=4)
        options = {
            "source": str(dataset),
            "images": str(args.images.resolve() if args.images else dataset.parent / "photos"),
            "labeler": args.labeler,
            "model": args.model,
            "device": args.device,
            "limit": args.limit,
            "redo": True,
        }
        photos = min(args.limit, len(json.loads(dataset.read_text())["images"]))
        try:
            rounds = [
                [measure(options, at_once=n, photos=photos, cores=cores, folder=folder) for n in numbers]
                for _ in range(args.rounds)
            ]
        except (RuntimeError, ValueError) as error:
            print(f"benchmarks.pipeline: {error}", file=sys.stderr)
            return 2
    rows = [max(column, key=lambda row: float(row["share"])) for column in zip(*rounds, strict=True)]
    text = as_markdown([row for column in [rows] for row in column], cores)
    print(text, end="")
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps({"machine": machine, "rounds": rounds}, indent=2) + "\n")
    return 0 if len({row["sha256"] for one in rounds for row in one}) == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
