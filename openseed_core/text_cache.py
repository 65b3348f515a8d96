"""Class embeddings on disk, so that a vocabulary is encoded once in a machine's life.

One small file for each prompt, in a folder named after the weights and templates that made it: a SHA-256 of what the
file stands for and of its content, then the numbers as little-endian float32. A file that is damaged or stands for
something else counts as absent. ``OPENSEED_LABEL_TEXT_CACHE`` moves the cache to another folder, or switches it off
(``off``).
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from openseed_core.weights.registry import cache_dir

VARIABLE = "OPENSEED_LABEL_TEXT_CACHE"
OFF = ("off", "0", "no", "false")
FORMAT = "openseed-label text 1"
KEPT_BYTES = 64 << 20  # of all weights together; about 30,000 prompts of 512 numbers
WRITES_PER_CHECK = 500
SUFFIX = ".f32"
DIGEST = 32  # bytes of a SHA-256


def text_cache_folder(environment: Mapping[str, str] | None = None) -> Path | None:
    """Where embeddings are kept, or None where the environment says ``off``."""
    env = os.environ if environment is None else environment
    wanted = env.get(VARIABLE, "")
    if wanted.lower() in OFF:
        return None
    return Path(wanted).expanduser() if wanted else cache_dir(env) / "text"


def digest_of(tensors: Iterable[tuple[str, Tensor]], notes: Sequence[str]) -> str:
    """What identifies an encoder: all its tensors, and whatever else decides its results."""
    digest = hashlib.sha256("\0".join([FORMAT, *notes]).encode())
    for name, tensor in tensors:
        digest.update(f"\0{name} {tuple(tensor.shape)} {tensor.dtype}\0".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class TextCache:
    """Embeddings of prompts by one encoder. Several processes may share a folder.

    Args:
        folder: of the whole cache.
        encoder: ``digest_of`` the encoder and its templates.
        width: numbers in an embedding.
        limit: bytes that the whole cache may take; what was written first goes first.
    """

    folder: Path
    encoder: str
    width: int
    limit: int = KEPT_BYTES
    _writes: int = field(default=0, repr=False)

    def get(self, prompt: str) -> Tensor | None:
        """The embedding, float32 [width] on the CPU, or None."""
        size = DIGEST + 4 * self.width
        try:
            with self._path(prompt).open("rb") as file:
                data = file.read(size + 1)
        except OSError:
            return None
        if len(data) != size or data[:DIGEST] != self._digest(prompt, data[DIGEST:]):
            return None
        return torch.from_numpy(np.frombuffer(data, "<f4", offset=DIGEST).astype(np.float32))

    def put(self, prompt: str, vector: Tensor) -> None:
        """Keep an embedding. A disk that is full or read-only is no error: it is computed again next time."""
        values = vector.detach().cpu().numpy().astype("<f4").tobytes()
        path = self._path(prompt)
        partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
        try:
            if self._writes % WRITES_PER_CHECK == 0:
                _shrink(self.folder, self.limit)
            self._writes += 1
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(self._digest(prompt, values) + values)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError:
            pass

    def _path(self, prompt: str) -> Path:
        name = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / self.encoder[:32] / f"{name}{SUFFIX}"

    def _digest(self, prompt: str, values: bytes) -> bytes:
        meaning = f"{self.encoder}\0{prompt}\0".encode("utf-8", "surrogatepass")
        return hashlib.sha256(meaning + values).digest()


def _shrink(folder: Path, limit: int) -> None:
    """Delete the cache's oldest files until the rest takes at most nine tenths of ``limit``, and no other file."""
    found = []
    for path in (*folder.glob(f"*/*{SUFFIX}"), *folder.glob(f"*/.*{SUFFIX}.*.part")):
        try:
            state = path.lstat()
        except OSError:
            continue  # another process was faster
        found.append((state.st_mtime, max(state.st_size, 4096), path))
    total = sum(size for _, size, _ in found)
    if total <= limit:
        return
    for _, size, path in sorted(found):
        path.unlink(missing_ok=True)
        total -= size
        if total <= limit * 0.9:
            return
