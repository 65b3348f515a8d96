"""Photos over HTTP: allowed hosts, tokens, redirects, limits."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from photo_site import HEIGHT, LEGACY, PERSONAL, WIDTH, Site, jwt, photo_site, picture

from app.label_studio.fetch import Fetcher, FetchError, allows, shown
from app.label_studio.photos import PhotoFiles, address_in
from app.label_studio.settings import Access
from app.label_studio.tokens import Introduction
from labelers.photos import TooLarge, Unreadable


@pytest.fixture
def site() -> Iterator[Site]:
    with photo_site() as found:
        yield found


@pytest.fixture
def other() -> Iterator[Site]:
    with photo_site() as found:
        yield found


def size_of(value: str, *, known: Introduction | None = None, task_id: object = 1, **access: Any) -> tuple[int, int]:
    """Fetch what a task holds; height and width."""
    files = PhotoFiles(Fetcher(Access(**access)))
    try:
        key, url = files.key(value, task_id=task_id, known=known)
        header = files.get(key, url, source=shown(value), known=known)
        assert header.photo("x").pixels().shape == (header.height, header.width, 3)
        return header.height, header.width
    finally:
        files.close()


def test_an_uploaded_photo_with_each_kind_of_token(site: Site) -> None:
    path = "/data/upload/1/a.png"
    assert size_of(path, url=site.url, api_key=PERSONAL) == (HEIGHT, WIDTH)
    assert size_of(path, url=site.url, api_key=LEGACY) == (HEIGHT, WIDTH)
    assert size_of(path, known=Introduction(site.url, LEGACY)) == (HEIGHT, WIDTH)
    assert site.paths() == ["/api/token/refresh/", path, path, path]


def test_without_a_token_the_remedy_is_said(site: Site) -> None:
    site.legacy = False
    with pytest.raises(FetchError, match=r"401 \(no token was sent\).*LABEL_STUDIO_API_KEY"):
        size_of("/data/upload/1/a.png", url=site.url)
    with pytest.raises(FetchError, match=r"the token was refused"):
        size_of("/data/upload/1/a.png", known=Introduction(site.url, LEGACY))
    with pytest.raises(FetchError, match="refuses the personal access token"):
        size_of("/data/upload/1/a.png", url=site.url, api_key=jwt("refresh"))


def test_an_expired_access_token_is_bought_again(site: Site) -> None:
    files = PhotoFiles(Fetcher(Access(url=site.url, api_key=PERSONAL)))
    for number in range(2):
        key, url = files.key(f"/data/upload/1/{number}.png", task_id=1, known=None)
        files.get(key, url, source="x", known=None)
        site.access.clear()  # the server forgets it, as if it had ended
    files.close()
    assert site.paths().count("/api/token/refresh/") == 2


def test_each_photo_is_fetched_once(site: Site) -> None:
    files = PhotoFiles(Fetcher(Access(url=site.url, api_key=LEGACY)))
    key, url = files.key("/data/upload/1/a.png", task_id=1, known=None)
    for _ in range(3):
        files.get(key, url, source="x", known=None)
    assert site.paths() == ["/data/upload/1/a.png"]
    files.close()


def test_files_make_room_for_each_other(site: Site) -> None:
    large = len(picture())
    files = PhotoFiles(Fetcher(Access(url=site.url, api_key=LEGACY, cache_bytes=large * 2)))
    folder = Path(files._folder.name)
    for number in range(5):
        key, url = files.key(f"/data/upload/1/{number}.png", task_id=1, known=None)
        files.get(key, url, source="x", known=None)
    assert len(list(folder.iterdir())) == 2
    files.close()
    assert not folder.exists()


def test_local_files_and_cloud_addresses_go_through_label_studio(site: Site, other: Site) -> None:
    assert size_of("/data/local-files/?d=photos/a b.png", url=site.url, api_key=LEGACY) == (HEIGHT, WIDTH)
    coded = base64.urlsafe_b64encode(b"s3://bucket/a.png").decode()
    path = f"/tasks/7/resolve/?fileuri={coded}"
    site.redirects[path] = f"{other.url}/bucket/a.png?X-Amz-Signature=secret"
    port = other.url.rpartition(":")[2]
    found = size_of("s3://bucket/a.png", task_id=7, url=site.url, api_key=LEGACY, allowed_hosts=(f"localhost:{port}",))
    assert found == (HEIGHT, WIDTH)
    assert other.seen == [("/bucket/a.png?X-Amz-Signature=secret", "")], "the token stays with Label Studio"


def test_only_allowed_hosts(site: Site, other: Site) -> None:
    with pytest.raises(FetchError, match=r"not fetched from localhost; .*--allow-host localhost"):
        size_of(f"{other.url}/a.png", url="http://label.example")
    assert size_of(f"{other.url}/a.png", allowed_hosts=("localhost",)) == (HEIGHT, WIDTH)
    site.redirects["/data/a.png"] = "http://169.254.169.254/latest/meta-data/"
    with pytest.raises(FetchError, match=r"not fetched from 169\.254\.169\.254"):
        size_of("/data/a.png", url=site.url, api_key=LEGACY)
    site.redirects["/data/b.png"] = "file:///etc/passwd"
    with pytest.raises(FetchError, match=r"not http\(s\)"):
        size_of("/data/b.png", url=site.url, api_key=LEGACY)


@pytest.mark.parametrize("value", ["file:///etc/passwd", "ftp://a/b.png", "javascript:alert(1)"])
def test_other_schemes(value: str) -> None:
    with pytest.raises(FetchError, match="are not fetched"):
        size_of(value, url="http://127.0.0.1:1")


def test_a_path_without_a_known_label_studio() -> None:
    with pytest.raises(FetchError, match="--label-studio URL"):
        size_of("/data/upload/1/a.png")
    with pytest.raises(FetchError, match=r"calls itself http://evil\.example"):
        size_of("/data/upload/1/a.png", known=Introduction("http://evil.example", "t"))


def test_redirects_end(site: Site) -> None:
    site.redirects["/data/a.png"] = "/data/a.png"
    with pytest.raises(FetchError, match="more than 4 redirects"):
        size_of("/data/a.png", url=site.url, api_key=LEGACY)
    assert len(site.seen) == 5


def test_limits(site: Site) -> None:
    with pytest.raises(FetchError, match="larger than the 100 bytes"):
        size_of("/data/a.png", url=site.url, api_key=LEGACY, max_bytes=100)
    with pytest.raises(TooLarge, match=r"/data/a\.png"):
        size_of("/data/a.png", url=site.url, api_key=LEGACY, max_pixels=100)
    site.delay = 0.5
    with pytest.raises(FetchError, match="can't be fetched"):
        size_of("/data/a.png", url=site.url, api_key=LEGACY, seconds=0.1)


def test_what_is_no_photo_names_the_address(site: Site) -> None:
    site.photos["/data/upload/1/no.txt"] = b"hello"
    with pytest.raises(Unreadable, match=r"^/data/upload/1/no\.txt: "):
        size_of("/data/upload/1/no.txt", url=site.url, api_key=LEGACY)
    with pytest.raises(FetchError, match="404"):
        size_of("/data/upload/1/missing.png", url=site.url, api_key=LEGACY)


def test_inline_photos() -> None:
    coded = base64.b64encode(picture(8, 6)).decode()
    assert size_of(f"data:image/png;base64,{coded}") == (6, 8)
    with pytest.raises(FetchError, match="cut off or too large"):
        size_of(f"data:image/png;base64,{coded}", max_bytes=10)
    with pytest.raises(Unreadable):
        size_of("data:image/png;base64,AAAA")


def test_rotated_photos_have_their_upright_size(site: Site) -> None:
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    site.photos["/data/r.jpg"] = picture(40, 20, form="JPEG", exif=exif)
    assert size_of("/data/r.jpg", url=site.url, api_key=LEGACY) == (40, 20)


def test_host_patterns() -> None:
    assert allows(("*.amazonaws.com",), "b.s3.amazonaws.com", 443)
    assert not allows(("*.amazonaws.com",), "amazonaws.com.evil.example", 443)
    assert allows(("minio:9000",), "minio", 9000)
    assert not allows(("minio:9000",), "minio", 22)
    assert not allows((), "minio", 9000)


def test_signatures_are_not_shown() -> None:
    assert shown("https://b.example/a.png?X-Amz-Signature=secret") == "https://b.example/a.png"
    assert shown("/data/local-files/?d=a.png") == "/data/local-files/?d=a.png"
    assert len(shown("data:image/png;base64," + "A" * 1000)) < 40


def test_addresses_in_tasks() -> None:
    data = {"image": "a.png", "pages": ["b.png", {"url": "c.png"}], "deep": {"image": " d.png "}, "none": 3}
    assert address_in(data, "image", 0) == "a.png"
    assert address_in(data, "pages", 0) == "b.png"
    assert address_in(data, "pages", 1) == "c.png"
    assert address_in(data, "deep.image", 0) == "d.png"
    for key, item in [("pages", 2), ("pages", -1), ("none", 0), ("absent", 0)]:
        with pytest.raises(FetchError, match="holds no address"):
            address_in(data, key, item)
