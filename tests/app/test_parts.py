"""--part and --merge: whatever the number of parts, the merged file is that of one run."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from coco_files import many
from fakes import FakeLabeler

from app.cli.main import main
from app.convert import Settings, convert
from app.convert.parts import part_path
from app.errors import UsageError
from labelers.journal import JournalError, JournalMismatch, journal_path

PHOTOS, BOXES = 11, 3


def settings(source: Path, **options: object) -> Settings:
    return Settings.of(source=source, output=None, tighten=True, **options)


def parts(source: Path, count: int, **options: object) -> list[FakeLabeler]:
    """Each part with a labeler of its own, the last part first."""
    labelers = []
    for number in range(count, 0, -1):
        labelers.append(FakeLabeler())
        convert(settings(source, part=(number, count), **options), labeler=labelers[-1])
    return labelers


@pytest.mark.parametrize("count", [1, 3, PHOTOS, 20])
def test_merged_parts_are_the_undivided_run(tmp_path: Path, count: int) -> None:
    source = many(tmp_path, photos=PHOTOS, boxes=BOXES)
    (tmp_path / "photo4.png").write_bytes(b"no photo")
    whole = tmp_path / "whole.json"
    expected = convert(Settings.of(source=source, output=whole, tighten=True), labeler=FakeLabeler())
    labelers = parts(source, count)
    output = source.with_name("data.masks.json")
    assert not output.exists()
    merged = convert(settings(source, merge=count, report=source.with_name("r.html")))
    assert output.read_bytes() == whole.read_bytes()
    assert merged == dataclasses.replace(expected, output=str(output.resolve()), report=str(source.with_name("r.html")))
    assert merged.exit_code == 1
    assert source.with_name("r.html").exists()
    opened = [row for labeler in labelers for row in labeler.opened]
    assert sorted(opened, key=int) == [str(row) for row in range(PHOTOS) if row != 3]  # each once
    assert max(len(labeler.opened) for labeler in labelers) <= -(-PHOTOS // count)


def test_a_part_says_what_it_did_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    class Stopping(FakeLabeler):
        def open(self, photo):  # type: ignore[no-untyped-def]
            if len(self.opened) == 2:
                raise KeyboardInterrupt
            return super().open(photo)

    source = many(tmp_path, photos=PHOTOS, boxes=BOXES)
    with pytest.raises(KeyboardInterrupt):
        convert(settings(source, part=(2, 2)), labeler=Stopping())
    parts(source, 1)
    convert(settings(source, part=(1, 2)), labeler=FakeLabeler())
    with pytest.raises(UsageError, match=r"part 2 are not done yet; go on with --part 2/2"):
        convert(settings(source, merge=2))
    again = FakeLabeler()
    found = convert(settings(source, part=(2, 2)), labeler=again)
    assert found.output == str(part_path(source.with_name("data.masks.json").resolve(), 2, 2))
    assert found.photos["asked"] == PHOTOS // 2
    assert found.annotations == {"converted": PHOTOS // 2 * BOXES, "left_out": (PHOTOS - PHOTOS // 2) * BOXES}
    assert "--merge 2" in found.notes[-1]
    assert found.photos["resumed"] + len(again.opened) == PHOTOS // 2
    assert found.photos["resumed"] > 0
    assert convert(settings(source, merge=2)).exit_code == 0


def test_parts_of_other_machines_are_copied_together(tmp_path: Path) -> None:
    """Their photos may lie elsewhere."""
    here, there = (many(tmp_path / name / "in", photos=PHOTOS, boxes=BOXES) for name in ("here", "there"))
    shutil.move(there.parent / "photo1.png", tmp_path / "photo1.png")
    photos = there.parent / "photos"
    photos.mkdir()
    for photo in [*there.parent.glob("*.png"), tmp_path / "photo1.png"]:
        shutil.move(photo, photos / photo.name)
    convert(settings(here, part=(1, 2)), labeler=FakeLabeler())
    convert(settings(there, part=(2, 2), images=photos), labeler=FakeLabeler())
    output = here.with_name("data.masks.json")
    shutil.copy(part_path(there.with_name("data.masks.json"), 2, 2), here.parent)
    convert(settings(here, merge=2))
    whole = many(tmp_path / "whole", photos=PHOTOS, boxes=BOXES)
    convert(settings(whole), labeler=FakeLabeler())
    assert output.read_bytes() == whole.with_name("data.masks.json").read_bytes()


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    source = many(tmp_path, photos=PHOTOS, boxes=BOXES)
    output = source.with_name("data.masks.json").resolve()
    convert(settings(source, part=(1, 2)), labeler=FakeLabeler())
    with pytest.raises(UsageError, match=r"--merge 2: part 2 of 2 is missing; .*of-2.journal is made by --part 2/2"):
        convert(settings(source, merge=2))
    shutil.copy(part_path(output, 1, 2), part_path(output, 2, 2))  # the first again
    with pytest.raises(JournalMismatch, match="part was"):
        convert(settings(source, merge=2))
    part_path(output, 2, 2).write_text("something else\n")
    with pytest.raises(JournalError, match="no journal"):
        convert(settings(source, merge=2))
    part_path(output, 2, 2).write_bytes(b"")
    with pytest.raises(JournalError, match="nothing is in it yet"):
        convert(settings(source, merge=2))
    convert(settings(source, part=(2, 2), overwrite=True, clip=True), labeler=FakeLabeler())
    with pytest.raises(JournalMismatch, match="clip was true, now false"):
        convert(settings(source, merge=2))
    convert(settings(source, part=(2, 2), overwrite=True), labeler=FakeLabeler())
    source.write_text(source.read_text() + "\n")
    with pytest.raises(UsageError, match="was made from another"):
        convert(settings(source, merge=2))
    assert not output.exists()
    assert not journal_path(output).exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "3/2"], "write 3/10 for the third of ten parts"),
        (["--part", "0/2"], "write 3/10"),
        (["--part", "1"], "write 3/10"),
        (["--part", "1/2", "--merge", "2"], "give one of them"),
        (["--part", "1/2", "--report", "r.html"], "give it with --merge"),
        (["--merge", "2", "--dry-run"], "leave --dry-run out"),
        (["--merge", "2"], "part 1, 2 of 2 is missing"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    source = many(tmp_path, photos=2, boxes=1)
    try:
        code = main(["convert-boxes", str(source), "--labeler", "rectangle", *words])
    except SystemExit as error:  # argparse
        code = error.code
    assert code == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if "masks" in path.name] == []


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, whole = many(tmp_path / "in", photos=5, boxes=2), many(tmp_path / "whole", photos=5, boxes=2)
    for number in (1, 2):
        assert main(["convert-boxes", str(source), "--labeler", "rectangle", "--part", f"{number}/2", "-q"]) == 0
    capsys.readouterr()
    assert main(["convert-boxes", str(source), "--labeler", "rectangle", "--merge", "2", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["annotations"] == {"converted": 10}
    assert main(["convert-boxes", str(whole), "--labeler", "rectangle", "-q"]) == 0
    assert source.with_name("data.masks.json").read_bytes() == whole.with_name("data.masks.json").read_bytes()
    # the dry run of a part looks at its photos only
    capsys.readouterr()
    (source.parent / "photo2.png").unlink()
    words = ["convert-boxes", str(source), "-o", str(tmp_path / "o.json"), "--dry-run", "-q"]
    assert [main([*words, "--part", part]) for part in ("1/2", "2/2")] == [0, 1]
