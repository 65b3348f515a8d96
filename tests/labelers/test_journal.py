"""The journal: nothing finished is lost, nothing torn is believed, other settings are refused."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labelers import journal as module
from labelers.journal import JOURNAL_SUFFIX, Journal, JournalBusy, JournalError, JournalMismatch, journal_path

SETTINGS = {"model": "nano", "exif": "auto", "labeler": {"name": "conditioned", "version": "1"}}
ROOT = Path(__file__).resolve().parents[2]


def fill(path: Path, count: int = 3) -> bytes:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        for k in range(count):
            journal.append(str(k), {"masks": [{"size": [2, 2], "counts": f"0{k}"}], "scores": [0.1 * k]})
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.json.journal"


def test_its_place_is_beside_the_output() -> None:
    assert journal_path(Path("a/out.json")) == Path("a/out.json.journal")
    assert JOURNAL_SUFFIX == ".journal"


def test_results_are_there_after_reopening(path: Path) -> None:
    fill(path)
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert len(journal) == 3
        assert list(journal.keys()) == ["0", "1", "2"]
        assert journal.done("1")
        assert not journal.done("7")
        assert journal.read("1") == {"masks": [{"size": [2, 2], "counts": "01"}], "scores": [0.1]}
        with pytest.raises(KeyError):
            journal.read("7")


def test_reading_and_appending_mix(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        for k in range(20):
            journal.append(str(k), {"k": k})
            assert journal.read(str(k // 2)) == {"k": k // 2}


def test_a_later_result_replaces_the_earlier(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        journal.append("a", {"error": "missing"})
        journal.append("b", {})
        journal.append("a", {"error": None})
        assert journal.read("a") == {"error": None}
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert journal.read("a") == {"error": None}
        assert len(journal) == 2


def test_the_same_results_are_the_same_bytes(tmp_path: Path) -> None:
    assert fill(tmp_path / "a") == fill(tmp_path / "b")


def test_every_line_is_json(path: Path) -> None:
    header, *lines = (json.loads(line) for line in fill(path).splitlines())
    assert header["fingerprint"] == SETTINGS
    assert [line["key"] for line in lines] == ["0", "1", "2"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(st.characters()), st.dictionaries(st.text(), json_values, max_size=3), max_size=5))
def test_any_keys_and_payloads_return(path: Path, results: dict[str, dict[str, Any]]) -> None:
    with Journal.open(path, fingerprint=SETTINGS, overwrite=True) as journal:
        for key, payload in results.items():
            journal.append(key, payload)
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert {key: journal.read(key) for key in journal.keys()} == results  # noqa: SIM118 (no mapping)


def test_half_a_surrogate_pair_is_a_key_too(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        journal.append("\ud800", {"text": "\udfff"})
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert journal.read("\ud800") == {"text": "\udfff"}


def test_a_tail_torn_at_any_byte_costs_only_itself(path: Path) -> None:
    whole = fill(path)
    ends = [k + 1 for k, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = max(0, sum(end <= cut for end in ends) - 1)
        with Journal.open(path, fingerprint=SETTINGS) as journal:
            assert list(journal.keys()) == [str(k) for k in range(kept)], f"cut at byte {cut}"
            for k in range(kept, 3):
                journal.append(str(k), {"masks": [{"size": [2, 2], "counts": f"0{k}"}], "scores": [0.1 * k]})
        assert path.read_bytes() == whole, f"cut at byte {cut}"


@pytest.mark.parametrize(
    "garbage", [b"\0" * 100, b"\0\n\n", b'{"key":"9","payload":{}}\n', b'{"crc":"00000000","key":"9"}\n']
)
def test_garbage_at_the_end_is_cut_off(path: Path, garbage: bytes) -> None:
    whole = fill(path)
    path.write_bytes(whole + garbage)
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert len(journal) == 3
        assert not journal.done("9")
    assert path.read_bytes() == whole


def test_one_damaged_line_costs_only_itself(path: Path) -> None:
    whole = fill(path)
    first_result = whole.index(b"\n") + 1
    for place in range(first_result, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x01
        path.write_bytes(damaged)
        with Journal.open(path, fingerprint=SETTINGS) as journal:
            line = whole[first_result:place].count(b"\n")
            lost = {str(line), str(line + 1)} if whole[place : place + 1] == b"\n" else {str(line)}
            assert set(journal.keys()) == {"0", "1", "2"} - lost


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": "swin-t"}, 'model was "nano", now "swin-t"'),
        ({"labeler": {"name": "conditioned", "version": "2"}}, 'labeler.version was "1", now "2"'),
        ({"tighten": True}, "tighten was null, now true"),
    ],
)
def test_other_settings_are_refused_by_name(path: Path, change: Mapping[str, Any], says: str) -> None:
    whole = fill(path)
    with pytest.raises(JournalMismatch) as caught:
        Journal.open(path, fingerprint=SETTINGS | change)
    for part in (says, "--overwrite", str(path)):
        assert part in str(caught.value)
    assert str(caught.value).count(" was ") == 1
    assert path.read_bytes() == whole


def test_a_setting_that_went_away_is_a_difference(path: Path) -> None:
    fill(path)
    with pytest.raises(JournalMismatch, match='exif was "auto", now null'):
        Journal.open(path, fingerprint={k: v for k, v in SETTINGS.items() if k != "exif"})


def test_tuples_and_key_order_are_no_difference(path: Path) -> None:
    Journal.open(path, fingerprint={"a": (1, 2), "b": 1}).close()
    Journal.open(path, fingerprint={"b": 1, "a": [1, 2]}).close()


def test_overwrite_starts_over(path: Path) -> None:
    fill(path)
    with Journal.open(path, fingerprint={"model": "other"}, overwrite=True) as journal:
        assert len(journal) == 0
    Journal.open(path, fingerprint={"model": "other"}).close()


@pytest.mark.parametrize("content", [b"my diary\n", b"my diary", b'{"images": []}\n', b"\n", b"\0" * 50])
def test_a_file_that_is_no_journal_is_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match="no journal of openseed-label"):
        Journal.open(path, fingerprint=SETTINGS)
    assert path.read_bytes() == content


def test_another_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_VERSION", 99)
    fill(path)
    monkeypatch.undo()
    with pytest.raises(JournalMismatch, match="another version"):
        Journal.open(path, fingerprint=SETTINGS)


def test_two_runs_at_once_are_refused(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        journal.append("1", {})
        with pytest.raises(JournalBusy, match="another run"):
            Journal.open(path, fingerprint=SETTINGS, overwrite=True)
        assert journal.read("1") == {}
    Journal.open(path, fingerprint=SETTINGS).close()


def test_remove_deletes_and_frees_the_name(path: Path) -> None:
    journal = Journal.open(path, fingerprint=SETTINGS)
    journal.append("1", {})
    journal.remove()
    assert not path.exists()
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert not journal.done("1")


def test_closing_twice_is_fine(path: Path) -> None:
    journal = Journal.open(path, fingerprint=SETTINGS)
    journal.close()
    journal.close()


def test_a_missing_folder_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal.open(tmp_path / "no" / "x.journal", fingerprint=SETTINGS)


def test_a_payload_that_is_no_json_leaves_the_journal_as_it_was(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        with pytest.raises(TypeError):
            journal.append("1", {"counts": b"bytes"})
        journal.append("2", {})
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert list(journal.keys()) == ["2"]


def test_a_full_disk_leaves_whole_lines_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        journal.append("1", {"a": 1})
        before = path.read_bytes()

        def half(stream: Any, data: bytes) -> None:
            stream.write(data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(module, "_write_whole", half)
            with pytest.raises(OSError, match="No space"):
                journal.append("2", {"a": 2})
        assert path.read_bytes() == before
        assert not journal.done("2")
        journal.append("3", {"a": 3})
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert list(journal.keys()) == ["1", "3"]


def test_syncing_is_rare_but_happens(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), real(handle))[1])
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        synced.clear()
        for k in range(50):
            journal.append(str(k), {})
        assert len(synced) <= 2
        monkeypatch.setattr(module, "_SYNC_EVERY", 0.0)
        journal.append("x", {})
        assert synced
        synced.clear()
    assert len(synced) == 1  # at close


def test_threads_may_share_it(path: Path) -> None:
    with Journal.open(path, fingerprint=SETTINGS) as journal:

        def work(name: int) -> None:
            for k in range(50):
                journal.append(f"{name}-{k}", {"v": [name, k]})
                assert journal.read(f"{name}-{k}") == {"v": [name, k]}

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with Journal.open(path, fingerprint=SETTINGS) as journal:
        assert len(journal) == 200


_WRITER = """
import sys
from pathlib import Path
from labelers.journal import Journal

with Journal.open(Path(sys.argv[1]), fingerprint={"a": 1}) as journal:
    for k in range(len(journal), 100_000):
        journal.append(str(k), {"k": k, "text": "x" * 500})
        print(k, flush=True)
"""


def test_kill_9_loses_nothing_that_was_finished(path: Path) -> None:
    finished = -1
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first = int(process.stdout.readline())
            assert first in (finished + 1, finished + 2)  # one may have been written but not yet told
            finished = first
            for _ in range(200):
                finished = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().splitlines()
            # the last line may be cut in the pipe: only whole numbers that continue the count are believed
            while rest and rest[0] == str(finished + 1):
                finished = int(rest.pop(0))
        with Journal.open(path, fingerprint={"a": 1}) as journal:
            assert len(journal) >= finished + 1
            assert all(journal.read(str(k))["k"] == k for k in range(finished + 1))
            finished = len(journal) - 1
