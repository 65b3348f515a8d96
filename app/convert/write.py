"""The results into the output file: the input's bytes, with another segmentation where there is a new mask."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.convert.plan import Plan, State
from app.convert.result import PhotoResult
from exporters import masks
from exporters.coco import Edit
from labelers.journal import Journal
from labelers.protocol import LabelerSpec
from labelers.records import RLE

_CACHED_PHOTOS = 256  # real files don't keep a photo's annotations together, and reading a photo again costs little


def write(
    plan: Plan,
    journal: Journal,
    spec: LabelerSpec,
    *,
    before_replace: Callable[[str], None],
    on_annotation: Callable[[], None] = lambda: None,
) -> None:
    """Write the output beside its place, then move it there: a reader never sees half a file.

    ``before_replace`` hears the SHA-256 of the finished file before it takes its place. ``on_annotation`` is
    called for each annotation. Raises OSError (disk full), and then the old file is untouched.
    """
    output = plan.settings.output
    staged = output.with_name(f".{output.name}.new")
    photo = _photo_reader(journal)

    def edit(row: int) -> Edit | None:
        on_annotation()
        if plan.state[row] != State.TODO:
            return None
        result = photo(str(plan.image_of[row]))
        k = result.rows.index(row)
        mask = result.masks[k]
        return None if mask is None else make_edit(plan, row, mask, score=result.scores[k], spec=spec)

    try:
        plan.document.write(staged, edit)
        before_replace(sha256(staged))
        if output.exists():
            shutil.copymode(output, staged)
        staged.replace(output)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    _sync_folder(output.parent)


def make_edit(plan: Plan, row: int, mask: RLE, *, score: float, spec: LabelerSpec) -> Edit:
    """What changes in one annotation. ``mask`` is in the frame of the input's boxes."""
    settings = plan.settings
    provenance: dict[str, Any] = {"labeler": spec.name, "version": spec.version, "score": score}
    bbox: tuple[int, int, int, int] | None = None
    old = plan.document.raw_annotation(row) if settings.tighten or settings.redo else {}
    if settings.tighten:
        x0, y0, x1, y1 = (int(v) for v in masks.box_xyxy(mask).tolist())
        if list(old.get("bbox") or ()) != [x0, y0, x1 - x0, y1 - y0]:
            bbox = (x0, y0, x1 - x0, y1 - y0)
            provenance["bbox"] = old.get("bbox")
    return Edit(
        segmentation=masks.to_coco(mask, form=settings.form, simplify=settings.simplify),
        area=masks.area(mask),
        # the area of a mask that is being replaced describes nothing any more
        force_area=settings.redo and not masks.is_empty(old.get("segmentation")),
        bbox=bbox,
        provenance=provenance if settings.provenance else {},  # {} takes an older one out
    )


def sha256(path: Path) -> str:
    """Of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _photo_reader(journal: Journal) -> Callable[[str], PhotoResult]:
    recent: OrderedDict[str, PhotoResult] = OrderedDict()

    def read(key: str) -> PhotoResult:
        if key in recent:
            recent.move_to_end(key)
            return recent[key]
        result = recent[key] = PhotoResult.from_payload(journal.read(key))
        if len(recent) > _CACHED_PHOTOS:
            recent.popitem(last=False)
        return result

    return read


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where the system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
