"""Photos beside a data set: their names, their sizes, and putting them where a format wants them.

A data set is untrusted input: its file names may be absolute, go up with ``..`` or follow a link out of the folder.
All of those are refused here, before anything is opened or written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from exporters.dataset import Dataset, FormatError, Picture, WriteOptions

MAX_PIXELS = 250_000_000
"""A larger photo or mask is refused: a decompression bomb."""

MAX_BYTES = 180
"""Longest part of a path that is written, in UTF-8; file systems take 255, and suffixes are added."""

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")

# Only these decoders are tried: Pillow knows formats that run other programs (EPS) or are no photos.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
_ORIENTATION_TAG = 0x0112


def checked_name(file_name: object, *, where: str) -> str:
    """``file_name`` with ``/`` between folders, if it stays inside the folder it is relative to.

    Args:
        where: file and place, for the message.

    Raises:
        FormatError: no text, empty, absolute, with a drive, ``..`` or control characters, or a URL.
    """
    if not isinstance(file_name, str) or not file_name.strip():
        raise FormatError(f"{where}: the file name is empty or no text; name the photo's file")
    shown = repr(file_name if len(file_name) < 200 else file_name[:200] + "...")
    windows = PureWindowsPath(file_name)
    if windows.drive or windows.root or PurePosixPath(file_name).is_absolute() or "://" in file_name:
        raise FormatError(f"{where}: file name {shown} is absolute or a URL; make it relative to the folder of photos")
    if ".." in windows.parts:
        raise FormatError(f"{where}: file name {shown} leads out of the folder; remove the '..'")
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in file_name):
        raise FormatError(f"{where}: file name {shown} holds characters no file name can have; rename the photo")
    name = "/".join(part for part in file_name.replace("\\", "/").split("/") if part not in ("", "."))
    if not name:
        raise FormatError(f"{where}: file name {shown} names no file; name the photo's file")
    return name


def safe_name(file_name: str, *, flat: bool = False) -> str:
    """A relative name under which the photo can be written; the same name always gives the same result.

    Args:
        flat: for formats without sub-folders: folders are joined with ``__``. Two names can then become the same;
            ``UniqueNames`` keeps them apart.

    Parts that are too long for a file system are shortened, with a hash of the whole name before the suffix.

    Raises:
        FormatError: the name leads out of the folder.
    """
    name = checked_name(file_name, where="photo")
    if flat:
        name = name.replace("/", "__")
    parts = name.split("/")
    return "/".join(_short(part, name if at == len(parts) - 1 else part) for at, part in enumerate(parts))


class UniqueNames:
    """Names for the photos of one data set, no two alike, also where upper and lower case are one (Windows, macOS).

    ``suffix`` replaces that of the photo (``a.jpg`` -> ``a.png``), so ``a.jpg`` and ``a.png`` collide; a name that is
    taken gets a hash of the photo's whole name. Keeps 8 bytes a name. ``renamed`` counts the names with a hash.
    """

    def __init__(self, *, flat: bool = False) -> None:
        self._flat = flat
        self._taken: set[int] = set()
        self.renamed = 0

    def __call__(self, file_name: str, *, suffix: str | None = None, folder: str = "") -> str:
        """A new name. ``folder``: names in different folders (splits) do not collide; it is not part of the name."""
        name = safe_name(file_name, flat=self._flat)
        path = PurePosixPath(name)
        ending = path.suffix if suffix is None else suffix
        stem = name[: len(name) - len(path.suffix)]
        found, number = stem + ending, 0
        while (key := _key(f"{folder}/{found}")) in self._taken:
            salt = file_name if number == 0 else f"{number}:{file_name}"
            found, number = f"{stem}-{_hash(salt)}{ending}", number + 1
        self._taken.add(key)
        whole = checked_name(file_name, where="photo")
        self.renamed += number > 0 or name != (whole.replace("/", "__") if self._flat else whole)
        return found

    def notes(self) -> list[str]:
        """What the user has to know where photos are found by their names."""
        if not self.renamed:
            return []
        return [
            f"{self.renamed} photos have a new name with a hash: it was too long, or another's but for its suffix or "
            "for upper and lower case"
        ]


def find_photo(root: Path, file_name: str, *, where: str = "photo") -> Path | None:
    """The regular file that ``file_name`` names inside ``root``; None where there is none.

    Raises:
        FormatError: the name, or a link it names, leads out of the folder.
    """
    name = checked_name(file_name, where=where)
    base = root.resolve()
    for spelling in dict.fromkeys([name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD"))]):
        try:
            real = (root / spelling).resolve(strict=True)
            if not real.is_file():
                continue
        except (OSError, RuntimeError, ValueError):
            continue
        if not real.is_relative_to(base):
            raise FormatError(f"{where}: {file_name!r} is a link out of {root}; copy the photo into the folder")
        return real
    return None


def first_found(images: Path | None, names: Iterable[str], *, otherwise: str) -> str:
    """The first of ``names`` (relative, checked) that is a file in ``images``; ``otherwise`` where none is.

    For layouts with a folder for each split: whether the photos lie there, or in a folder the user names, is found out
    by looking.
    """
    if images is not None:
        for name in names:
            if (images / name).is_file():
                return name
    return otherwise


def photo_size(root: Path, file_name: str, *, where: str = "photo") -> tuple[int, int]:
    """(height, width) of the EXIF-upright photo, from its header; nothing is decoded.

    Raises:
        FormatError: no such file, no image, or more than ``MAX_PIXELS``.
    """
    path = find_photo(root, file_name, where=where)
    if path is None:
        raise FormatError(f"{where}: there is no photo {file_name!r} in {root}; give its folder with --images")
    try:
        with path.open("rb") as stream:
            image = _identify(stream)
            height, width = _stored_size(image)
            if _orientation(image) >= 5:
                height, width = width, height
    except FormatError as error:
        raise FormatError(f"{where}: photo {file_name!r}: {error}") from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise FormatError(f"{where}: photo {file_name!r} is damaged ({error}); save it again") from error
    _check_size(height, width, f"{where}: photo {file_name!r}")
    return height, width


def read_index_png(path: Path, *, height: int | None = None, width: int | None = None) -> NDArray[np.int32]:
    """The numbers of a PNG with one channel (1, 8 or 16 bits, or a palette's indices), int32 [H, W].

    Args:
        height, width: what the picture must have; None: any.

    Raises:
        FormatError: no PNG, another size, too many pixels, or several channels.
    """
    try:
        with path.open("rb") as stream:
            image = PngImagePlugin.PngImageFile(stream)  # not Image.open: its size limit is global and lower
            _check_size(image.height, image.width, str(path))
            if (height, width) != (None, None) and (image.height, image.width) != (height, width):
                raise FormatError(
                    f"{path}: {image.width} x {image.height} pixels, but its picture has {width} x {height}; "
                    "write the masks at the size of the picture"
                )
            if image.mode not in ("1", "L", "P", "I", "I;16"):
                raise FormatError(f"{path}: a PNG with one channel is expected, this one is {image.mode}")
            return np.asarray(image).astype(np.int32)
    except FormatError:
        raise
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file; the data set is not complete") from None
    except Exception as error:  # decoders raise anything on hostile bytes
        raise FormatError(f"{path}: no PNG that can be read ({error}); export it again") from error


def place_photo(images: Path | None, file_name: str, target: Path, mode: str) -> str | None:
    """Put one photo at ``target``; returns why it could not be done, None if it was.

    Args:
        mode: ``none``, ``link`` (a hard link where the disk can, else a copy) or ``copy``.
    """
    if mode == "none":
        return None
    if images is None:
        return "photos not copied: their folder isn't known (give it with --images)"
    try:
        source = find_photo(images, file_name)
        if source is None:
            return f"photos not found in {images}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if mode == "link":
            try:
                os.link(source, target)
                return None
            except OSError:  # another disk, or one without hard links
                pass
        shutil.copyfile(source, target)
    except FormatError:
        return "photos whose name leads out of the folder"
    return None


def place_photos(
    dataset: Dataset, out: Path, options: WriteOptions, name_of: Callable[[Picture], str]
) -> dict[str, int]:
    """Put all photos of a data set into the folder ``out``. A writer that walks anyway uses ``place_photo``.

    Args:
        name_of: where a picture's photo goes, relative to ``out``.

    Returns:
        reason -> number of photos that are not there.
    """
    missing: dict[str, int] = {}
    if options.copy_images == "none":
        return missing
    for picture in dataset:
        name = checked_name(name_of(picture), where=f"photo {picture.file_name!r}")
        reason = place_photo(dataset.images, picture.file_name, out / name, options.copy_images)
        if reason is not None:
            missing[reason] = missing.get(reason, 0) + 1
    return missing


def photos_below(folder: Path) -> Iterator[str]:
    """Names of all photos in a folder and below, relative, with ``/``, sorted within each folder."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith(PHOTO_SUFFIXES):
                yield (Path(root) / name).relative_to(folder).as_posix()


def _short(part: str, whole: str) -> str:
    if len(part.encode()) <= MAX_BYTES:
        return part
    suffix = PurePosixPath(part).suffix
    suffix = suffix if len(suffix.encode()) <= 16 else ""
    mark = f"-{_hash(whole)}{suffix}"
    kept = part.encode()[: MAX_BYTES - len(mark.encode())].decode(errors="ignore")
    return kept + mark


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _key(name: str) -> int:
    folded = unicodedata.normalize("NFC", name).casefold()
    return int.from_bytes(hashlib.sha256(folded.encode()).digest()[:8], "big", signed=True)


def _check_size(height: int, width: int, shown: str) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise FormatError(f"{shown}: {width} x {height} pixels; 1 to {MAX_PIXELS:,} are allowed")


def _identify(stream: IO[bytes]) -> Any:
    """Parse an image's header without Pillow's global size limit."""
    Image.init()
    prefix = stream.read(16)
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None:
            continue
        answer = accept(prefix) if accept else True
        if not answer or isinstance(answer, str):  # a text says why this build can't read it
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except (SyntaxError, IndexError, TypeError, KeyError):
            continue
    raise FormatError("it is no image that can be read; save it as JPEG or PNG")


def _stored_size(image: Any) -> tuple[int, int]:
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # its ``size`` is that of the upright photo already
        return int(image.tag_v2[TiffImagePlugin.IMAGELENGTH]), int(image.tag_v2[TiffImagePlugin.IMAGEWIDTH])
    return int(image.height), int(image.width)


def _orientation(image: Any) -> int:
    try:
        value = Image.Image.getexif(image).get(_ORIENTATION_TAG, 1)  # PNG's own method decodes the whole picture
    except MemoryError:
        raise
    except Exception:  # damaged EXIF raises anything; viewers show such photos as stored
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
