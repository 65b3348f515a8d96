"""How long does a large COCO file take into a project and back, and how much memory?

Run it from the repository: ``python -m benchmarks.project_import --help``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photos import NAMES, SEED
from benchmarks.team import ROOT

WIDTH, HEIGHT = 640, 480
_CORNERS = 30


def generate(folder: Path, *, annotations: int, per_photo: int) -> Path:
    """A COCO file with photos beside it; every second annotation has a polygon. Returns the file."""
    random = np.random.default_rng(SEED)
    photos = -(-annotations // per_photo)
    (folder / "photos").mkdir(parents=True)
    Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 60)).save(folder / "photo.jpg")
    data = (folder / "photo.jpg").read_bytes()
    images: list[dict[str, Any]] = []
    for k in range(photos):
        (folder / "photos" / f"{k:06d}.jpg").write_bytes(data)
        images.append({"id": k + 1, "file_name": f"{k:06d}.jpg", "width": WIDTH, "height": HEIGHT})
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    rows: list[dict[str, Any]] = []
    for k in range(annotations):
        w, h = random.uniform(8, 200), random.uniform(8, 150)
        x, y = random.uniform(0, WIDTH - w), random.uniform(0, HEIGHT - h)
        row: dict[str, Any] = {
            "id": k + 1,
            "image_id": k % photos + 1,
            "category_id": k % len(NAMES) + 1,
            "bbox": [round(float(v), 2) for v in (x, y, w, h)],
            "area": round(float(w * h), 2),
            "iscrowd": 0,
        }
        if k % 2:
            ring = np.stack([x + w / 2 * (1 + np.cos(angles)), y + h / 2 * (1 + np.sin(angles))], axis=1)
            row["segmentation"] = [ring.round(2).ravel().tolist()]
        rows.append(row)
    path = folder / "dataset.json"
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": categories}))
    return path


def measure(dataset: Path, database: str) -> dict[str, Any]:
    """Import and export, each by the real command in its own process. Raises RuntimeError if one fails."""
    name, out = f"benchmark-{uuid.uuid4().hex[:8]}", dataset.with_name("exported.json")
    place = ["--database", database, "--project", name]
    found: dict[str, Any] = {}
    commands = {
        "import": ["import", str(dataset), "--images", str(dataset.parent / "photos")],
        "export": ["export", "-o", str(out), "--overwrite"],
    }
    for step, words in commands.items():
        report = dataset.with_name("peak.json")
        command = [sys.executable, "-m", "benchmarks.peak", str(report), "project", *words, *place, "--quiet"]
        start = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0 or json.loads(report.read_text())["exit_code"] != 0:
            raise RuntimeError(f"project {step} failed:\n{done.stderr[-2000:]}")
        found[f"{step}_seconds"] = time.perf_counter() - start
        found[f"{step}_peak_mb"] = json.loads(report.read_text())["peak_mb"]
    found["lossless"] = json.loads(out.read_text()) == json.loads(dataset.read_text())
    return found


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """The table."""
    lines = [
        "| database | annotations | file MB | import s | import peak MB | export s | export peak MB | lossless |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {row['database']} | {row['annotations']:,} | {row['file_mb']:.1f} | {row['import_seconds']:.1f} "
        f"| {row['import_peak_mb']:.0f} | {row['export_seconds']:.1f} | {row['export_peak_mb']:.0f} "
        f"| {'yes' if row['lossless'] else 'NO'} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.project_import", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--annotations", type=int, default=100_000, metavar="N", help="default: 100000")
    parser.add_argument("--per-photo", type=int, default=10, metavar="N", help="annotations a photo (default: 10)")
    parser.add_argument("--database", metavar="URL", help="also on this PostgreSQL; a project is added to it")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    args = parser.parse_args(argv)
    if args.annotations < 1 or args.per_photo < 1:
        parser.error("--annotations and --per-photo must be above 0")
    rows = []
    with tempfile.TemporaryDirectory(prefix="openseed-import-") as text:
        folder = Path(text)
        dataset = generate(folder, annotations=args.annotations, per_photo=args.per_photo)
        size = {"annotations": args.annotations, "file_mb": dataset.stat().st_size / 1e6}
        places = {"SQLite": str(folder / "project.db"), **({"PostgreSQL": args.database} if args.database else {})}
        for kind, place in places.items():
            try:
                rows.append({"database": kind, **size, **measure(dataset, place)})
            except RuntimeError as error:
                print(f"benchmarks.project_import: {error}", file=sys.stderr)
                return 2
    table = as_markdown(rows)
    print(table, end="")
    if args.markdown:
        args.markdown.write_text(table)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
