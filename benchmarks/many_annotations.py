"""How much memory and time does a dry run of ``convert-boxes`` take with ten million annotations?

Anonymous memory counts: that is what has to fit. Pages of files (the JSON, columns in temporary files) are in the
resident size too, but the system takes them back when it needs the room. Linux only.
Run it from the repository: ``python -m benchmarks.many_annotations --help``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from benchmarks.photos import NAMES, SEED
from benchmarks.team import ROOT

WIDTH, HEIGHT = 640, 480
_LINKS = 10_000  # names of one file; file systems allow some ten thousand
_BLOCK = 10_000  # annotations made at a time


def generate(folder: Path, *, photos: int, annotations: int, texts: bool = False) -> Path:
    """A COCO file and its photos; the annotations of one photo are far apart, as in COCO itself.

    Args:
        photos: so many names of a few small JPEG files.
        texts: ids are texts instead of numbers.
    """
    (folder / "photos").mkdir()
    for k in range(photos):
        photo = folder / "photos" / f"{k:07d}.jpg"
        if k % _LINKS == 0:
            first = photo
            Image.new("RGB", (WIDTH, HEIGHT), (k // _LINKS % 256, 80, 120)).save(photo)
        else:
            os.link(first, photo)
    path = folder / "dataset.json"
    with path.open("w") as file:
        images = ({"id": k + 1, "file_name": f"{k:07d}.jpg", "width": WIDTH, "height": HEIGHT} for k in range(photos))
        file.write('{"images": [')
        _write(file, images)
        file.write('], "annotations": [')
        _write(file, _annotations(annotations, photos, texts=texts))
        categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
        file.write(f'], "categories": {json.dumps(categories)}}}\n')
    return path


def _annotations(count: int, photos: int, *, texts: bool) -> Iterator[dict[str, object]]:
    random = np.random.default_rng(SEED)
    for start in range(0, count, _BLOCK):
        sizes = random.uniform(8, 120, (_BLOCK, 2))
        boxes = np.concatenate([random.uniform(0, 1, (_BLOCK, 2)) * ((WIDTH, HEIGHT) - sizes), sizes], axis=1).round(2)
        for k, box in enumerate(boxes[: count - start].tolist(), start=start):
            yield {
                "id": f"a-{k + 1}" if texts else k + 1,
                "image_id": k % photos + 1,
                "category_id": k % len(NAMES) + 1,
                "bbox": box,
            }


def _write(file: IO[str], items: Iterator[dict[str, object]]) -> None:
    for number, item in enumerate(items):
        file.write((",\n" if number else "\n") + json.dumps(item))


def measure(dataset: Path, options: Sequence[str] = ()) -> dict[str, float]:
    """A dry run in a process of its own: seconds, also of the processor; peaks of anonymous and resident memory in MiB.

    Raises RuntimeError where it fails.
    """
    command = [sys.executable, "-m", "app.cli.main", "convert-boxes", str(dataset), "--dry-run", "--json", "--quiet"]
    command += ["--images", str(dataset.parent / "photos"), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    began, used = time.perf_counter(), _children()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    anonymous = resident = 0.0
    while process.poll() is None:  # the summary is short enough for the pipe: nothing goes wrong in this data set
        seen = _memory(process.pid)
        anonymous, resident = max(anonymous, seen.get("RssAnon", 0.0)), max(resident, seen.get("VmHWM", 0.0))
        time.sleep(0.05)
    seconds = time.perf_counter() - began
    assert process.stdout is not None
    text = process.stdout.read()
    if process.returncode != 0:
        raise RuntimeError(f"the dry run ended with exit code {process.returncode}: {text[-2000:]}")
    return {
        "seconds": seconds,
        "cpu_seconds": _children() - used,
        "anonymous_mib": anonymous,
        "resident_mib": resident,
        "to_convert": json.loads(text)["annotations"].get("todo", 0),
    }


def _children() -> float:
    """Processor seconds of all that was started and has ended; other work on the machine changes them little."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def _memory(process: int) -> dict[str, float]:
    """The sizes in /proc/PID/status in MiB; empty where the process has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return {}
    parts = [line.split() for line in lines if line.endswith(" kB")]
    return {name.rstrip(":"): int(size) / 1024 for name, size, _ in parts}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_annotations", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--annotations", default="100000,10000000", metavar="N,N", help="(default: 100000,10000000)")
    parser.add_argument("--photos", type=int, default=100_000, metavar="N", help="(default: 100000)")
    parser.add_argument("--texts", action="store_true", help="ids are texts")
    parser.add_argument("--options", default="", help='more options of convert-boxes, such as "--part 1/4"')
    parser.add_argument("--folder", type=Path, help="where 1.1 GB have room (default: the system's temporary folder)")
    args = parser.parse_args(arguments)
    print("| annotations | photos | JSON MB | seconds | of the processor | anonymous MiB | resident MiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for count in (int(text) for text in args.annotations.split(",")):
        with tempfile.TemporaryDirectory(prefix="openseed-many-", dir=args.folder) as name:
            dataset = generate(Path(name), photos=args.photos, annotations=count, texts=args.texts)
            found = measure(dataset, args.options.split())
            size = dataset.stat().st_size / 1e6
        print(
            f"| {count:,} | {args.photos:,} | {size:,.0f} | {found['seconds']:.1f} "
            f"| {found['cpu_seconds']:.1f} | {found['anonymous_mib']:.0f} | {found['resident_mib']:.0f} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
