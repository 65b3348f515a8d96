"""The released weights: where they are, under which terms, and how they come to this machine.

Imports no torch, so that ``models list`` answers at once.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from openseed_core.weights.errors import WeightsError

__all__ = ["RELEASES", "Release", "WeightsError", "cache_dir", "fetch", "find", "release", "sha256_of"]

PAGES = "https://github.com/IDEA-Research/OpenSeeD/releases"
LICENCE = "Apache-2.0, the licence of the repository that releases them; the files state none of their own"
LICENCE_URL = "https://github.com/IDEA-Research/OpenSeeD/blob/main/LICENSE"
CACHE_VARIABLE = "OPENSEED_LABEL_CACHE"
BLOCK = 1 << 20


@dataclass(frozen=True)
class Release:
    """One released weights file.

    Attributes:
        name: what ``models fetch`` and ``--model`` call it.
        preset: the configuration it is expected to have; the file itself decides.
        trained_on: data sets, as far as published.
        page: the release page.
        url: address of the file, or None where only the page is known.
        file: its name in the cache.
        size, sha256: bytes and digest, or None where unknown.
        licence, licence_url: terms of the weights, apart from this tool's.
    """

    name: str
    preset: str
    trained_on: str
    page: str
    file: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None
    licence: str = LICENCE
    licence_url: str = LICENCE_URL


RELEASES = (
    Release(
        name="swin-t",
        preset="swin-t",
        trained_on="COCO panoptic (and Objects365 boxes)",
        page=f"{PAGES}/tag/openseed",
        file="model_state_dict_swint_51.2ap.pt",
        url=f"{PAGES}/download/openseed/model_state_dict_swint_51.2ap.pt",
    ),
    Release(
        name="swin-t-o365-decoupled",
        preset="swin-t-o365-decoupled",
        trained_on="COCO panoptic and Objects365 boxes",
        page=f"{PAGES}/tag/ckpt_swint_coco_o365",
        file="ckpt_swint_coco_o365.pt",
    ),
    Release(
        name="swin-l-coco",
        preset="swin-l-decoupled",
        trained_on="COCO panoptic (fine-tuned)",
        page=f"{PAGES}/tag/coco_pano_sota_swinl",
        file="coco_pano_sota_swinl.pt",
    ),
    Release(
        name="swin-l-ade20k",
        preset="swin-l-decoupled",
        trained_on="ADE20K semantic (fine-tuned)",
        page=f"{PAGES}/tag/ade20k_swinl",
        file="ade20k_swinl.pt",
    ),
)


def release(name: str, releases: Sequence[Release] = RELEASES) -> Release:
    """The release of this name.

    Raises:
        WeightsError: there is none; the message lists those there are.
    """
    for entry in releases:
        if entry.name == name:
            return entry
    names = ", ".join(entry.name for entry in releases)
    raise WeightsError(f"there are no released weights {name!r}; choose one of: {names}")


def cache_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Where fetched weights are kept: ``OPENSEED_LABEL_CACHE``, or the platform's cache folder."""
    env = os.environ if environment is None else environment
    if env.get(CACHE_VARIABLE):
        return Path(env[CACHE_VARIABLE]).expanduser()
    if sys.platform == "win32":
        base = Path(env.get("LOCALAPPDATA") or Path.home() / "AppData/Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library/Caches"
    else:
        base = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "openseed-label"


def find(name: str, *, cache: Path | None = None, releases: Sequence[Release] = RELEASES) -> Path | None:
    """The fetched file of a release, or None."""
    path = (cache or cache_dir()) / release(name, releases).file
    return path if path.is_file() else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(
    name: str,
    dest: Path | None = None,
    *,
    url: str | None = None,
    force: bool = False,
    timeout: float = 30.0,
    progress: Callable[[int, int | None], None] | None = None,
    releases: Sequence[Release] = RELEASES,
) -> Path:
    """Download a released file to a temporary one, verify it, then give it its name. A kept file is not fetched again.

    Args:
        name: a release.
        dest: folder for it; the cache by default.
        url: the file's address, for releases of which only the page is known.
        force: fetch even if the file is there.
        timeout: seconds without an answer before giving up.
        progress: called with the bytes so far and in all (None where the server doesn't say).

    Returns:
        The file.

    Raises:
        WeightsError: no such release, no address, no connection, or the file is not the one promised.
    """
    entry = release(name, releases)
    folder = dest or cache_dir()
    target = folder / entry.file
    if target.is_file() and not force:
        _verify(target, entry)
        return target
    source = url or entry.url
    if source is None:
        raise WeightsError(
            f"the address of {entry.name}'s file is not known, only its page: {entry.page}\n"
            f"Open it, copy the link of the file and run: openseed-label models fetch {entry.name} --url LINK\n"
            "or download it and use it with: --weights FILE"
        )
    _check_address(source)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{entry.file}.{os.getpid()}.part"
    try:
        _download(source, partial, entry, timeout=timeout, progress=progress)
        _verify(partial, entry)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _download(
    source: str,
    partial: Path,
    entry: Release,
    *,
    timeout: float,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    elsewhere = (
        f"With a connection on another machine: download {source} there, copy it here and use it with --weights FILE"
    )
    request = urllib.request.Request(source, headers={"User-Agent": "openseed-label"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer, partial.open("wb") as file:
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            if entry.size is not None and total is not None and total != entry.size:
                raise WeightsError(_wrong_size(source, total, entry.size))
            done = _copy(answer, file, total, progress)
    except urllib.error.HTTPError as error:
        raise WeightsError(
            f"{source}: the server answered {error.code} {error.reason}; see {entry.page} for the present address "
            "and give it with --url"
        ) from None
    except urllib.error.URLError as error:
        raise WeightsError(f"{source}: can't be reached ({error.reason}). {elsewhere}") from None
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{source}: the connection broke ({error or type(error).__name__}); run it again. {elsewhere}"
        ) from None
    if total is not None and done != total:
        raise WeightsError(f"{source}: the connection ended after {done} of {total} bytes; run it again. {elsewhere}")


def _copy(
    answer: BinaryIO, file: BinaryIO, total: int | None, progress: Callable[[int, int | None], None] | None
) -> int:
    done = 0
    while block := answer.read(BLOCK):
        file.write(block)
        done += len(block)
        if progress is not None:
            progress(done, total)
    file.flush()
    os.fsync(file.fileno())
    return done


def _verify(path: Path, entry: Release) -> None:
    size = path.stat().st_size
    if entry.size is not None and size != entry.size:
        raise WeightsError(_wrong_size(str(path), size, entry.size))
    if entry.sha256 is not None and (found := sha256_of(path)) != entry.sha256:
        raise WeightsError(
            f"{path}: its SHA-256 is {found}, that of {entry.name} is {entry.sha256}; the file is damaged or another "
            "one. Fetch it again with --force"
        )
    if size == 0:
        raise WeightsError(f"{path}: the file is empty; fetch it again with --force")


def _wrong_size(where: str, found: int, expected: int) -> str:
    return f"{where}: {found} bytes instead of {expected}; this is not the released file. Fetch it again with --force"


def _check_address(source: str) -> None:
    parts = urllib.parse.urlsplit(source)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
        return
    raise WeightsError(f"{source}: only https:// addresses are fetched; download it yourself and use --weights FILE")
