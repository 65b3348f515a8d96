"""Where converted graphs are kept between runs: converting takes half a minute, reading a fraction of a second.

A folder's name holds a digest of everything that the graphs depend on, so nothing in it ever gets out of date; old
folders can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from openseed_core.weights.registry import cache_dir


def cached(key: Iterable[bytes], make: Callable[[Path], None], *, root: Path | None = None) -> Path:
    """The folder for ``key``; ``make`` fills it if it isn't there yet.

    Several processes may ask at a time: each makes its own folder under another name, the first to rename it wins.

    Args:
        key: everything that the content depends on.
        make: writes the files into the folder it is given; may raise, then nothing is kept.
        root: folder of all; by default ``graphs`` in the cache of the program.
    """
    digest = hashlib.sha256()
    for part in key:
        digest.update(len(part).to_bytes(8, "little") + part)
    base = root or cache_dir() / "graphs"
    folder = base / digest.hexdigest()[:24]
    if folder.is_dir():
        return folder
    base.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=base))
    try:
        make(partial)
        try:
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster, with the same content
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def code_key() -> bytes:
    """A digest of this package's source: a graph must not outlive the code that it was traced from."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[1]
    for path in sorted(root.glob("**/*.py")):
        if "training" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.digest()
