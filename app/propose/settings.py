"""Everything that decides a run of ``propose``, checked and with its paths filled in."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from app.errors import UsageError
from labelers.remote import RemoteFolder

TASKS = ("instances", "boxes", "panoptic", "semantic")

JOURNALLED = "proposals"
"""The journal of a run lies in the output folder under this name and the journal's suffix."""

# What the proposals of a photo depend on, besides the photo, the classes and the labeler's own version.
_FIELDS = ("tasks", "exif", "most", "for_boxes", "margin")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. Made by ``of``, which checks the paths.

    Attributes:
        source: a folder of photos, or a COCO file.
        output: the folder for all results; made where it is missing.
        vocabulary: the text of ``--vocab``; None for the classes of the COCO file.
        tasks: some of ``TASKS``.
        threshold: lowest score of a proposal where its class has none of its own; None for the labeler's default.
        thresholds: the same by class.
        most: at most so many instances, and boxes, of one photo.
        for_boxes: name the boxes that are there, and look for nothing.
        margin: of ``labelers.name_check``.

    The other fields are the command's options of the same name.
    """

    source: Path
    output: Path
    images: Path | RemoteFolder | None = None
    vocabulary: str | None = None
    tasks: tuple[str, ...] = ("instances",)
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    most: int | None = None
    limit: int | None = None
    exif: Literal["auto", "raw", "upright"] = "auto"
    form: Literal["auto", "polygon", "rle"] = "auto"
    overwrite: bool = False
    report: Path | None = None
    for_boxes: bool = False
    margin: float = 0.1
    labeler: str = "conditioned"
    model: str = "nano"
    weights: Path | None = None
    device: str = "auto"
    batch_size: int | None = None
    mirror: bool = False
    runtime: str = "torch"
    prompts: tuple[str, ...] = ()
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    @staticmethod
    def of(*, source: Path, output: Path | None = None, **options: Any) -> Settings:
        """Fill in the output folder and check the paths.

        Raises:
            UsageError: a path is missing or of the wrong kind, a task does not exist, or the options contradict.
        """
        if not source.exists():
            raise UsageError(f"{source}: no such file or folder; give a folder of photos, or a COCO file")
        if source.is_file() and source.suffix.lower() != ".json":
            from app.store.folder_import import SUFFIXES

            if source.suffix.lower() in SUFFIXES:
                raise UsageError(f"{source} is a photo; give the folder that it is in, or a COCO file")
        stem = source.resolve().name if source.is_dir() else source.stem
        target = (output or source.resolve().parent / f"{stem}.proposals").resolve()
        if target.exists() and not target.is_dir():
            raise UsageError(f"{target} is a file; propose writes several files, so give a folder for them")
        if not target.parent.is_dir():
            raise UsageError(f"the folder {target.parent} does not exist; make it, or choose another output folder")
        if target == source.resolve():
            raise UsageError(f"{target} is the folder of the photos; give another one for the results")
        settings = Settings(source=source, output=target, **options)
        _check(settings)
        return settings

    def fingerprint(self) -> dict[str, Any]:
        """The options that the results depend on: a resumed run must have the same."""
        values = dataclasses.asdict(self)
        return {name: list(v) if isinstance(v := values[name], tuple) else v for name in _FIELDS}


def _check(settings: Settings) -> None:
    if not settings.tasks:
        raise UsageError(f"--tasks: name at least one of {', '.join(TASKS)}")
    for task in settings.tasks:
        if task not in TASKS:
            raise UsageError(f"--tasks: there is no task {task!r}; choose from {', '.join(TASKS)}")
    if settings.for_boxes and settings.source.is_dir():
        raise UsageError(f"--for-boxes needs boxes, and {settings.source} is a folder of photos; give a COCO file")
    if settings.report is not None and "instances" not in settings.tasks:
        raise UsageError("--report shows instances; add instances to --tasks, or leave --report out")
    if isinstance(settings.images, Path) and not settings.images.is_dir():
        raise UsageError(f"--images {settings.images} is not a folder; give the folder that holds the photos")
    if settings.images is not None and settings.source.is_dir():
        raise UsageError("--images is for COCO files; the photos are in the folder that you gave first")
    if settings.weights is not None and not settings.weights.exists():
        raise UsageError(f"--weights {settings.weights}: no such file or folder; check the path")
    if settings.report is not None and (settings.report.is_dir() or not settings.report.resolve().parent.is_dir()):
        raise UsageError(f"--report {settings.report}: give the name of a file in a folder that exists")
    if settings.report is not None and settings.report.resolve() == settings.source.resolve():
        raise UsageError(f"--report {settings.report} would replace the data; choose another name")
