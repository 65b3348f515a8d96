"""Everything that decides a conversion, checked and with its paths filled in."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.errors import UsageError
from labelers.remote import RemoteFolder

# What a mask depends on, besides the photo and the labeler's own version. Format and provenance are not
# among them: they are applied when the output is written, so a run may go on with others.
_MASK_FIELDS = ("redo", "categories", "prompts", "exif", "overlap", "clip", "margin")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run of convert-boxes. Made by ``of``, which resolves the paths.

    ``images`` is None where the photos are looked for beside the JSON. ``part`` is (k, n): of n parts only the k-th,
    from 1; ``merge`` is n: put the parts together. ``margin`` is a fraction of the box size,
    ``simplify`` pixels. Masks with a score below ``min_quality`` are not written; ``assisted`` notes in the provenance
    that a model wrote the mask for training. The other fields are the command's options of the same name.
    """

    source: Path
    output: Path
    images: Path | RemoteFolder | None = None
    images_json: Path | None = None
    report: Path | None = None
    in_place: bool = False
    overwrite: bool = False
    labeler: str = "conditioned"
    model: str = "nano"
    weights: Path | None = None
    device: str = "auto"
    batch_size: int | None = None
    mirror: bool = False
    runtime: str = "torch"
    prompts: tuple[str, ...] = ()
    redo: bool = False
    categories: tuple[str, ...] = ()
    limit: int | None = None
    part: tuple[int, int] | None = None
    merge: int | None = None
    exif: Literal["auto", "raw", "upright"] = "auto"
    form: Literal["auto", "polygon", "rle"] = "auto"
    simplify: float = 0.0
    clip: bool = False
    margin: float = 0.0
    overlap: Literal["keep", "argmax"] = "keep"
    tighten: bool = False
    provenance: bool = True
    min_quality: float = 0.0
    assisted: bool = False
    engine: Literal["local", "ray"] = "local"
    ray_address: str | None = None
    workers: int | None = None
    gpus_per_worker: float | None = None

    @staticmethod
    def of(*, source: Path, output: Path | None = None, in_place: bool = False, **options: Any) -> Settings:
        """Fill in the output path and check the paths against each other.

        Raises:
            UsageError: a path is missing or of the wrong kind, or the output would replace an input unasked.
        """
        # Through links, so that the file is replaced and not the link to it.
        target = (source if in_place else output or source.with_name(f"{source.stem}.masks.json")).resolve()
        inputs = {path.resolve() for path in (source, options.get("images_json")) if path}
        if target in inputs and not in_place:
            raise UsageError(f"{target} is an input; give another -o/--output, or --in-place to replace the file")
        if target.is_dir():
            raise UsageError(f"{target} is a folder; -o/--output needs the name of a file")
        if not target.parent.is_dir():
            raise UsageError(f"the folder {target.parent} does not exist; make it, or choose another -o/--output")
        report = options.get("report")
        if report is not None and report.resolve() in {target, *inputs}:
            raise UsageError(f"--report {report} would replace the data; choose another name")
        if report is not None and report.is_dir():
            raise UsageError(f"--report {report} is a folder; it needs the name of a file, such as report.html")
        if report is not None and not report.resolve().parent.is_dir():
            raise UsageError(
                f"the folder {report.resolve().parent} does not exist; make it, or choose another --report"
            )
        for name in ("images", "weights"):
            path = options.get(name)
            if isinstance(path, Path) and not path.exists():
                raise UsageError(f"--{name} {path}: no such file or folder; check the path")
        images = options.get("images")
        if isinstance(images, Path) and not images.is_dir():
            raise UsageError(f"--images {images} is not a folder; give the folder that holds the photos")
        part = options.get("part")
        if part is not None and options.get("merge") is not None:
            raise UsageError("--part makes a part, --merge puts the parts together; give one of them")
        if part is not None and not 1 <= part[0] <= part[1]:
            raise UsageError(f"--part {part[0]}/{part[1]}: of {part[1]} parts the first is 1/{part[1]}")
        return Settings(source=source, output=target, in_place=in_place, **options)

    def fingerprint(self) -> dict[str, Any]:
        """The options that the masks of a photo depend on: a resumed run must have the same."""
        values = dataclasses.asdict(self)
        found = {name: list(v) if isinstance(v := values[name], tuple) else v for name in _MASK_FIELDS}
        # only where it is used, so that a run which an older version began can go on
        found |= {"min_quality": self.min_quality} if self.min_quality else {}
        return found | ({"part": "{}/{}".format(*self.part)} if self.part is not None else {})
