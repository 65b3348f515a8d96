"""``propose`` killed with -9 at any moment and run again: the same bytes, and no photo is looked at twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from coco_files import many
from fakes import FakeFinder

from app.propose import Settings, name_boxes, propose
from labelers.journal import journal_path

ROOT = Path(__file__).parents[2]
PHOTOS = 5
TASKS = ("instances", "boxes", "panoptic", "semantic")

# A run in which the process kills itself, without any chance to clean up, at the given moment.
VICTIM = """
import sys
from pathlib import Path
import app.propose.names as names, app.propose.write as write, labelers.journal as journal
import exporters.coco_panoptic as panoptic
from fakes import FakeFinder
from killing import die_at, die_half_way
from test_propose_resume import run

source, moment, count, named = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "names"

if moment == "look":
    FakeFinder.open = die_at(count, FakeFinder.open)
elif moment == "torn line":
    journal._write_whole = die_half_way(count, journal._write_whole)
elif moment == "png":
    panoptic.PanopticWriter.add = die_at(count, panoptic.PanopticWriter.add)
elif moment == "label map":
    write.png_name = die_at(count, write.png_name)
elif moment == "table":
    names._write_document = die_at(count, names._write_document)
elif moment == "after":
    journal.Journal.remove = die_at(count, journal.Journal.remove)
else:
    raise SystemExit(f"unknown moment {moment}")
run(source, FakeFinder(), named=named)
"""


def run(source: Path, labeler: FakeFinder, *, named: bool) -> None:
    if named:
        name_boxes(Settings.of(source=source, output=source.parent / "out", for_boxes=True), labeler=labeler)
    else:
        propose(Settings.of(source=source, output=source.parent / "out", tasks=TASKS), labeler=labeler)


def tree(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    ("moment", "count", "finished", "named"),
    [
        ("look", 1, 0, False),
        ("look", 4, 3, False),
        ("torn line", 1, 0, False),  # the journal's header
        ("torn line", 4, 2, False),  # header, two photos, and half of a third
        ("png", 3, PHOTOS, False),
        ("label map", 3, PHOTOS, False),
        ("after", 1, PHOTOS, False),
        ("look", 3, 2, True),
        ("table", 1, PHOTOS, True),
        ("after", 1, PHOTOS, True),
    ],
)
def test_killed_and_run_again(tmp_path: Path, moment: str, count: int, finished: int, named: bool) -> None:
    whole, cut = (many(tmp_path / name, photos=PHOTOS, boxes=3) for name in ("whole", "cut"))
    run(whole, FakeFinder(), named=named)
    here = (str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent))
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, str(cut), moment, str(count), "names" if named else "scenes"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(here), "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert victim.returncode == -signal.SIGKILL
    again = FakeFinder()
    run(cut, again, named=named)
    assert again.opened == [str(row) for row in range(finished, PHOTOS)]
    assert not journal_path(cut.parent / "out" / "proposals").exists()
    assert tree(cut.parent) == tree(whole.parent)
