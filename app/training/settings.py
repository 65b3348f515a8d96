"""The TOML file of ``openseed-label train``: sections become frozen dataclasses, unknown keys are errors."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from app.training.toml_values import WrongValue, converted, required

if TYPE_CHECKING:
    from openseed_core.training.conditioned import Objective
    from openseed_core.training.engine import Machine
    from openseed_core.training.objective import JointSettings
    from openseed_core.training.samples import CropSettings
    from openseed_core.training.schedule import Schedule

T = TypeVar("T")

PROJECT = "project"
"""The ``kind`` of the data set that stands for a project, in the TOML file that a fine-tuning leaves."""


class SettingsError(ValueError):
    """The TOML file can't be used; the message names file, section, key and remedy."""


@dataclass(frozen=True)
class DataSettings:
    """Crops around annotated objects: the box-conditioned objective, and what is validated on.

    Attributes:
        train, val: folders with ``annotations.json`` and ``images/``; without ``train`` no crops are drawn.
        stuff: also draw crops around the stuff regions of ``annotations_stuff.json`` there.
        leave_out: class names whose instances aren't trained on.
        source_weights: extra drawing weight by the image field ``source``.
        balance: an object of a class with n instances is drawn with weight n ** -balance.
        validation_photos: photos of val used while training.
    """

    train: Path | None = None
    val: Path | None = None
    stuff: bool = False
    leave_out: tuple[str, ...] = ()
    source_weights: Mapping[str, float] = field(default_factory=dict)
    balance: float = 0.5
    validation_photos: int = 100


@dataclass(frozen=True)
class SourceSettings:
    """One data set of whole photos: a ``[[segmentation]]`` or ``[[detection]]`` table.

    Attributes:
        path: JSON file, or a folder with ``annotations.json`` and ``images/``.
        kind: ``auto``, ``coco``, ``panoptic``, ``boxes`` or ``objects365``.
        images: folder of the photos where it isn't beside the JSON.
        masks: False takes boxes and names only.
        leave_out: class names that aren't read.
        weight: share of the batches drawn from it, relative to its neighbours.
        limit: only so many photos.
    """

    path: Path
    kind: str = "auto"
    images: Path | None = None
    masks: bool = True
    leave_out: tuple[str, ...] = ()
    weight: float = 1.0
    limit: int | None = None


@dataclass(frozen=True)
class PhotoSettings:
    """How whole photos are drawn.

    Attributes:
        size: side of the square network input, a multiple of 32; scale: range of the jitter (spec 8.1).
        flip: probability of a mirror image.
        segmentation, detection: photos of a batch of each kind.
        offline_from: step from which masks that ``assist`` wrote into detection data count; -1 = never.
    """

    size: int = 1024
    scale: tuple[float, float] = (0.1, 2.0)
    flip: float = 0.5
    segmentation: int = 2
    detection: int = 2
    offline_from: int = -1


@dataclass(frozen=True)
class RunSettings:
    """One training run.

    Attributes:
        preset: model configuration.
        output: folder for checkpoints, log, curve and the finished model.
        backbone: NanoDet-g ``.npz`` that initialises the backbone of ``nano``.
        text: safetensors of a text encoder to start from (default for ``nano``: the embedded model's).
        features: ``.npz`` with ``names`` and ``emb`` to use instead of a text encoder.
        teacher: NanoDet-g ``.npz`` whose finds the query selection learns from; its weight is ``dense`` in [joint].
        logit_scale: start value of the scale of class logits, a natural logarithm. It learns slowly, and a scale that
            is too small keeps scores of rare classes apart by little (docs/training.md). Default: that of the weights.
        init: weights to start from: ``nano``, an official checkpoint, a folder or a ``.safetensors`` file.
        batch: crops per step over all processes; seed; threads: CPU threads of a process (0 = all).
        workers: processes that make batches ahead.
        tensorboard: also write TensorBoard events into the output folder.
    """

    output: Path
    preset: str = "nano"
    backbone: Path | None = None
    text: Path | None = None
    features: Path | None = None
    teacher: Path | None = None
    logit_scale: float | None = None
    init: Path | None = None
    batch: int = 16
    seed: int = 0
    threads: int = 0
    workers: int = 1
    tensorboard: bool = True


@dataclass(frozen=True)
class Settings:
    """A whole TOML file."""

    run: RunSettings
    data: DataSettings
    crops: CropSettings
    objective: Objective
    schedule: Schedule
    joint: JointSettings
    machine: Machine
    photos: PhotoSettings
    segmentation: tuple[SourceSettings, ...] = ()
    detection: tuple[SourceSettings, ...] = ()


