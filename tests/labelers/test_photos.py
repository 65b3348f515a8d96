"""The safe reader: what it decodes, how it turns it, what it refuses."""

from __future__ import annotations

import io
import os
import pickle
import struct
import unicodedata
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from labelers import photos
from labelers.orientation import array_to_upright, swaps_sides
from labelers.photos import (
    MissingPhoto,
    PhotoError,
    TooLarge,
    Unreadable,
    UnsafePath,
    open_photo,
    raw_size,
    read_header,
)
from labelers.pixels import grey_to_8bit


def colours(height: int = 24, width: int = 40) -> np.ndarray:
    """Four corners of different colour, so that every turn shows."""
    image = np.full((height, width, 3), 128, np.uint8)
    image[: height // 2, : width // 2] = (250, 10, 10)
    image[: height // 2, width // 2 :] = (10, 250, 10)
    image[height // 2 :, : width // 2] = (10, 10, 250)
    return image


def exif_bytes(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def pixels(root: Path, name: str) -> np.ndarray:
    return open_photo(root, name, key="1").pixels()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_exif_orientations_come_out_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    raw = colours()
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(raw).save(tmp_path / f"a.{suffix}", exif=exif_bytes(orientation), **options)
    photo = open_photo(tmp_path, f"a.{suffix}", key="7")
    expected = array_to_upright(raw, orientation)
    assert (photo.height, photo.width) == expected.shape[:2]
    assert raw_size(tmp_path, f"a.{suffix}") == (24, 40, orientation)
    header = read_header(tmp_path, f"a.{suffix}")
    assert (header.height, header.width) == ((40, 24) if swaps_sides(orientation) else (24, 40))
    upright = photo.pixels()
    assert upright.flags["C_CONTIGUOUS"]
    assert np.abs(upright.astype(int) - expected).max() <= (4 if suffix == "jpg" else 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize(
    "tail", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01"]
)
def test_damaged_exif_means_as_stored(tmp_path: Path, tail: bytes) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=tail)
    assert raw_size(tmp_path, "a.jpg") == (24, 40, 1)
    assert pixels(tmp_path, "a.jpg").shape == (24, 40, 3)


@pytest.mark.parametrize("orientation", [0, 9, 600])
def test_nonsense_orientations_mean_as_stored(tmp_path: Path, orientation: int) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.jpg", exif=exif_bytes(orientation))
    assert raw_size(tmp_path, "a.jpg") == (24, 40, 1)


def test_orientation_after_the_png_pixels_is_the_same_for_header_and_pixels(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    body = exif_bytes(6).removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
    (tmp_path / "a.png").write_bytes(data[:-12] + chunk + data[-12:])
    photo = open_photo(tmp_path, "a.png", key="1")
    assert photo.pixels().shape == (photo.height, photo.width, 3)


def test_grey_and_bilevel(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey).save(tmp_path / "l.png")
    np.testing.assert_array_equal(pixels(tmp_path, "l.png"), np.repeat(grey[..., None], 3, axis=2))
    Image.fromarray(grey > 100).save(tmp_path / "1.png")
    np.testing.assert_array_equal(pixels(tmp_path, "1.png")[..., 0], np.where(grey > 100, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_looks_like_its_8_bit_twin(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / f"a.{suffix}")
    result = pixels(tmp_path, f"a.{suffix}")
    np.testing.assert_array_equal(result, np.repeat(grey[..., None], 3, axis=2))


def test_16_bit_colour(tmp_path: Path) -> None:
    import cv2

    deep = colours().astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    np.testing.assert_array_equal(pixels(tmp_path, "a.png"), colours())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.uint16), [0, 255]),  # 8 bits in a wide box
        (np.array([[0, 4095]], np.uint16), [0, 255]),  # a 12-bit camera
        (np.array([[0, 2000, 4095]], np.uint16), [0, 125, 255]),
        (np.array([[21000, 22000, 23000]], np.uint16), [0, 128, 255]),  # thermal: stretched
        (np.array([[300, 300]], np.uint16), [0, 0]),  # flat and not 8-bit
        (np.array([[200, 210]], np.uint16), [200, 210]),  # a flat 8-bit picture stays itself
        (np.array([[-5, 5]], np.int32), [0, 255]),
        (np.array([[0, 70000]], np.int32), [0, 255]),
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 200.0]], np.float32), [0, 100, 200]),
        (np.array([[np.nan, 0.5, np.inf]], np.float32), [0, 128, 0]),
        (np.array([[-1.0, 1.0]], np.float32), [0, 255]),
        (np.array([[0.0, 1000.0]], np.float32), [0, 255]),
    ],
)
def test_deep_grey(values: np.ndarray, expected: list[int]) -> None:
    assert grey_to_8bit(values)[0].tolist() == expected


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_deep_grey_never_wraps(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = grey_to_8bit(np.array([values], np.float32))
    clean = [v if np.isfinite(v) else 0.0 for v in values]
    order = np.argsort(clean, kind="stable")
    assert (np.diff(result[0][order].astype(int)) >= 0).all()  # brighter stays brighter


def test_float_tiff(tmp_path: Path) -> None:
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "f.tif")
    assert pixels(tmp_path, "f.tif")[-1, -1].tolist() == [255, 255, 255]


