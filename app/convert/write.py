"""The results into the output file: the input's bytes, with another segmentation where there is a new mask."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.convert.plan import Plan, State
from app.convert.result import PhotoResult
from app.convert.summary import Summary
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
    finish: Callable[[str, int], Summary],
    on_annotation: Callable[[], None] = lambda: None,
) -> Summary:
    """Write the output beside its place, then move it there: a reader never sees half a file.

    ``finish`` hears the SHA-256 of the finished file and how many masks lost their holes, before the file takes its
    place; its summary is returned. ``on_annotation`` is called for each annotation. Raises OSError (disk full), and
    then the old file is untouched.
    """
    settings = plan.settings
    photo = _photo_reader(journal)
    untouched = None if settings.provenance else Edit(provenance={})  # what an earlier run left is taken out too
    filled = 0
    summaries: list[Summary] = []

    def edit(row: int) -> Edit | None:
        nonlocal filled
        on_annotation()
        if plan.state[row] != State.TODO:
            return untouched
        result = photo(str(plan.image_of[row]))
        k = result.rows.index(row)
        mask = result.masks[k]
        if mask is None:
            return untouched
        filled += settings.form == "polygon" and masks.has_holes(mask)
        return make_edit(plan, row, mask, score=result.scores[k], spec=spec)

    plan.document.write(
        settings.output, edit, before_replace=lambda path: summaries.append(finish(sha256(path), filled))
    )
    return summaries[0]


def make_edit(plan: Plan, row: int, mask: RLE, *, score: float, spec: LabelerSpec) -> Edit:
    """What changes in one annotation. ``mask`` is in the frame of the input's boxes."""
    settings = plan.settings
    provenance: dict[str, Any] = {"labeler": spec.name, "version": spec.version, "score": score}
    if settings.assisted:
        known = spec.version.startswith(f"{spec.name}-")  # versions of models begin with their name
        provenance["assisted"] = spec.version if known else f"{spec.name}-{spec.version}"
    bbox: tuple[int, int, int, int] | None = None
    old = plan.document.raw_annotation(row) if settings.tighten or settings.redo else {}
    if settings.tighten:
        x0, y0, x1, y1 = (int(v) for v in masks.box_xyxy(mask).tolist())
        if list(old.get("bbox") or ()) != [x0, y0, x1 - x0, y1 - y0]:
            bbox = (x0, y0, x1 - x0, y1 - y0)
            provenance["bbox"] = old.get("bbox")
    segmentation = masks.to_coco(mask, form=settings.form, simplify=settings.simplify)
    shown: RLE | None = mask
    if isinstance(segmentation, list) and (settings.simplify or settings.form == "polygon"):
        shown = masks.from_coco(segmentation, *mask["size"])  # other pixels than the mask's: corners or holes are gone
    return Edit(
        segmentation=segmentation,
        area=masks.area(shown or mask),
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
