"""Which file a model's weights are in, and what they are: without loading torch, so that a server knows at once."""

from __future__ import annotations

from pathlib import Path

from openseed_core.weights import registry
from openseed_core.weights.errors import WeightsError

EMBEDDED = Path(__file__).parent
TENSORS = "model.safetensors"


def weights_file(name_or_path: str | Path) -> Path | None:
    """The file with the tensors of a model: a file or folder that is there, embedded weights, or fetched ones.

    Returns None where no such weights are on this machine.

    Raises:
        WeightsError: the folder holds no weights.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if not (path / TENSORS).is_file():
            raise WeightsError(f"{path}: the folder holds no {TENSORS}; give the folder that `models convert` wrote")
        return path / TENSORS
    if path.is_file():
        return path
    name = str(name_or_path)
    embedded = EMBEDDED / name / TENSORS
    if Path(name).name == name and embedded.is_file():
        return embedded
    return registry.find(name) if name in {entry.name for entry in registry.RELEASES} else None


def fingerprint(path: Path) -> str:
    """The first 12 hexadecimal digits of the file's SHA-256."""
    return registry.sha256_of(path)[:12]
