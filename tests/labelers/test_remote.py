"""Photos by URL: nothing but what the user named is asked, and what goes wrong stays with its photo."""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from labelers import remote
from labelers.paths import MissingPhoto, Unreachable, UnsafePath, find_photo
from labelers.photos import TooLarge, Unreadable, read_header
from labelers.remote import RemoteError, RemoteFolder, place


def png(colour: tuple[int, int, int] = (10, 20, 30), orientation: int = 1) -> bytes:
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    out = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(out, "PNG", exif=exif)
    return out.getvalue()


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[RemoteFolder]:
    """An empty folder of fsspec's memory."""
    name = f"/remote-{abs(hash(request.node.name))}"
    yield RemoteFolder(f"memory:/{name}/photos")
    memory = fsspec.filesystem("memory")
    if memory.exists(name):
        memory.rm(name, recursive=True)


def put(folder: RemoteFolder, name: str, data: bytes) -> None:
    fsspec.filesystem("memory").pipe_file(f"{folder.url.removeprefix('memory:/')}/{name}", data)


def test_options_name_paths_and_urls(tmp_path: Path) -> None:
    assert place("photos/a") == Path("photos/a")
    assert place("C:\\photos") == Path("C:\\photos")
    assert place(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert place("memory://bucket/photos/") == RemoteFolder("memory://bucket/photos")
    assert pickle.loads(pickle.dumps(place("memory://bucket/photos"))) == RemoteFolder("memory://bucket/photos")
    with pytest.raises(RemoteError, match=r"nonsense:// is not known; use a path, s3://"):
        place("nonsense://bucket")
    with pytest.raises(RemoteError, match="URLs in URLs"):
        place("simplecache::memory://bucket")


def test_a_missing_library_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(scheme: str) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(RemoteError, match=r's3://bucket: pip install "openseed-label\[s3\]" \(Install s3fs'):
        place("s3://bucket")


def test_a_photo_by_url_is_the_photo(folder: RemoteFolder) -> None:
    put(folder, "in/a b#1?.png", png(orientation=6))
    header = read_header(folder, "in/./a b#1?.png")
    assert (header.height, header.width, header.source) == (8, 6, f"{folder}/in/./a b#1?.png")
    assert header.photo("k").pixels()[0, 0].tolist() == [10, 20, 30]
    put(folder, "back/slash.png", png())
    assert read_header(folder, "back\\slash.png").width == 8
    put(folder, "e\u0301.png", png())
    assert read_header(folder, "\u00e9.png").width == 8


def test_what_is_no_photo_is_said_of_it(folder: RemoteFolder) -> None:
    put(folder, "text.png", b"no photo")
    put(folder, "half.png", png()[:45])
    with pytest.raises(MissingPhoto, match=rf"photo 'gone.png': there is no such file in {folder}"):
        read_header(folder, "gone.png")
    with pytest.raises(MissingPhoto):
        read_header(RemoteFolder("memory://no-such-bucket"), "gone.png")
    with pytest.raises(Unreadable, match=r"text.png"):
        read_header(folder, "text.png")
    with pytest.raises(Unreadable, match=r"half.png"):
        read_header(folder, "half.png").photo("k").pixels()
    put(folder, "large.png", png())
    with pytest.raises(TooLarge):
        read_header(folder, "large.png", max_pixels=10)


def test_bytes_are_capped_before_anything_is_decoded(folder: RemoteFolder) -> None:
    put(folder, "a.png", b"x" * 100)
    assert len((folder / "a.png").fetched(most=100).open().read()) == 100
    with pytest.raises(RemoteError, match=r"a.png: larger than"):
        (folder / "a.png").fetched(most=99)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "a/../../secret.png",
        "/secret.png",
        "..\\secret.png",
        "memory://other/secret.png",
        "s3://b/k",
        "simplecache::s3://b/k",
        "a\0.png",
        "file:///etc/passwd",
        "data:image/png;base64,xx",
        "http://169.254.169.254/latest",
        "",
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_asked(
    folder: RemoteFolder, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "system_of", lambda url: pytest.fail("asked"))
    with pytest.raises(UnsafePath):
        find_photo(folder, name)


def test_a_name_with_two_colons_is_a_name(folder: RemoteFolder, tmp_path: Path) -> None:
    """fsspec would open the local file of such a URL."""
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())
    with pytest.raises(MissingPhoto):
        find_photo(folder, f"xx::file:/{secret}".replace("//", "/"))


class Flaky:
    """A file system that fails so many times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.asked = list(errors), 0

    def cat_file(self, path: str, **_: Any) -> bytes:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return png()


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError("slow"), RuntimeError("a library's own")])
def test_one_transient_error_is_forgiven_and_two_are_reported(
    folder: RemoteFolder, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(remote, "_AGAIN_AFTER", 0.0)
    for times, expected in ((1, 2), (2, 2)):
        system = Flaky(*[error] * times)
        monkeypatch.setattr(remote, "system_of", lambda url, system=system: (system, "photos"))
        if times == 1:
            assert read_header(folder, "a.png").width == 8
        else:
            with pytest.raises(
                Unreachable, match=rf"photo 'a.png': {folder} gives no answer, asked twice \({type(error).__name__}"
            ):
                read_header(folder, "a.png")
        assert system.asked == expected


@pytest.mark.parametrize(
    ("error", "kind"), [(FileNotFoundError("a"), MissingPhoto), (PermissionError("no"), Unreachable)]
)
def test_certain_errors_are_not_tried_again(
    folder: RemoteFolder, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[Exception]
) -> None:
    system = Flaky(error, error)
    monkeypatch.setattr(remote, "system_of", lambda url: (system, "photos"))
    with pytest.raises(kind):
        read_header(folder, "a.png")
    assert system.asked == 1


class Web(BaseHTTPRequestHandler):
    """Serves one photo, and sends the curious elsewhere."""

    asked: list[str] = []  # noqa: RUF012 - of the class on purpose

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path == "/photos/away.png":
            self.send_response(302)
            self.send_header("Location", "/secret/a.png")
            self.end_headers()
            return
        there = self.path in ("/photos/a%20b%3F%23.png", "/secret/a.png")
        data = png() if there else b""
        self.send_response(200 if there else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    do_HEAD = do_GET

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def web() -> Iterator[RemoteFolder]:
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Web.asked.clear()
    yield RemoteFolder(f"http://127.0.0.1:{server.server_port}/photos")
    server.shutdown()
    server.server_close()


def test_a_web_server_gives_photos_and_sends_nobody_elsewhere(
    web: RemoteFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_AGAIN_AFTER", 0.0)
    header = read_header(web, "a b?#.png")
    assert np.array_equal(header.photo("k").pixels()[0, 0], [10, 20, 30])
    with pytest.raises(MissingPhoto):
        read_header(web, "gone.png")
    with pytest.raises((Unreachable, Unreadable)):
        read_header(web, "away.png")
    with pytest.raises(MissingPhoto):
        read_header(web, "%2e%2e/secret/a.png")
    assert not [path for path in Web.asked if path.startswith("/secret")]
