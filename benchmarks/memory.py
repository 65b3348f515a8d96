"""Does the memory of ``convert-boxes`` grow with the dataset? Peak resident size over generated datasets.

Run it from the repository: ``python -m benchmarks.memory --help``.
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
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photos import NAMES, SEED, random_box
from benchmarks.team import ROOT

SIDE = 256


def generate(folder: Path, *, images: int, boxes: int) -> Path:
    """A dataset of small JPEG files, all different, and its COCO file with seeded boxes; returns the COCO file."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for k in range(images):
        random = np.random.default_rng([SEED, k])
        coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        name = f"{k:06d}.jpg"
        Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(photos / name, quality=80)
        rows.append({"id": k + 1, "file_name": name, "width": SIDE, "height": SIDE})
        for _ in range(boxes):
            x0, y0, x1, y1 = random_box(random, height=SIDE, width=SIDE)
            box = [round(side, 2) for side in (x0, y0, x1 - x0, y1 - y0)]
            category = int(random.integers(0, len(NAMES))) + 1
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": k + 1,
                    "category_id": category,
                    "bbox": box,
                    "area": round(box[2] * box[3], 2),
                    "iscrowd": 0,
                }
            )
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
    path = folder / "dataset.json"
    path.write_text(json.dumps({"images": rows, "annotations": annotations, "categories": categories}))
    return path


def convert(dataset: Path, options: Sequence[str], *, threads: int) -> dict[str, Any]:
    """Run convert-boxes in a process of its own: exit code, seconds, peak MB. Raises RuntimeError if it fails."""
    report = dataset.with_name("peak.json")
    command = [sys.executable, "-m", "benchmarks.peak", str(report), "convert-boxes", str(dataset), "--quiet"]
    command += ["--images", str(dataset.parent / "photos"), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not report.exists():
        raise RuntimeError(f"convert-boxes ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(report.read_text())
    return result


def measure(
    counts: Sequence[int], options: Sequence[str], *, boxes: int, threads: int, folder: Path
) -> list[dict[str, Any]]:
    """One row for each number of images, in the order given."""
    rows = []
    for count in counts:
        dataset = generate(folder / str(count), images=count, boxes=boxes)
        done = convert(dataset, options, threads=threads)
        annotations = count * boxes
        rows.append(
            {
                "images": count,
                "annotations": annotations,
                "peak_mb": done["peak_mb"],
                "seconds": done["seconds"],
                "images_per_second": count / done["seconds"],
            }
        )
    return rows


def as_markdown(labeler: str, rows: Sequence[dict[str, Any]]) -> str:
    """The table, with what each further annotation costs below it."""
    lines = [
        f"| {labeler}: images | annotations | peak MB | seconds | images/s |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {row['images']:,} | {row['annotations']:,} | {row['peak_mb']:.1f} | {row['seconds']:.1f} "
        f"| {row['images_per_second']:.1f} |"
        for row in rows
    ]
    if len(rows) > 1:
        lines += ["", f"From the first to the last row: {growth(rows):,.0f} bytes an annotation."]
    return "\n".join(lines) + "\n"


def growth(rows: Sequence[dict[str, Any]]) -> float:
    """Bytes of peak memory for each further annotation, from the first to the last row."""
    first, last = rows[0], rows[-1]
    return float((last["peak_mb"] - first["peak_mb"]) * 1e6 / (last["annotations"] - first["annotations"]))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", default="500,5000", metavar="N,N", help="dataset sizes (default: 500,5000)")
    parser.add_argument("--boxes", type=int, default=4, metavar="N", help="boxes an image (default: 4)")
    parser.add_argument("--labeler", default="rectangle", choices=("rectangle", "grabcut", "conditioned"))
    parser.add_argument("--model", default="nano", help="of the labeler conditioned (default: nano)")
    parser.add_argument("--weights", metavar="FILE", help="weights for the model")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), metavar="N", help="threads (default: all cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args(argv)
    options = ["--labeler", args.labeler, "--model", args.model, "--device", "cpu"]
    options += ["--weights", str(Path(args.weights).resolve())] if args.weights else []
    try:
        counts = sorted({int(text) for text in args.images.split(",")})
        if counts[0] < 1:
            raise ValueError
    except ValueError:
        parser.error(f"--images {args.images!r}: write whole numbers above 0 with commas, for example 500,5000")
    with tempfile.TemporaryDirectory(prefix="openseed-memory-") as folder:
        try:
            rows = measure(counts, options, boxes=args.boxes, threads=args.threads, folder=Path(folder))
        except RuntimeError as error:
            print(f"benchmarks.memory: {error}", file=sys.stderr)
            return 2
    text = as_markdown(args.labeler, rows)
    print(text, end="")
    if args.markdown:
        args.markdown.write_text(text)
    if args.json:
        args.json.write_text(json.dumps({"labeler": args.labeler, "boxes": args.boxes, "rows": rows}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
