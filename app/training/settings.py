"""The TOML file of ``openseed-label train``: sections become frozen dataclasses, unknown keys are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from openseed_core.training.conditioned import Objective
    from openseed_core.training.loop import Schedule
    from openseed_core.training.samples import CropSettings

T = TypeVar("T")


class SettingsError(ValueError):
    """The TOML file can't be used; the message names file, section, key and remedy."""


@dataclass(frozen=True)
class DataSettings:
    """Where the photos are.

    Attributes:
        train, val: folders with ``annotations.json`` and ``images/``.
        leave_out: class names whose instances aren't trained on.
        source_weights: extra drawing weight by the image field ``source``.
        balance: an object of a class with n instances is drawn with weight n ** -balance.
        validation_photos: photos of val used while training.
    """

    train: Path
    val: Path | None = None
    leave_out: tuple[str, ...] = ()
    source_weights: Mapping[str, float] = field(default_factory=dict)
    balance: float = 0.5
    validation_photos: int = 100


@dataclass(frozen=True)
class RunSettings:
    """One training run.

    Attributes:
        preset: model configuration.
        output: folder for checkpoint, log, curve and the finished model.
        backbone: NanoDet-g ``.npz`` that initialises the backbone of ``nano``.
        text: safetensors of a text encoder to start from (default for ``nano``: the embedded model's).
        features: ``.npz`` with ``names`` and ``emb`` to use instead of a text encoder.
        init: safetensors of a whole model to start from.
        batch, seed, threads: crops per step, random seed, CPU threads (0 = all).
    """

    output: Path
    preset: str = "nano"
    backbone: Path | None = None
    text: Path | None = None
    features: Path | None = None
    init: Path | None = None
    batch: int = 16
    seed: int = 0
    threads: int = 0


@dataclass(frozen=True)
class Settings:
    """A whole TOML file."""

    run: RunSettings
    data: DataSettings
    crops: CropSettings
    objective: Objective
    schedule: Schedule


def read(path: Path) -> Settings:
    """Read a TOML file; paths in it are relative to the current folder.

    Raises:
        SettingsError: the file is missing, isn't TOML, or has an unknown or missing key.
    """
    from openseed_core.training.conditioned import Objective
    from openseed_core.training.loop import Schedule
    from openseed_core.training.samples import CropSettings

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; `openseed-label train --help` names the bundled ones") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    sections = {
        "run": RunSettings,
        "data": DataSettings,
        "crops": CropSettings,
        "objective": Objective,
        "schedule": Schedule,
    }
    unknown = set(document) - set(sections)
    if unknown:
        raise SettingsError(f"{path}: unknown section [{unknown.pop()}]; sections are {', '.join(sections)}")
    made: dict[str, Any] = {name: _section(path, name, kind, document.get(name, {})) for name, kind in sections.items()}
    return Settings(**made)


def _section(path: Path, name: str, kind: type[T], values: Mapping[str, Any]) -> T:
    known = {f.name: str(f.type) for f in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise SettingsError(f"{path}: [{name}] has no setting {key!r}; it knows {', '.join(known)}")
    converted = {key: _converted(known[key], value) for key, value in values.items()}
    try:
        return kind(**converted)
    except TypeError as error:
        raise SettingsError(f"{path}: section [{name}]: {error}") from error


def _converted(annotation: str, value: Any) -> Any:
    if "Path" in annotation:
        return Path(value)
    if annotation.startswith("tuple"):
        return tuple(value)
    return value
