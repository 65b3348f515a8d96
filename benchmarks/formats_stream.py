"""How much memory and time do a million annotations take from COCO to YOLO?

Run it from the repository: ``python -m benchmarks.formats_stream --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.photos import NAMES, SEED
from benchmarks.team import ROOT

WIDTH, HEIGHT = 640, 480
_CORNERS = 20


def generate(path: Path, *, annotations: int, per_photo: int) -> None:
    """A COCO file with an outline of 20 corners for each annotation; those of one photo are far apart, as in COCO."""
    random = np.random.default_rng(SEED)
    photos = -(-annotations // per_photo)
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    with path.open("w") as file:
        file.write('{"images": [\n')
        for k in range(photos):
            image = {"id": k + 1, "file_name": f"{k:06d}.jpg", "width": WIDTH, "height": HEIGHT}
            file.write(json.dumps(image) + (",\n" if k + 1 < photos else "\n], "))
        file.write('"annotations": [\n')
        for k in range(annotations):
            w, h = random.uniform(8, 120, 2)
            x, y = random.uniform(0, WIDTH - w), random.uniform(0, HEIGHT - h)
            radii = random.uniform(0.6, 1.0, _CORNERS)
            ring = np.stack(
                [x + w / 2 * (1 + radii * np.cos(angles)), y + h / 2 * (1 + radii * np.sin(angles))], axis=1
            )
            row = {
                "id": k + 1,
                "image_id": k % photos + 1,
                "category_id": k % len(NAMES) + 1,
                "bbox": [round(float(v), 2) for v in (x, y, w, h)],
                "segmentation": [ring.round(2).ravel().tolist()],
                "area": round(float(w * h), 2),
                "iscrowd": 0,
            }
            file.write(json.dumps(row) + (",\n" if k + 1 < annotations else "\n], "))
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
        file.write(f'"categories": {json.dumps(categories)}}}\n')


def measure(source: Path, folder: Path, to: str) -> dict[str, float]:
    """One command in a process of its own: exit code, seconds, peak memory in MB."""
    report = folder / "report.json"
    words = ["convert", str(source), str(folder / to), "--to", to]
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peak", str(report), *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    found: dict[str, float] = json.loads(report.read_text())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--per-photo", type=int, default=10)
    parser.add_argument("--to", default="yolo-segment,yolo-detect", help="formats, with commas between them")
    parser.add_argument("--limit", type=float, default=1000, help="MB of memory that are allowed")
    parser.add_argument("--folder", type=Path, help="for the files, 1 GB for a million (default: the system's)")
    options = parser.parse_args(arguments)
    failed = False
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        source = Path(name) / "dataset.json"
        generate(source, annotations=options.annotations, per_photo=options.per_photo)
        print(f"{options.annotations:,} annotations, {source.stat().st_size / 1e6:.0f} MB of JSON")
        for to in options.to.split(","):
            found = measure(source, Path(name), to)
            print(f"{to}: {found['seconds']:.0f} s, peak {found['peak_mb']:.0f} MB, exit code {found['exit_code']:.0f}")
            failed |= found["exit_code"] != 0 or found["peak_mb"] > options.limit
    if failed:
        sys.exit(f"a command failed, or took more than {options.limit:.0f} MB")


if __name__ == "__main__":
    main()
