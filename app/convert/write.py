"""The results into the output file: the input's bytes, with another segmentation where there is a new mask."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

from app.convert.digest import sha256
from app.convert.ledger import tally
from app.convert.plan import Plan, State
from app.convert.progress import bar
from app.convert.result import PhotoResult
from app.convert.summary import Summary, summarise
from exporters import masks
from exporters.coco import Edit
from labelers.protocol import LabelerSpec
from labelers.records import RLE

_CACHED_PHOTOS = 256  # real files don't keep a photo's annotations together, and reading a photo again costs little


class Results(Protocol):
    """What the photos gave, by their keys: a journal, or several."""

    def read(self, key: str) -> dict[str, Any]: ...


def write_all(
    plan: Plan,
    results: Results,
    spec: LabelerSpec,
    *,
    resumed: int = 0,
    quiet: bool = True,
    on_written: Callable[[str, Summary], object] = lambda digest, summary: None,
) -> Summary:
    """Count, write the report and the output. ``on_written`` hears the digest before the output takes its place.

    ``resumed``: photos that an earlier run had done. Raises OSError (disk full), and then the old file is untouched.
    """
    settings = plan.settings
    ledger = tally(plan, results)

    def finish(digest: str, filled: int) -> Summary:
        """All that has to be safe before an input may be replaced in place."""
        found = summarise(plan, ledger, spec=spec, resumed=resumed, filled=filled, written=True)
        if settings.report is not None:
            from app.reports import write_report

            write_report(settings.report, plan, ledger, results, found)
        on_written(digest, found)
        return found

    with bar(total=len(plan.state), unit="annotations", what="writing", quiet=quiet, delay=2.0) as progress:
        return write(plan, results, spec, finish=finish, on_annotation=progress.update)


def write(
    plan: Plan,
    results: Results,
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
    photo = _photo_reader(results)
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


def _photo_reader(results: Results) -> Callable[[str], PhotoResult]:
    recent: OrderedDict[str, PhotoResult] = OrderedDict()

    def read(key: str) -> PhotoResult:
        if key in recent:
            recent.move_to_end(key)
            return recent[key]
        result = recent[key] = PhotoResult.from_payload(results.read(key))
        if len(recent) > _CACHED_PHOTOS:
            recent.popitem(last=False)
        return result

    return read
