"""A project as a zip of any format: what the page's export button gives."""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from app.datasets.conversion import foresee, write
from app.store.coco_export import export_coco
from app.store.projects import Project
from app.store.records import State
from exporters.dataset import WriteOptions, Written
from exporters.formats import FORMATS, load
from exporters.losses import Loss

NOTES = "NOTES.txt"
"""In the zip beside the data set: what the format could not hold."""

# Photos and PNG maps are compressed already.
_PACKED = frozenset((".jpg", ".jpeg", ".png", ".webp", ".avif", ".parquet", ".tif", ".tiff", ".gif"))


def write_zip(project: Project, folder: Path, to: str, *, name: str, states: Collection[State], photos: bool) -> Path:
    """Export the project into an empty folder: COCO first, then the format, then one zip of it.

    Args:
        folder: for everything that is made on the way; the caller removes it.
        name: of the folder inside the zip.
        photos: put the photos into it too.

    Raises:
        FormatError: unknown format, or one whose library is not installed.
        StoreError, OSError: the project or the disk.
    """
    load(to)  # complain about a missing library before the work
    source = folder / "export.json"
    export_coco(project, source, states=states, provenance=False)
    problems: list[str] = []
    dataset = load("coco").read(source, images=project.images_root, on_problem=problems.append)
    foreseen = foresee(dataset, to)
    out = folder / "made" / (name if photos else f"{name}{FORMATS[to].suffix}")
    out.parent.mkdir()
    written = write(dataset, out, to, WriteOptions(copy_images="link" if photos else "none"))
    (folder / "made" / NOTES).write_text("\n".join(_notes(to, foreseen.losses, written, problems)) + "\n", "utf-8")
    target = folder / "export.zip"
    with zipfile.ZipFile(target, "w", compression=zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "made").rglob("*")):
            if path.is_file():
                packed = zipfile.ZIP_STORED if path.suffix.lower() in _PACKED else None
                archive.write(path, path.relative_to(folder / "made").as_posix(), compress_type=packed)
    return target


def _notes(to: str, losses: tuple[Loss, ...], written: Written, problems: list[str]) -> Iterator[str]:
    yield f"{to}: {written.items:,} objects of {written.pictures:,} photos."
    total, number, least = written.ious
    if number:
        yield f"Outlines: mean IoU with their masks {total / number:.4f}, lowest {least:.4f}."
    for loss in losses:
        yield f"Lost: {loss}."
    for reason, times in written.dropped.items():
        yield f"Left out: {times:,} x {reason}."
    for problem in dict.fromkeys(problems):
        yield f"Left out: {problem.partition('export.json: ')[2] or problem}"  # not where the server keeps its files
    yield from written.notes
