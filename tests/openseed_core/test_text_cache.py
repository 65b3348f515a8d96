"""The embeddings on disk: used again, never trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from openseed_core import text_encoder
from openseed_core.config import nano
from openseed_core.text_cache import KEPT_BYTES, SUFFIX, TextCache, text_cache_folder
from openseed_core.text_encoder import TextEncoder

PROMPTS = [["cat"], ["sofa", "couch"]]


def encoder(seed: int = 0) -> TextEncoder:
    torch.manual_seed(seed)
    with torch.inference_mode(False):
        return TextEncoder(nano(text_layers=2, text_templates=True)).eval()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENSEED_LABEL_TEXT_CACHE", str(tmp_path / "text"))
    return tmp_path / "text"


@pytest.fixture
def computing_fails(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("it was computed again")

    def switch_on():
        for name in ("end_states", "tokenize"):
            monkeypatch.setattr(text_encoder, name, fail)

    return switch_on


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob(f"*{SUFFIX}"))


@torch.inference_mode()
def test_a_second_start_reads_the_same_bits_and_computes_nothing(folder, computing_fails):
    first = encoder().encode_names(PROMPTS)
    assert len(files(folder)) == 3
    computing_fails()
    assert torch.equal(encoder().encode_names(PROMPTS), first)
    with pytest.raises(AssertionError, match="computed again"):
        encoder().encode_names([["dog"]])


@torch.inference_mode()
def test_other_weights_or_templates_never_share_a_file(folder):
    one, other = encoder(0).encode_names([["cat"]]), encoder(1).encode_names([["cat"]])
    short = encoder(0).encode_names([["cat"]], templates=("a {}.", "the {}."))
    assert len({path.parent for path in files(folder)}) == len(files(folder)) == 3
    for found in (other, short):
        assert (found - one).abs().max() > 1e-3


@torch.inference_mode()
def test_weights_that_change_in_place_are_other_weights(folder):
    made = encoder()
    before = made.encode_names([["cat"]])
    with torch.inference_mode(False), torch.no_grad():
        made.lang_proj.add_(torch.randn_like(made.lang_proj))
    after = made.encode_names([["cat"]])
    torch.testing.assert_close(after, made.encode_names([["cat"]], full_length=True), rtol=0, atol=1e-5)
    assert (after - before).abs().max() > 1e-3


@torch.inference_mode()
@pytest.mark.parametrize(
    "damage",
    [
        lambda data, other: b"",
        lambda data, other: data[:-1],
        lambda data, other: data + b"\0",
        lambda data, other: bytes([*data[:-4], data[-4] ^ 1, *data[-3:]]),
        lambda data, other: other,  # a whole file of another prompt
        lambda data, other: b"\x80\x04." * 1000,  # what would be a pickle
    ],
)
def test_a_damaged_or_foreign_file_is_computed_again_and_replaced(folder, damage):
    first = encoder().encode_names([["cat"]])
    [path] = files(folder)
    encoder().encode_names([["dog"]])
    [other] = set(files(folder)) - {path}
    good = path.read_bytes()
    path.write_bytes(damage(good, other.read_bytes()))
    assert torch.equal(encoder().encode_names([["cat"]]), first)
    assert path.read_bytes() == good
    assert not list(folder.rglob("*.part"))


@torch.inference_mode()
def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("OPENSEED_LABEL_TEXT_CACHE", str(tmp_path / "file"))
    found = encoder().encode_names([["cat"]])
    torch.testing.assert_close(found, encoder().encode_names([["cat"]], full_length=True), rtol=0, atol=1e-5)


def test_where_it_is():
    assert text_cache_folder({"OPENSEED_LABEL_TEXT_CACHE": "off"}) is None
    assert text_cache_folder({"OPENSEED_LABEL_TEXT_CACHE": "/a/b"}) == Path("/a/b")
    assert text_cache_folder({"OPENSEED_LABEL_CACHE": "/c"}) == Path("/c/text")


def test_the_oldest_files_go_first_and_nothing_else_is_touched(tmp_path):
    cache = TextCache(tmp_path, "e" * 64, 4, limit=5 * 4096)
    foreign = tmp_path / ("e" * 32) / "notes.txt"
    for k in range(7):
        TextCache(tmp_path, "e" * 64, 4, limit=KEPT_BYTES).put(f"name {k}", torch.full((4,), float(k)))
        os.utime(cache._path(f"name {k}"), (k, k))
    foreign.write_text("keep me")
    cache.put("new", torch.ones(4))
    assert [k for k in range(7) if cache.get(f"name {k}") is not None] == [3, 4, 5, 6]
    assert cache.get("name 5").tolist() == [5.0] * 4
    assert cache.get("new") is not None
    assert foreign.read_text() == "keep me"


def test_text_of_any_kind_is_a_key(tmp_path):
    cache = TextCache(tmp_path, "e" * 64, 2)
    for k, prompt in enumerate(("", "../../x", "a\0b", "\ud800", "x" * 100_000)):
        assert cache.get(prompt) is None
        cache.put(prompt, torch.tensor([float(k), 1.0]))
        assert cache.get(prompt).tolist() == [float(k), 1.0]
    assert all(path.resolve().is_relative_to(tmp_path.resolve()) for path in tmp_path.rglob("*"))