def read(path: Path) -> Settings:
    """Read a TOML file; paths in it are relative to the current folder.

    Raises:
        SettingsError: the file is missing, isn't TOML, has an unknown or missing key or a value of another type, or
            names no data.
    """
    from openseed_core.training.conditioned import Objective
    from openseed_core.training.engine import Machine
    from openseed_core.training.matching import Weights
    from openseed_core.training.objective import JointSettings
    from openseed_core.training.samples import CropSettings
    from openseed_core.training.schedule import Schedule

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such file; `openseed-label train --help` names the bundled ones") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error
    sections = {
        "run": RunSettings,
        "data": DataSettings,
        "crops": CropSettings,
        "objective": Objective,
        "schedule": Schedule,
        "joint": JointSettings,
        "machine": Machine,
        "photos": PhotoSettings,
    }
    lists = ("segmentation", "detection")
    unknown = set(document) - set(sections) - set(lists)
    if unknown:
        raise SettingsError(f"{path}: unknown section [{unknown.pop()}]; sections are {', '.join((*sections, *lists))}")
    joint = document.get("joint")
    if isinstance(joint, dict) and "weights" in joint:
        joint["weights"] = _section(path, "joint.weights", Weights, joint["weights"])
    made: dict[str, Any] = {name: _section(path, name, kind, document.get(name, {})) for name, kind in sections.items()}
    for name in lists:
        rows = document.get(name, [])
        if not isinstance(rows, list):
            raise SettingsError(f"{path}: write [[{name}]] with two brackets: there may be several data sets")
        made[name] = tuple(_section(path, f"[{name}]", SourceSettings, row) for row in rows)
    settings = Settings(**made)
    _check(path, settings)
    return settings


def _check(path: Path, settings: Settings) -> None:
    from app.training.data import KINDS

    for source in (*settings.segmentation, *settings.detection):
        if source.kind not in (*KINDS, PROJECT):
            raise SettingsError(f"{path}: kind is {source.kind!r}; write one of {', '.join(KINDS)}")
    if settings.data.train is None and not settings.segmentation and not settings.detection:
        raise SettingsError(f"{path}: no data; name a folder in [data] train, or in [[segmentation]] or [[detection]]")
    if settings.photos.size % 32 or settings.photos.size < 32:
        raise SettingsError(f"{path}: [photos] size is {settings.photos.size}; it must be a multiple of 32")
    for section, key, value in (
        ("run", "batch", settings.run.batch),
        ("schedule", "steps", settings.schedule.steps),
        ("schedule", "report_every", settings.schedule.report_every),
        ("schedule", "save_every", settings.schedule.save_every),
        ("schedule", "keep", settings.schedule.keep),
        ("data", "validation_photos", settings.data.validation_photos),
    ):
        if value < 1:
            raise SettingsError(f"{path}: [{section}] {key} is {value}; it must be at least 1")
    for section, key, value in (
        ("photos", "segmentation", settings.photos.segmentation),
        ("photos", "detection", settings.photos.detection),
        ("run", "workers", settings.run.workers),
        ("run", "threads", settings.run.threads),
        ("run", "seed", settings.run.seed),
    ):
        if value < 0:
            raise SettingsError(f"{path}: [{section}] {key} is {value}; give 0 or more")
    low, high = settings.photos.scale
    if not 0 < low <= high or not 0 <= settings.photos.flip <= 1:
        raise SettingsError(f"{path}: [photos] scale has to be two numbers above 0, the smaller first; flip 0 to 1")
    if settings.machine.sharding == "fsdp" and settings.schedule.average:
        raise SettingsError(f'{path}: sharding = "fsdp" keeps no moving average; set average = 0 in [schedule]')
    if settings.joint.dense and settings.run.teacher is None:
        raise SettingsError(f"{path}: [joint] dense needs a detector; name its weights with teacher in [run]")
    drawn = (settings.segmentation and settings.photos.segmentation) or (
        settings.detection and settings.photos.detection
    )
    if not drawn and settings.data.train is None and all(s.kind != PROJECT for s in settings.segmentation):
        raise SettingsError(f"{path}: no photo would be drawn; set segmentation or detection in [photos] above 0")
    if settings.run.features is not None and (settings.segmentation or settings.detection):
        raise SettingsError(f"{path}: [run] features are for crops only; leave it out, or the whole photos")


def _section(path: Path, name: str, kind: type[T], values: Any) -> T:
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: {name} is {values!r}; write a section [{name}] with settings below it")
    known = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise SettingsError(f"{path}: [{name}] has no setting {key!r}; it knows {', '.join(known)}")
    if missing := [key for key in required(kind) if key not in values]:
        raise SettingsError(f"{path}: [{name}] lacks {missing[0]!r}; add it")
    try:
        return kind(**{key: converted(kind, key, value) for key, value in values.items()})
    except WrongValue as error:
        raise SettingsError(f"{path}: [{name}] {error}") from error
