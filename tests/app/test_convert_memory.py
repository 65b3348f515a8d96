"""Memory stays flat: a long list of photos needs no more than a short one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from coco_files import CATEGORIES, annotation
from PIL import Image

ROOT = Path(__file__).parents[2]

CODE = """
import resource, sys
from app.cli.main import main
code = main(["convert-boxes", sys.argv[1], "--labeler", "rectangle", "-q"])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mib(folder: Path, *, photos: int, boxes: int) -> int:
    """Peak memory of a conversion in a process of its own, photos of 3 MB when decoded."""
    folder.mkdir()
    Image.new("RGB", (1000, 1000), (90, 120, 60)).save(folder / "one.png")
    for k in range(photos):
        os.link(folder / "one.png", folder / f"{k}.png")
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 1000, "height": 1000} for k in range(photos)],
        "annotations": [
            annotation(k, k % photos, [k % 500, k % 300, 40 + k % 99, 30 + k % 77]) for k in range(photos * boxes)
        ],
        "categories": CATEGORIES,
    }
    (folder / "data.json").write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder / "data.json")],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    code, mib = done.stdout.split()
    assert code == "0", done.stderr
    return int(mib)


def test_peak_memory_does_not_grow_with_the_number_of_photos(tmp_path: Path) -> None:
    # 10 and 70 photos differ by 180 MB of pixels; what may grow is a few bytes for each annotation
    few = peak_mib(tmp_path / "few", photos=10, boxes=2)
    many = peak_mib(tmp_path / "many", photos=70, boxes=8)
    assert many - few < 30
