"""A folder appears whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporters.atomic import building
from exporters.dataset import FormatError


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
