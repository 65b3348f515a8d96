"""Fetching from a real server on this machine: whole, broken, wrong and absent files."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import threading
from dataclasses import replace

import pytest
from small import small_model

from app.cli.main import main
from openseed_core.weights import registry
from openseed_core.weights.errors import WeightsError
from openseed_core.weights.registry import Release, cache_dir, fetch, sha256_of

CONTENT = bytes(range(256)) * 5000


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/absent":
            self.send_error(404)
            return
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:700_000] if self.path == "/partial" else CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def entry(server):
    return Release(
        name="test",
        preset="swin-t",
        trained_on="-",
        page="https://example.org/releases",
        file="test.pt",
        url=f"http://127.0.0.1:{server.server_port}/whole",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def leftovers(folder):
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def at(entry, path, **changes):
    return (replace(entry, url=entry.url.replace("/whole", path), **changes),)


def test_a_whole_file_is_fetched_once(tmp_path, server, entry):
    seen = []
    target = fetch("test", tmp_path / "a" / "b", releases=(entry,), progress=lambda *step: seen.append(step))
    assert target.read_bytes() == CONTENT
    assert leftovers(target.parent) == ["test.pt"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetch("test", target.parent, releases=(entry,)) == target
    assert len(server.requests) == 1
    fetch("test", target.parent, releases=(entry,), force=True)
    assert len(server.requests) == 2


def test_redirects_are_followed_and_unknown_digests_accepted(tmp_path, entry):
    target = fetch("test", tmp_path, releases=at(entry, "/moved", size=None, sha256=None))
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "changes", "message"),
    [
        ("/partial", {}, r"after 700000 of 1280000 bytes; run it again[\s\S]*--weights FILE|connection broke"),
        ("/whole", {"sha256": "0" * 64}, "SHA-256 is .*--force"),
        ("/whole", {"size": 5, "sha256": None}, "1280000 bytes instead of 5"),
        ("/absent", {}, "answered 404.*https://example.org/releases"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(tmp_path, entry, path, changes, message):
    with pytest.raises(WeightsError, match=message):
        fetch("test", tmp_path, releases=at(entry, path, **changes))
    assert leftovers(tmp_path) == []


def test_a_bad_download_keeps_the_old_file(tmp_path, entry):
    old = tmp_path / "test.pt"
    old.write_bytes(b"old")
    with pytest.raises(WeightsError):
        fetch("test", tmp_path, releases=at(entry, "/partial"), force=True)
    assert old.read_bytes() == b"old"
    with pytest.raises(WeightsError, match="3 bytes instead of"):
        fetch("test", tmp_path, releases=(entry,))


def test_offline_names_the_address_and_the_way_around(tmp_path, entry):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/whole"
        with pytest.raises(WeightsError, match="can't be reached") as caught:
            fetch("test", tmp_path, releases=(replace(entry, url=url),), timeout=2)
    assert url in str(caught.value)
    assert "--weights FILE" in str(caught.value)
    assert leftovers(tmp_path) == []


def test_a_server_that_never_answers(tmp_path, entry):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/whole"
        with pytest.raises(WeightsError, match="timed out"):
            fetch("test", tmp_path, releases=(replace(entry, url=url),), timeout=0.3)


def test_addresses_that_are_not_fetched(tmp_path, entry):
    with pytest.raises(WeightsError, match=r"https://example\.org/releases\n.*--url LINK"):
        fetch("test", tmp_path, releases=(replace(entry, url=None),))
    for url in ("http://example.org/x.pt", "file:///etc/passwd", "ftp://example.org/x"):
        with pytest.raises(WeightsError, match="only https"):
            fetch("test", tmp_path, url=url, releases=(entry,))
    with pytest.raises(WeightsError, match="choose one of: swin-t"):
        fetch("nothing", tmp_path)


def test_the_table_is_sound():
    names = [entry.name for entry in registry.RELEASES]
    assert len(set(names)) == len(names) == 4
    assert len({entry.file for entry in registry.RELEASES}) == 4
    for entry in registry.RELEASES:
        assert entry.page.startswith("https://github.com/")
        assert entry.licence
        assert entry.licence_url.startswith("https://")


def test_cache_folder(tmp_path):
    assert cache_dir({"OPENSEED_LABEL_CACHE": str(tmp_path)}) == tmp_path
    assert cache_dir({"XDG_CACHE_HOME": "/x"}).name == "openseed-label"


def test_commands(tmp_path, server, entry, monkeypatch, capsys):
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path / "cache"))
    assert main(["models", "list"]) == 0
    text = capsys.readouterr().out
    assert all(release.name in text and release.licence in text for release in registry.RELEASES)
    assert main(["models", "list", "--json"]) == 0
    assert next(row["name"] for row in json.loads(capsys.readouterr().out)) == "nano"

    assert main(["models", "fetch", "swin-t", "--url", entry.url]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == str(tmp_path / "cache" / "model_state_dict_swint_51.2ap.pt")
    assert entry.sha256 in err
    assert "licence of swin-t" in err
    assert main(["models", "verify", "swin-t"]) == 2
    assert "not a readable checkpoint" in capsys.readouterr().err
    assert main(["models", "fetch", "swin-l-coco"]) == 2
    assert "--url LINK" in capsys.readouterr().err


def test_convert_and_verify(tmp_path, capsys):
    from openseed_core.weights.store import save_model

    official, folder, back = tmp_path / "a.pt", tmp_path / "folder", tmp_path / "back.pt"
    save_model(small_model(), official)
    assert main(["models", "convert", str(official), "-o", str(folder)]) == 0
    assert (folder / "config.json").is_file()
    assert main(["models", "convert", str(folder), "-o", str(back)]) == 0
    assert sha256_of(back) != ""
    assert main(["models", "convert", str(folder), "-o", str(folder), "--overwrite"]) == 2
    assert main(["models", "convert", str(folder), "-o", str(back)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    for path in (official, folder, back):
        assert main(["models", "verify", str(path)]) == 0
        assert "complete" in capsys.readouterr().out