def test_transparency_is_shown_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[:2] = (200, 100, 0, 255)
    rgba[2] = (200, 100, 0, 128)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    result = pixels(tmp_path, "rgba.png")
    assert result[0, 0].tolist() == [200, 100, 0]
    assert result[3, 0].tolist() == [255, 255, 255]
    assert result[2, 0] == pytest.approx(np.array([227, 177, 127]), abs=1)


def test_grey_with_alpha(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[90, 255], [90, 0]]], np.uint8), mode="LA").save(tmp_path / "la.png")
    assert pixels(tmp_path, "la.png")[0].tolist() == [[90, 90, 90], [255, 255, 255]]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_palette_with_alpha(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "p.png", transparency=transparency)
    assert pixels(tmp_path, "p.png")[0].tolist() == [[10, 20, 30], [255, 255, 255]]


def test_rgb_and_grey_with_a_transparent_colour(tmp_path: Path) -> None:
    Image.fromarray(np.array([[[1, 2, 3], [9, 9, 9]]], np.uint8)).save(tmp_path / "rgb.png", transparency=(9, 9, 9))
    assert pixels(tmp_path, "rgb.png")[0].tolist() == [[1, 2, 3], [255, 255, 255]]
    Image.fromarray(np.array([[7, 9]], np.uint8)).save(tmp_path / "l.png", transparency=9)
    assert pixels(tmp_path, "l.png")[0].tolist() == [[7, 7, 7], [255, 255, 255]]


def test_palette_without_alpha_and_gif(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    for name in ("p.png", "p.gif"):
        image.save(tmp_path / name)
        assert pixels(tmp_path, name)[0].tolist() == [[10, 20, 30], [40, 50, 60]]


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "c.jpg", quality=100, subsampling=0)
    assert np.abs(pixels(tmp_path, "c.jpg").astype(int) - colours()).max() <= 4
    Image.fromarray(colours()).convert("CMYK").save(tmp_path / "c.tif")
    np.testing.assert_array_equal(pixels(tmp_path, "c.tif"), colours())


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), value, np.uint8)) for value in (30, 200)]
    for name in ("a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], lossless=True)
        assert pixels(tmp_path, name)[0, 0, 0] == 30


def saved(suffix: str) -> bytes:
    stream = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(stream, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "tif": "TIFF"}[suffix])
    return stream.getvalue()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Truncated File")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.9])
def test_truncated_files_are_unreadable(tmp_path: Path, suffix: str, share: float) -> None:
    data = saved(suffix)
    (tmp_path / f"a.{suffix}").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Unreadable, match=rf"a\.{suffix}"):
        pixels(tmp_path, f"a.{suffix}")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["jpg", "png", "webp", "tif"]), st.data())
def test_damaged_bytes_raise_nothing_but_photo_errors(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    content = bytearray(saved(suffix))
    for place in data.draw(st.lists(st.integers(0, min(len(content), 600) - 1), min_size=1, max_size=8)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "x").write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            photo = open_photo(tmp_path, "x", key="1", max_pixels=1_000_000)
            photo.pixels()
        except PhotoError:
            pass


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_a_bomb_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bomb.png").write_bytes(png_header(100_000, 100_000))
    decoded = []
    monkeypatch.setattr(Image.Image, "load", lambda self: decoded.append(1))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: decoded.append(1))
    with pytest.raises(TooLarge, match="100000 x 100000 pixels, more than the 200,000,000 allowed"):
        open_photo(tmp_path, "bomb.png", key="1")
    assert decoded == []


def test_the_limit_is_about_pixels_and_can_be_moved(tmp_path: Path) -> None:
    Image.fromarray(colours(10, 10)).save(tmp_path / "a.png")
    assert open_photo(tmp_path, "a.png", key="1", max_pixels=100).pixels().shape == (10, 10, 3)
    with pytest.raises(TooLarge):
        open_photo(tmp_path, "a.png", key="1", max_pixels=99)


def test_a_phones_largest_photo_is_below_the_limit(tmp_path: Path) -> None:
    (tmp_path / "big.png").write_bytes(png_header(16_320, 12_240))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow's own, lower limit must not speak up
        assert raw_size(tmp_path, "big.png") == (12_240, 16_320, 1)


