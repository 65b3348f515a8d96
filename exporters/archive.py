"""A data set that comes as a zip: unpacked into a folder, nothing outside of it, no more than the disk holds."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from exporters.dataset import FormatError
from exporters.photo_files import checked_name

# A file that unpacks to more than so many times its size, and is large, is made to fill disks.
_MAX_RATIO, _LARGE = 200, 256 * 2**20
_NO_FILES = frozenset(("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini"))
"""What systems put into zips by themselves."""


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip" and path.is_file()


def unpack(path: Path, folder: Path) -> Path:
    """Unpack the zip into an empty ``folder``; gives that folder, or the only one in it.

    A text file beside that only folder (our own ``NOTES.txt``, a README) does not count.

    Raises:
        FormatError: a name leads out of the folder or stands twice; a bomb, a password, a damaged zip.
        OSError: the disk is full.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [(info, _name(info, path)) for info in archive.infolist() if not info.is_dir()]
            entries = [(info, name) for info, name in entries if not _NO_FILES & set(name.split("/"))]
            _check_sizes([info for info, _ in entries], path, folder)
            for info, name in entries:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                # Never extract(): it would mend bad names instead of refusing them.
                with archive.open(info) as source, target.open("xb") as out:
                    shutil.copyfileobj(source, out)
    except FileExistsError as error:
        name = Path(str(error.filename)).relative_to(folder).as_posix()
        raise FormatError(f"{path}: {name!r} stands in it twice; pack it again") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise FormatError(f"{path}: a zip that can't be read ({error}); pack it again, without a password") from error
    inside = list(folder.iterdir())
    folders = [entry for entry in inside if entry.is_dir()]
    others = [entry for entry in inside if entry.is_file() and entry.suffix.lower() not in (".txt", ".md")]
    return folders[0] if len(folders) == 1 and not others else folder


def _name(info: zipfile.ZipInfo, path: Path) -> str:
    return checked_name(info.filename, where=str(path))


def _check_sizes(entries: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    for info in entries:
        if info.file_size > max(_LARGE, _MAX_RATIO * max(info.compress_size, 1)):
            raise FormatError(
                f"{path}: {info.filename!r} unpacks from {info.compress_size:,} to {info.file_size:,} bytes; unpack it "
                "yourself if you trust it"
            )
    total, free = sum(info.file_size for info in entries), shutil.disk_usage(folder).free
    if total > free:
        raise FormatError(f"{path}: it unpacks to {total:,} bytes, but {folder} has room for {free:,}; make room")
