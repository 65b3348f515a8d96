"""``kill -9`` at any moment, run again: the same bytes as an uninterrupted run, and nothing is computed twice."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from coco_files import many, read
from fakes import FakeLabeler

from app.convert import Settings, convert
from app.errors import UsageError
from labelers.journal import JournalMismatch, journal_path

ROOT = Path(__file__).parents[2]
PHOTOS, BOXES = 8, 3

# Runs a conversion in which the process kills itself, without any chance to clean up, at the given moment.
VICTIM = """
import sys
from pathlib import Path
import app.convert.conversion as conversion, app.convert.write as write
import exporters.coco as coco, labelers.journal as journal
from app.convert import Settings, convert
from fakes import FakeLabeler
from killing import die_at, die_half_way

source, moment, count, in_place = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4] == "in-place"

class Labeler(FakeLabeler):
    pass

if moment == "label":
    Labeler.open = die_at(count, FakeLabeler.open)
elif moment == "torn line":
    journal._write_whole = die_half_way(count, journal._write_whole)
elif moment == "write":
    coco.edited = die_at(count, coco.edited)
elif moment == "before rename":
    write.sha256 = die_at(count, write.sha256)
elif moment == "after rename":
    journal.Journal.remove = die_at(count, journal.Journal.remove)
else:
    raise SystemExit(f"unknown moment {moment}")