def test_the_limit_holds_again_when_the_file_grew_after_opening(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    photo = open_photo(tmp_path, "a.png", key="1")
    (tmp_path / "a.png").write_bytes(png_header(100_000, 100_000))
    with pytest.raises(TooLarge):
        photo.pixels()


def test_a_file_that_vanished_or_changed_after_opening(tmp_path: Path) -> None:
    Image.fromarray(colours()).save(tmp_path / "a.png")
    photo = open_photo(tmp_path, "a.png", key="1")
    Image.fromarray(colours(10, 10)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="changed since it was opened"):
        photo.pixels()
    (tmp_path / "a.png").unlink()
    with pytest.raises(MissingPhoto):
        photo.pixels()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"not an image at all, just text", "no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),  # would start Ghostscript
        (b"\0\0\0\x18ftypheic\0\0\0\0", "convert it to JPEG"),
    ],
)
def test_other_files_are_unreadable(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(Unreadable, match=says):
        open_photo(tmp_path, "a.jpg", key="1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "a" / "b").mkdir(parents=True)
    Image.fromarray(colours()).save(root / "a" / "b" / "in.png")
    Image.fromarray(colours()).save(tmp_path / "secret.png")
    return root


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "a/../../secret.png",
        "a/b/../b/in.png",
        "..\\secret.png",
        "a\\..\\..\\secret.png",
        "/etc/passwd",
        "//server/share/x.png",
        "\\\\server\\share\\x.png",
        "C:\\x.png",
        "C:x.png",
        "http://host/x.png",
        "file:///etc/passwd",
        "s3://bucket/x.png",
        "data:image/png;base64,AAAA",
        "a\0b.png",
        "",
        "  ",
        ".",
        "a",
    ],
)
def test_unsafe_names_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(UnsafePath) as caught:
        open_photo(folder, name, key="1")
    assert repr(name) in str(caught.value)
    assert caught.value.remedy


def test_the_absolute_path_of_a_good_file_is_refused_too(folder: Path) -> None:
    with pytest.raises(UnsafePath, match="absolute"):
        open_photo(folder, str(folder / "a" / "b" / "in.png"), key="1")


def test_links_may_stay_inside_but_not_lead_out(folder: Path) -> None:
    (folder / "out.png").symlink_to(folder.parent / "secret.png")
    (folder / "outdir").symlink_to(folder.parent)
    (folder / "in.png").symlink_to(folder / "a" / "b" / "in.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    assert pixels(folder, "in.png").shape == (24, 40, 3)
    for name in ("out.png", "outdir/secret.png"):
        with pytest.raises(UnsafePath, match="link that leads out"):
            open_photo(folder, name, key="1")
    with pytest.raises(MissingPhoto):
        open_photo(folder, "loop.png", key="1")


def test_the_image_folder_itself_may_be_a_link(folder: Path) -> None:
    (folder.parent / "alias").symlink_to(folder)
    assert pixels(folder.parent / "alias", "a/b/in.png").shape == (24, 40, 3)


def test_a_pipe_is_refused_instead_of_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(UnsafePath, match="special file"):
        open_photo(folder, "pipe.png", key="1")


@pytest.mark.parametrize(
    "name", ["nothing.png", "no/such/folder/x.png", "x" * 5000 + ".png", "\ud800.png", "a/b/in.png/x"]
)
def test_missing_photos_name_file_and_remedy(folder: Path, name: str) -> None:
    with pytest.raises(MissingPhoto, match="--images"):
        open_photo(folder, name, key="1")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingPhoto, match=r"no image folder .*nowhere"):
        open_photo(tmp_path / "nowhere", "x.png", key="1")


@pytest.mark.parametrize("name", ["Zürich/été 1.png", "写真/猫🐈.png", "a b/c#d%20?.png", "trailing .png"])
def test_folders_and_unicode(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    Image.fromarray(colours()).save(tmp_path / name)
    photo = open_photo(tmp_path, name, key="k")
    assert photo.pixels().shape == (24, 40, 3)
    assert photo.source == str(tmp_path / name)
    assert photo.key == "k"


@pytest.mark.parametrize(("on_disk", "in_json"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_other_unicode_form_is_found(tmp_path: Path, on_disk: str, in_json: str) -> None:
    Image.fromarray(colours()).save(tmp_path / unicodedata.normalize(on_disk, "é.png"))
    assert pixels(tmp_path, unicodedata.normalize(in_json, "é.png")).shape == (24, 40, 3)


def test_windows_separators_are_understood(folder: Path) -> None:
    assert pixels(folder, "a\\b\\in.png").shape == (24, 40, 3)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["..", ".", "a", "b", "/", "\\", "in.png", "secret.png", "\0", "C:", "~"]), max_size=7))
def test_no_name_reaches_outside(tmp_path: Path, parts: list[str]) -> None:
    root = tmp_path / "images"
    root.mkdir(exist_ok=True)
    (tmp_path / "secret.png").write_bytes(saved("png"))
    for name in ("".join(parts), "/".join(parts)):
        with pytest.raises(PhotoError):
            open_photo(root, name, key="1")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(saved("png"))

    def refuse(path: Path, *_: object) -> None:  # the tests may run as root, who may read everything
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Unreadable, match="permission"):
        open_photo(tmp_path, "a.png", key="1")


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(photos.TooLarge("a.png", "too big", "shrink it")))
    assert (type(error), str(error)) == (TooLarge, "a.png: too big; shrink it")
