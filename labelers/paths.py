"""From a ``file_name`` in somebody's JSON to a file inside the image folder, and nowhere else.

A dataset is untrusted input: its file names may point to ``../../etc/passwd``, to a URL, or through a
symbolic link out of the folder. All of those are refused before anything is opened.
"""

from __future__ import annotations

import re
import stat
import unicodedata
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import overload

from labelers.remote import URL, RemoteError, RemoteFile, RemoteFolder


class PhotoError(ValueError):
    """A photo can't be used.

    Attributes:
        source: the file (or file name) concerned.
        reason: what is wrong with it.
        remedy: what the user can do.
    """

    def __init__(self, source: str, reason: str, remedy: str) -> None:
        super().__init__(f"{source}: {reason}; {remedy}")
        self.source = source
        self.reason = reason
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str, str]]:
        return type(self), (self.source, self.reason, self.remedy)


class MissingPhoto(PhotoError):
    """There is no such file in the image folder."""


class UnsafePath(PhotoError):
    """The name leads out of the image folder, or is no file name at all."""


class Unreachable(PhotoError):
    """A folder by URL gives no answer, or refuses to give the photo."""


_DATA = re.compile(r"^data:", re.ASCII)


@overload
def find_photo(root: Path, file_name: str) -> Path: ...


@overload
def find_photo(root: RemoteFolder, file_name: str) -> RemoteFile: ...


@overload
def find_photo(root: Path | RemoteFolder, file_name: str) -> Path | RemoteFile: ...


def find_photo(root: Path | RemoteFolder, file_name: str) -> Path | RemoteFile:
    """The regular file that ``file_name`` names inside the folder ``root``; by URL, with its bytes.

    Names written on Windows (backslashes) and in another Unicode normal form (macOS) are found too, when
    the name as it stands does not exist.

    Raises ``UnsafePath`` for absolute paths, ``..``, URLs, NUL and links out of ``root``; ``MissingPhoto``;
    ``Unreachable`` for a folder by URL.
    """
    shown = f"photo {file_name!r}"
    _refuse_unsafe_text(file_name, shown)
    if isinstance(root, RemoteFolder):
        return _find_remote(root, file_name, shown)
    try:
        base = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise MissingPhoto(shown, f"there is no image folder {root}", "give the right one with --images") from error
    for spelling in _spellings(file_name):
        path = root / spelling
        try:
            real = path.resolve(strict=True)
            mode = real.stat().st_mode
        except (OSError, RuntimeError, ValueError):  # missing, link loop, name too long, lone surrogate
            continue
        if not real.is_relative_to(base):
            raise UnsafePath(
                shown,
                "it is a link that leads out of the image folder",
                f"copy the file into {root}, or give the folder that holds it with --images",
            )
        if not stat.S_ISREG(mode):  # a pipe would block, a device never end
            raise UnsafePath(shown, "it is a folder or a special file", "name an image file")
        return real
    raise MissingPhoto(shown, f"there is no such file in {root}", "give the folder of the photos with --images")


def _find_remote(root: RemoteFolder, file_name: str, shown: str) -> RemoteFile:
    for spelling in _spellings(file_name):
        try:
            return (root / str(PurePosixPath(spelling))).fetched()
        except (FileNotFoundError, IsADirectoryError):
            continue
        except PermissionError as error:
            reason = f"{root} does not give it ({_said(error)})"
            raise Unreachable(shown, reason, "check its name, and that you may read there") from error
        except RemoteError as error:
            raise Unreachable(shown, str(error), "run again then") from error
        except Exception as error:  # each library has its own
            reason = f"{root} gives no answer, asked twice ({_said(error)})"
            raise Unreachable(shown, reason, "check the URL and the network, then run again") from error
    raise MissingPhoto(shown, f"there is no such file in {root}", "give the folder of the photos with --images")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _refuse_unsafe_text(file_name: str, shown: str) -> None:
    remedy = "file names must be relative to the image folder (--images)"
    if not isinstance(file_name, str) or not file_name.strip():
        raise UnsafePath(shown, "the file name is empty or no text", remedy)
    if "\0" in file_name:
        raise UnsafePath(shown, "the file name holds a NUL character", remedy)
    if URL.match(file_name) or _DATA.match(file_name):
        raise UnsafePath(shown, "it is a URL, and nothing is downloaded", "download the photo and name the file")
    windows = PureWindowsPath(file_name)
    if PurePosixPath(file_name).is_absolute() or windows.drive or windows.root:
        raise UnsafePath(shown, "the path is absolute", remedy)
    if ".." in windows.parts:  # a Windows path splits at both kinds of slash
        raise UnsafePath(shown, "the path goes up with '..'", remedy)


def _spellings(file_name: str) -> list[str]:
    spellings = [file_name, file_name.replace("\\", "/")]
    spellings += [unicodedata.normalize(form, name) for name in spellings for form in ("NFC", "NFD")]
    return list(dict.fromkeys(spellings))
