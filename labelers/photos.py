"""The one safe reader of photos: header first, size capped, pixels on demand as upright RGB.

``read_header`` looks at the first bytes only (size, EXIF orientation); nothing is decoded until
``Photo.pixels`` is called. Pixels come out the same whatever the file holds: uint8 RGB, upright.
See ``labelers.pixels`` for how the modes (grey, 16-bit, palette, CMYK, alpha) are converted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from labelers.orientation import array_to_upright, swaps_sides
from labelers.paths import MissingPhoto, PhotoError, UnsafePath, find_photo
from labelers.pixels import to_rgb
from labelers.records import Photo
from labelers.remote import RemoteFile, RemoteFolder

__all__ = [
    "MissingPhoto",
    "PhotoError",
    "PhotoHeader",
    "TooLarge",
    "Unreadable",
    "UnsafePath",
    "open_photo",
    "raw_size",
    "read_header",
]

MAX_PIXELS = 200_000_000
"""A phone's largest photo (200 megapixels); decoded, that is 600 MB."""

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
"""Only these are tried: Pillow knows formats that run other programs (EPS) or are no photos."""

_ORIENTATION_TAG = 0x0112
_REMEDY = f"save it again as JPEG or PNG (readable: {', '.join(FORMATS)})"


class TooLarge(PhotoError):
    """The header promises more pixels than allowed: a decompression bomb, or a very large photo."""


class Unreadable(PhotoError):
    """The file is truncated, damaged, or no image."""


@dataclass(frozen=True)
class PhotoHeader:
    """What the first bytes of an image file say.

    Attributes:
        source: the file as text, for messages.
        raw_height, raw_width: size of the stored pixels.
        orientation: EXIF orientation, 1 (already upright) to 8.
        format: one of ``FORMATS``.
        plain: 8 bits of grey, palette or RGB without transparency: any viewer shows what ``Photo.pixels`` gives.
    """

    source: str
    raw_height: int
    raw_width: int
    orientation: int
    _path: Path | RemoteFile = field(repr=False, compare=False)
    _max_pixels: int = field(repr=False, compare=False, default=MAX_PIXELS)
    format: str = ""
    plain: bool = False

    @property
    def height(self) -> int:
        """Height of the upright photo."""
        return self.raw_width if swaps_sides(self.orientation) else self.raw_height

    @property
    def width(self) -> int:
        """Width of the upright photo."""
        return self.raw_height if swaps_sides(self.orientation) else self.raw_width

    def photo(self, key: str) -> Photo:
        """The photo itself, to be decoded on demand."""
        return Photo(key=key, source=self.source, height=self.height, width=self.width, load=self._load)

    def _load(self) -> NDArray[np.uint8]:
        return _decode(self._path, self.source, self._max_pixels)


def read_header(root: Path | RemoteFolder, file_name: str, *, max_pixels: int = MAX_PIXELS) -> PhotoHeader:
    """Read size and orientation of the photo ``file_name`` in the folder ``root``; decode nothing.

    Of a folder by URL, the whole file is fetched now and kept as long as the header.

    Raises ``MissingPhoto``, ``UnsafePath``, ``TooLarge`` or ``Unreadable``.
    """
    path = find_photo(root, file_name)
    source = str(root / file_name)
    with _Reading(source), path.open("rb") as stream:
        image = _identify(stream, source, max_pixels)
        height, width = _raw_size(image)
        plain = image.mode in ("1", "L", "P", "RGB") and "transparency" not in image.info
        return PhotoHeader(
            source, height, width, _orientation(image), path, max_pixels, format=image.format or "", plain=plain
        )


def open_photo(root: Path | RemoteFolder, file_name: str, *, key: str, max_pixels: int = MAX_PIXELS) -> Photo:
    """``read_header(...).photo(key)``: the header is read now, the pixels on demand. Raises ``PhotoError``."""
    return read_header(root, file_name, max_pixels=max_pixels).photo(key)


def raw_size(root: Path | RemoteFolder, file_name: str) -> tuple[int, int, int]:
    """(height, width, EXIF orientation) of the stored pixels. Raises ``PhotoError``."""
    header = read_header(root, file_name)
    return header.raw_height, header.raw_width, header.orientation


class _Reading:
    """Turn whatever a decoder raises on hostile bytes into ``Unreadable``; let memory errors pass."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, PhotoError | MemoryError) or not isinstance(error, Exception):
            return
        if isinstance(error, FileNotFoundError):
            raise MissingPhoto(self.source, "the file is gone", "put it back and run again") from error
        if isinstance(error, PermissionError):
            raise Unreadable(self.source, "no permission to read it", "allow reading and run again") from error
        if isinstance(error, Image.DecompressionBombError):
            raise TooLarge(self.source, "too many pixels for this format", "shrink it and run again") from error
        raise Unreadable(self.source, f"damaged or truncated image ({error})", _REMEDY) from error


def _identify(stream: IO[bytes], source: str, max_pixels: int) -> Image.Image:
    """Parse the header. Not ``Image.open``: its size limit is global and lower than a phone's photo."""
    Image.init()
    prefix = stream.read(16)
    for name in FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept and not _accepted(accept(prefix))):
            continue
        stream.seek(0)
        try:
            image = factory(stream, "")
        except (SyntaxError, IndexError, TypeError, KeyError):
            continue
        height, width = _raw_size(image)
        if height < 1 or width < 1:
            raise Unreadable(source, f"its header says {width} x {height} pixels", _REMEDY)
        if height * width > max_pixels:
            raise TooLarge(
                source,
                f"its header says {width} x {height} pixels, more than the {max_pixels:,} allowed",
                "shrink it, or raise the limit if you trust the file",
            )
        return image
    reason = "the file is empty" if not prefix else "it is no image that can be read"
    hint = "convert it to JPEG" if prefix[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1") else _REMEDY
    raise Unreadable(source, reason, hint)


def _accepted(answer: object) -> bool:
    return bool(answer) and not isinstance(answer, str)  # a text says why this build can't read it


def _raw_size(image: Image.Image) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its ``size`` is that of the upright photo
        return int(image.tag_v2[TiffImagePlugin.IMAGELENGTH]), int(image.tag_v2[TiffImagePlugin.IMAGEWIDTH])
    return image.height, image.width


def _orientation(image: Image.Image) -> int:
    try:
        # the base class, because PNG's own method decodes the whole picture
        value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises anything; viewers show such photos as stored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _decode(path: Path | RemoteFile, source: str, max_pixels: int) -> NDArray[np.uint8]:
    with _Reading(source), path.open("rb") as stream:
        image: Any = _identify(stream, source, max_pixels)
        orientation = 1 if image.format == "TIFF" else _orientation(image)  # Pillow turns TIFF files itself
        image.load()
        return np.ascontiguousarray(array_to_upright(to_rgb(image), orientation))