convert(Settings.of(source=source, output=None, in_place=in_place, tighten=True), labeler=Labeler())
"""

MOMENTS = [
    ("label", 1, 0),
    ("label", 4, 3),
    ("torn line", 1, 0),  # the journal's header
    ("torn line", 5, 2),  # header, input, two photos, and half of a third
    ("write", 1, PHOTOS),
    ("write", 11, PHOTOS),
    ("before rename", 1, PHOTOS),
    ("after rename", 1, PHOTOS),
]


def run(source: Path, labeler: FakeLabeler, *, in_place: bool = False) -> None:
    convert(Settings.of(source=source, output=None, in_place=in_place, tighten=True), labeler=labeler)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(("moment", "count", "finished"), MOMENTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_killed_and_run_again(tmp_path: Path, moment: str, count: int, finished: int, in_place: bool) -> None:
    whole, cut = (many(tmp_path / name, photos=PHOTOS, boxes=BOXES) for name in ("whole", "cut"))
    run(whole, FakeLabeler(), in_place=in_place)
    where = "in-place" if in_place else "beside"
    victim = subprocess.run(
        [sys.executable, "-c", VICTIM, str(cut), moment, str(count), where], env=environment(), timeout=120
    )
    assert victim.returncode == -signal.SIGKILL
    output = cut if in_place else cut.with_name("data.masks.json")
    if not (in_place and moment == "after rename"):
        # nobody ever sees half of a file
        assert read(cut) == read(many(tmp_path / "fresh", photos=PHOTOS, boxes=BOXES))
    again = FakeLabeler()
    run(cut, again, in_place=in_place)
    # the labeler goes on while results are written, two photos ahead at the most: their results may be lost
    ahead = 2 if moment == "label" else 0
    first = int(again.opened[0]) if again.opened else PHOTOS
    assert finished - ahead <= first <= finished
    assert again.opened == [str(row) for row in range(first, PHOTOS)]
    expected = whole if in_place else whole.with_name("data.masks.json")
    assert output.read_bytes() == expected.read_bytes()
    assert not journal_path(output).exists()
    assert sorted(p.name for p in cut.parent.iterdir()) == sorted(p.name for p in whole.parent.iterdir())


def test_the_command_killed_from_outside_at_three_random_moments(tmp_path: Path) -> None:
    whole, cut = (many(tmp_path / name, photos=40, boxes=4) for name in ("whole", "cut"))
    command = [sys.executable, "-m", "app.cli.main", "convert-boxes", "--labeler", "grabcut", "-q"]
    assert subprocess.run([*command, str(whole)], env=environment(), timeout=300).returncode in (0, 1)
    journal = journal_path(cut.with_name("data.masks.json"))
    seen = 0
    for wanted in (3, 9, 20):
        process = subprocess.Popen([*command, str(cut)], env=environment())
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if journal.exists() and journal.read_bytes().count(b"\n") >= wanted + 2:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.002)
        assert process.wait(60) == -signal.SIGKILL
        lines = journal.read_bytes().count(b"\n")
        assert lines > seen
        seen = lines
    assert subprocess.run([*command, str(cut)], env=environment(), timeout=300).returncode in (0, 1)
    digests = [hashlib.sha256(p.with_name("data.masks.json").read_bytes()).hexdigest() for p in (whole, cut)]
    assert digests[0] == digests[1]


def test_interrupted_by_hand_exits_130_and_goes_on(tmp_path: Path) -> None:
    source = many(tmp_path, photos=60, boxes=6)
    command = [sys.executable, "-m", "app.cli.main", "convert-boxes", "--labeler", "grabcut", str(source)]
    process = subprocess.Popen(
        command,
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
        # a shell that runs the tests in the background has Ctrl+C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    journal = journal_path(tmp_path / "data.masks.json")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    result = subprocess.run(
        [*command, "--json"], env=environment(), timeout=300, capture_output=True, text=True, check=False
    )
    assert json.loads(result.stdout)["photos"]["resumed"] >= 3


def stopped(source: Path, **options: Any) -> None:
    """A run that is interrupted after three photos."""

    class Stopping(FakeLabeler):
        def open(self, photo: Any) -> Any:
            if len(self.opened) == 3:
                raise KeyboardInterrupt
            return super().open(photo)

    with pytest.raises(KeyboardInterrupt):
        convert(Settings.of(source=source, output=None, **options), labeler=Stopping())


def test_other_settings_do_not_mix_with_an_unfinished_run(tmp_path: Path) -> None:
    source = many(tmp_path, photos=5, boxes=2)
    stopped(source)
    with pytest.raises(JournalMismatch, match=r"clip was false, now true.*--overwrite"):
        convert(Settings.of(source=source, output=None, clip=True), labeler=FakeLabeler())
    labeler = FakeLabeler()
    convert(Settings.of(source=source, output=None, clip=True, overwrite=True), labeler=labeler)
    assert len(labeler.opened) == 5


def test_how_it_is_written_may_change_in_the_middle(tmp_path: Path) -> None:
    source = many(tmp_path, photos=5, boxes=2)
    stopped(source, limit=4)
    labeler = FakeLabeler()
    convert(Settings.of(source=source, output=None, form="rle", provenance=False), labeler=labeler)
    assert labeler.opened == ["3", "4"]
    after = read(tmp_path / "data.masks.json")["annotations"]
    assert all(isinstance(a["segmentation"], dict) and "openseed_label" not in a for a in after)


def test_an_input_that_changed_meanwhile_is_refused(tmp_path: Path) -> None:
    source = many(tmp_path, photos=5, boxes=2)
    stopped(source)
    content = read(source)
    content["annotations"].reverse()
    source.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"has changed since.*--overwrite"):
        convert(Settings.of(source=source, output=None), labeler=FakeLabeler())


def test_photos_that_failed_are_tried_again_and_the_others_are_not(tmp_path: Path) -> None:
    source = many(tmp_path, photos=5, boxes=2)
    (tmp_path / "photo1.png").rename(tmp_path / "away.png")

    class Stopping(FakeLabeler):
        def open(self, photo: Any) -> Any:
            if photo.key == "4":
                raise KeyboardInterrupt
            return super().open(photo)

    with pytest.raises(KeyboardInterrupt):
        convert(Settings.of(source=source, output=None), labeler=Stopping(fail_on={"2"}))
    (tmp_path / "away.png").rename(tmp_path / "photo1.png")
    labeler = FakeLabeler()
    summary = convert(Settings.of(source=source, output=None), labeler=labeler)
    assert labeler.opened == ["0", "2", "4"]
    assert summary.exit_code == 0
    assert summary.photos["resumed"] == 2


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = many(tmp_path, photos=4, boxes=2)
    output = tmp_path / "data.masks.json"

    def full(path: Path) -> str:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("app.convert.write.sha256", full)
        with pytest.raises(OSError, match="No space left"):
            convert(Settings.of(source=source, output=None), labeler=FakeLabeler())
    assert not output.exists()
    labeler = FakeLabeler()
    convert(Settings.of(source=source, output=None), labeler=labeler)
    assert labeler.opened == []
    assert len(read(output)["annotations"]) == 8
