"""A folder appears whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporters.atomic import building, scratch
from exporters.dataset import FormatError
from exporters.files import FileBusyError


def test_folder_appears_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "deep er" / "größe"
    with building(out) as folder:
        (folder / "a.txt").write_text("a")
        assert not out.exists()
    assert (out / "a.txt").read_text() == "a"
    assert [path.name for path in out.parent.iterdir()] == ["größe"]
    assert out.stat().st_mode & 0o555 == (tmp_path / "deep er").stat().st_mode & 0o555


def test_empty_folder_is_taken_a_full_one_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with building(out) as folder:
        (folder / "a.txt").touch()
    with pytest.raises(FormatError, match="not empty"), building(out):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(FormatError, match="it is a file"), building(tmp_path / "file"):
        pass
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FormatError, match="leads nowhere"), building(tmp_path / "link"):
        pass


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    def build() -> None:
        with building(tmp_path / "out") as folder:
            (folder / "a.txt").touch()
            raise error

    with pytest.raises(error):
        build()
    assert list(tmp_path.iterdir()) == []


def test_who_filled_the_folder_meanwhile_wins(tmp_path: Path) -> None:
    def build() -> None:
        with building(tmp_path / "out"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").touch()

    with pytest.raises(FormatError, match="not empty"):
        build()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "theirs"]


def test_two_at_once_are_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with building(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("a")
        with pytest.raises(FileBusyError, match="another run"), building(tmp_path / "out"):
            pass
        with building(tmp_path / "other"):
            pass
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.txt", "other", "out"]


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = "import os; from exporters.atomic import building; from pathlib import Path\n"
    killed += "with building(Path('out')) as f: (f / 'deep').mkdir(); (f / 'deep' / 'half').touch(); os._exit(9)"
    root = str(Path(__file__).parents[3])
    done = subprocess.run([sys.executable, "-c", killed], cwd=tmp_path, env={**os.environ, "PYTHONPATH": root})
    assert done.returncode == 9
    assert len(list(tmp_path.iterdir())) == 1
    with building(tmp_path / "out") as folder:
        assert list(folder.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_scratch_folder_goes_away(tmp_path: Path) -> None:
    with scratch(tmp_path / "new" / "out", "photos") as folder:
        (folder / "a.txt").touch()
        assert folder.parent == tmp_path / "new"
    assert list((tmp_path / "new").iterdir()) == []
