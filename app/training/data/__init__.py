"""Data sets for training on whole photos: COCO instances and stuff, COCO panoptic, boxes only, Objects365.

Each reader gives a ``PhotoSet``: what is in memory are boxes, names and compressed masks; pixels are decoded when a
photo is drawn. Bad records are listed in ``problems`` and left out; a set without any usable photo is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.training.data.classes import training_name
from app.training.data.photo_set import DataError, PhotoSet

__all__ = ["KINDS", "DataError", "PhotoSet", "read_set", "training_name"]

KINDS = ("auto", "coco", "panoptic", "boxes", "objects365")

_USUAL = ("annotations.json", "panoptic.json", "zhiyuan_objv2_train.json", "annotations/zhiyuan_objv2_train.json")


def read_set(
    path: Path,
    *,
    kind: str = "auto",
    images: Path | None = None,
    pngs: Path | None = None,
    masks: bool = True,
    assisted: bool = True,
    leave_out: Sequence[str] = (),
    limit: int | None = None,
    quiet: bool = True,
) -> PhotoSet:
    """Read one data set.

    Args:
        path: the JSON, or the folder that has it (``annotations.json``, ``panoptic.json``, or Objects365's own name).
        kind: ``coco``: instances, joined with the ``annotations_stuff.json`` beside an ``annotations.json``;
            ``panoptic``: COCO panoptic JSON and PNGs; ``boxes``: COCO without masks; ``objects365``: its official
            layout; ``auto``: by content.
        images: folder of the photos (default: beside the JSON, or ``images`` there).
        pngs: kind ``panoptic``: folder of the PNGs (default: beside the JSON, called like it).
        masks: False reads boxes and names only, of things.
        assisted: False reads photos with masks written by ``openseed-label assist`` as boxes only.
        leave_out: class names that are not read, as if they had never been annotated.
        limit: only the first so many usable photos.
        quiet: no progress bar.

    Raises:
        DataError: no such file, an unknown kind, or no photo that can be used; the message lists why.
        CocoError: the JSON can't be read.
    """
    if kind not in KINDS:
        raise DataError(f"kind {kind!r} is unknown; choose one of {', '.join(KINDS)}")
    if images is not None and not images.is_dir():
        raise DataError(f"{images}: no such folder; give the one that holds the photos of {path}")
    path = _json_of(path)
    kind = _kind_of(path) if kind == "auto" else kind
    if kind == "panoptic":
        from app.training.data.panoptic import read_panoptic_set

        return read_panoptic_set(
            path, images=images, pngs=pngs, masks=masks, leave_out=leave_out, limit=limit, quiet=quiet
        )
    if kind == "objects365":
        from app.training.data.objects365 import read_objects365

        return read_objects365(path, images=images, leave_out=leave_out, limit=limit, quiet=quiet)
    from app.training.data.coco import read_coco

    return read_coco(
        path,
        images=images,
        masks=masks and kind == "coco",
        assisted=assisted,
        leave_out=leave_out,
        limit=limit,
        quiet=quiet,
    )


def _json_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _USUAL:
        if (path / name).is_file():
            return path / name
    found = sorted(path.glob("*.json"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "there is none"
        raise DataError(f"{path}: which JSON is the data set? There is no {_USUAL[0]}; name the file ({names})")
    return found[0]


def _kind_of(path: Path) -> str:
    """By content: segments are panoptic, Objects365 goes by its file name, then masks or none."""
    from exporters.coco import CocoDocument

    if path.name.startswith("zhiyuan_objv2_"):
        return "objects365"
    with CocoDocument.open(path) as document:
        if document.annotation_count and "segments_info" in document.raw_annotation(0):
            return "panoptic"
        masked = any(document.annotations(image.row).has_mask.any() for image in document.images)
    return "coco" if masked else "boxes"
