"""How much faster are two workers of ``convert-boxes --engine ray`` than one, and are the bytes the same?

Each worker has one thread. The commands are those of a user; photos a second are read off their journals, so that
starting (Ray, the model) is left out: it is told beside them.
Run it from the repository: ``python -m benchmarks.ray_workers --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from benchmarks.photos import BUNDLED, NAMES, SEED, find_photos, random_box
from benchmarks.team import ROOT

WIDTH, HEIGHT = 640, 480
_BEFORE = 2  # lines of the journal before the first photo: its header, and the digest of the input
_POLL = 0.005


@dataclass(frozen=True)
class Run:
    """One command: photos a second from the first photos on, seconds until they were there, and its output."""

    photos_per_second: float
    start: float
    output: bytes


def generate(folder: Path, *, photos: int, boxes: int) -> Path:
    """A COCO file with the bundled photos again and again, all of one size, and other boxes each time."""
    sources = [Image.open(path).convert("RGB").resize((WIDTH, HEIGHT)) for path in find_photos(BUNDLED, limit=None)]
    random = np.random.default_rng(SEED)
    images, annotations = [], []
    for k in range(photos):
        name = f"{k:05d}.jpg"
        sources[k % len(sources)].save(folder / name, quality=90)
        images.append({"id": k + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for _ in range(boxes):
            x0, y0, x1, y1 = random_box(random, height=HEIGHT, width=WIDTH)
            box = [round(side, 2) for side in (x0, y0, x1 - x0, y1 - y0)]
            category = int(random.integers(0, len(NAMES))) + 1
            found = {"id": len(annotations) + 1, "image_id": k + 1, "category_id": category, "bbox": box}
            annotations.append(found)
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
    path = folder / "dataset.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def measure(dataset: Path, options: Sequence[str], *, photos: int, warm: int) -> Run:
    """Run the command with one thread a process; the first ``warm`` photos don't count. Raises RuntimeError."""
    output = dataset.with_name("out.json")
    journal = output.with_name("out.json.journal")
    output.unlink(missing_ok=True)
    command = [sys.executable, "-m", "app.cli.main", "convert-boxes", str(dataset), "-o", str(output), "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    began = time.perf_counter()
    process = subprocess.Popen([*command, *options], cwd=ROOT, env=environment, stderr=subprocess.PIPE)
    first: tuple[float, int] | None = None
    last = (began, 0)
    lines = read = 0
    while process.poll() is None:
        time.sleep(_POLL)
        try:
            with journal.open("rb") as file:
                file.seek(read)
                new = file.read()
        except FileNotFoundError:
            continue
        read, lines = read + len(new), lines + new.count(b"\n")
        done = min(lines - _BEFORE, photos)
        if done > last[1]:
            last = time.perf_counter(), done
            if first is None and done >= warm:
                first = last
    no_run = process.returncode not in (0, 1)  # 1: a random box may be left without a mask
    if no_run or first is None or last[1] <= first[1]:
        said = process.stderr.read().decode() if process.stderr else ""
        raise RuntimeError(f"convert-boxes ended with exit code {process.returncode} after {last[1]} photos: {said}")
    return Run((last[1] - first[1]) / (last[0] - first[0]), first[0] - began, output.read_bytes())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ray_workers", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--photos", type=int, default=60, metavar="N", help="(default: 60)")
    parser.add_argument("--boxes", type=int, default=20, metavar="N", help="boxes a photo (default: 20)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of one and two in turn (default: 3)")
    parser.add_argument("--labeler", default="conditioned", choices=("conditioned", "grabcut", "rectangle"))
    parser.add_argument("--most", type=int, default=2, metavar="N", help="compare one with so many (default: 2)")
    args = parser.parse_args(arguments)
    found: dict[int, list[Run]] = {1: [], args.most: []}
    with tempfile.TemporaryDirectory(prefix="openseed-ray-") as name:
        dataset = generate(Path(name), photos=args.photos, boxes=args.boxes)
        print("| round | workers | photos/s | first photos after s |\n| ---: | ---: | ---: | ---: |", flush=True)
        for number in range(1, args.rounds + 1):
            for workers, runs in found.items():
                options = ["--labeler", args.labeler, "--device", "cpu", "--engine", "ray", "--workers", str(workers)]
                run = measure(dataset, options, photos=args.photos, warm=max(args.photos // 6, 1))
                runs.append(run)
                print(f"| {number} | {workers} | {run.photos_per_second:.2f} | {run.start:.1f} |", flush=True)
    ratios = [many.photos_per_second / one.photos_per_second for one, many in zip(*found.values(), strict=True)]
    same = len({run.output for runs in found.values() for run in runs}) == 1
    print(f"\n{args.most} workers / one: {median(ratios):.2f} (median of {len(ratios)} rounds; bar: 1.6)")
    print(f"outputs: {'the same bytes' if same else 'DIFFERENT'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
