"""Folders of converted graphs: made once, whole or not at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from openseed_core.runtimes.graph_cache import cached, code_key


def test_a_folder_is_made_once_and_found_again(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "graph").write_text("1")

    first = cached([b"a", b"b"], make, root=tmp_path)
    assert cached([b"a", b"b"], make, root=tmp_path) == first
    assert (first / "graph").read_text() == "1"
    assert len(made) == 1


def test_parts_of_the_key_do_not_run_into_each_other(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        pass

    keys = ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""])
    assert len({cached(key, make, root=tmp_path) for key in keys}) == len(keys)


def test_what_fails_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        cached([b"a"], fail, root=tmp_path)
    assert not list(tmp_path.iterdir())
    folder = cached([b"a"], lambda folder: None, root=tmp_path)
    assert not (folder / "half").exists()


def test_two_at_a_time_get_one_whole_folder(tmp_path: Path) -> None:
    both = Barrier(2)

    def make(folder: Path) -> None:
        both.wait(timeout=30)  # neither has finished when the other begins
        (folder / "graph").write_text("whole")

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: cached([b"a"], make, root=tmp_path), range(2)))
    assert found[0] == found[1]
    assert (found[0] / "graph").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [found[0]]


def test_the_code_is_part_of_the_key() -> None:
    assert code_key() == code_key()
    assert len(code_key()) == 32
