"""Names of photos: none leads out of the folder, no two are the same, sizes come from headers."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from exporters.dataset import Dataset, FormatError, Picture, WriteOptions
from exporters.photo_files import (
    MAX_BYTES,
    UniqueNames,
    checked_name,
    find_photo,
    photo_size,
    photos_below,
    place_photo,
    place_photos,
    read_index_png,
    safe_name,
)

UNSAFE = [
    "../x",
    "a/../../x",
    "/etc/passwd",
    "\\x",
    "C:\\x",
    "c:x",
    "a\\..\\..\\x",
    "http://h/x",
    "",
    " ",
    ".",
    "a\0b",
    3,
]


@pytest.mark.parametrize("name", UNSAFE)
def test_unsafe_names_are_refused(name: object) -> None:
    with pytest.raises(FormatError, match="here: "):
        checked_name(name, where="here")


@given(st.text())
def test_checked_names_never_leave(name: str) -> None:
    try:
        found = checked_name(name, where="x")
    except FormatError:
        return
    path = PurePosixPath(found)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert checked_name(found, where="x") == found


@given(st.lists(st.text("aA/_.é", min_size=1, max_size=6).filter(lambda t: t.strip("/.")), unique=True), st.booleans())
def test_unique_names_are_unique_on_every_disk(names: list[str], flat: bool) -> None:
    unique = UniqueNames(flat=flat)
    found = []
    for name in names:
        try:
            found.append(unique(name, suffix=".png"))
        except FormatError:
            assert ".." in name.split("/") or name.startswith("/")
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found}) == len(found)
    assert not flat or not any("/" in name for name in found)


def test_folders_and_long_names() -> None:
    assert safe_name("a b/ü.jpg") == "a b/ü.jpg"
    assert safe_name("a/b.jpg", flat=True) == "a__b.jpg"
    long = "日" * 200 + ".jpg"
    short = safe_name(f"d/{long}")
    assert short.startswith("d/日")
    assert short.endswith(".jpg")
    assert all(len(part.encode()) <= MAX_BYTES for part in short.split("/"))
    assert short != safe_name(f"e/{long}").replace("e/", "d/")
    unique = UniqueNames()
    assert [unique("a.jpg", folder="train"), unique("a.jpg", folder="val")] == ["a.jpg", "a.jpg"]
    assert unique("a.jpg", folder="val") != "a.jpg"


def test_links_may_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (tmp_path / "in" / "a.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(FormatError, match="link"):
        find_photo(tmp_path / "in", "a.jpg")
    assert "out of the folder" in str(place_photo(tmp_path / "in", "a.jpg", tmp_path / "o.jpg", "copy"))
    assert not (tmp_path / "o.jpg").exists()
    assert find_photo(tmp_path / "in", "missing.jpg") is None


@pytest.mark.parametrize(("orientation", "size"), [(1, (20, 30)), (6, (30, 20)), (3, (20, 30))])
def test_size_is_upright(orientation: int, size: tuple[int, int], tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert photo_size(tmp_path, "a.jpg") == size
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:10])
    with pytest.raises(FormatError, match=r"b\.jpg"):
        photo_size(tmp_path, "b.jpg")
    with pytest.raises(FormatError, match="--images"):
        photo_size(tmp_path, "c.jpg")


def test_place_photos(tmp_path: Path) -> None:
    (tmp_path / "in" / "ä").mkdir(parents=True)
    Image.new("RGB", (3, 2)).save(tmp_path / "in" / "ä" / "1.png")
    pictures = [Picture("ä/1.png", 3, 2), Picture("ä/2.png", 3, 2)]
    dataset = Dataset("x", (), 2, lambda: iter(pictures), images=tmp_path / "in")
    for mode, links in (("copy", 1), ("link", 2)):
        out = tmp_path / mode
        missing = place_photos(dataset, out, WriteOptions(copy_images=mode), lambda picture: f"p/{picture.file_name}")
        assert list(missing.values()) == [1]
        assert list(photos_below(out)) == ["p/ä/1.png"]
        assert (out / "p/ä/1.png").stat().st_nlink == links
    with pytest.raises(FormatError):
        place_photos(dataset, tmp_path / "o", WriteOptions(copy_images="copy"), lambda picture: "../x.png")


def test_index_pngs(tmp_path: Path) -> None:
    values = np.array([[0, 1, 300]], np.uint16)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    assert read_index_png(path).tolist() == values.tolist()
    with pytest.raises(FormatError, match="3 x 1"):
        read_index_png(path, height=3, width=1)
    palette = Image.fromarray(np.array([[7, 2]], np.uint8))
    palette.putpalette([3] * 768)
    palette.save(path)
    assert read_index_png(path).tolist() == [[7, 2]]
    Image.new("RGB", (2, 2)).save(path)
    with pytest.raises(FormatError, match="one channel"):
        read_index_png(path)
    # a header that promises far more pixels than there are
    path.write_bytes(path.read_bytes().replace(b"\0\0\0\2\0\0\0\2", b"\0\1\0\0\0\1\0\0", 1))
    with pytest.raises(FormatError):
        read_index_png(path)
