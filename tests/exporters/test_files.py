import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exporters.files import FileBusyError, replacing

ROOT = Path(__file__).parents[2]

HANGING = """
import sys, time
from pathlib import Path
from exporters.files import replacing
with replacing(Path(sys.argv[1])) as out:
    out.write(b"half" * 100_000)
    out.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_and_an_old_file_get_the_content(tmp_path: Path) -> None:
    for content in (b"a longer one", b"short"):
        with replacing(tmp_path / "out") as out:
            out.write(content)
        assert (tmp_path / "out").read_bytes() == content
    assert names(tmp_path) == ["out"]


def test_until_the_end_the_old_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with replacing(path) as out:
        out.write(b"new")
        out.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises(TypeError), replacing(path) as out:
        out.write("text where bytes belong")  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_killed_run_leaves_the_old_file_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    child = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"writing\n"
        with pytest.raises(FileBusyError, match="another run is writing"), replacing(path):
            pass
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert path.read_text() == "old"
    with replacing(path) as out:
        out.write(b"new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["out"]


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "data", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    with replacing(link) as out:
        out.write(b"new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    assert target.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with replacing(tmp_path / "out") as out:
        out.write(b"new")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_planted_link_at_the_partial_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / ".out.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"), replacing(tmp_path / "out") as out:
        out.write(b"new")
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_missing_folder_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "out"):
        pass


def test_the_finished_file_is_shown_before_it_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    seen: list[tuple[bytes, str]] = []
    with replacing(path, before_replace=lambda new: seen.append((new.read_bytes(), path.read_text()))) as out:
        out.write(b"new")
    assert seen == [(b"new", "old")]
    assert path.read_text() == "new"


def test_what_is_raised_before_replacing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")

    def refuse(new: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"), replacing(path, before_replace=refuse) as out:
        out.write(b"new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["out"]
