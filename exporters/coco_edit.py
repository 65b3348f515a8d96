"""Change a few values in the text of one annotation and keep every other byte."""

from __future__ import annotations

import json
import math
from typing import Any

from exporters.coco_records import PROVENANCE_KEY, Edit
from exporters.json_stream import Member, members

# Tools round an area to whole pixels or cut it off.
_AREA_ROUNDING = 1.0


def edited(raw: bytes, edit: Edit | None, *, new_id: int | None = None) -> bytes:
    """The annotation with the edit applied.

    A value that is there is replaced in its place (the last one, of several with one key: the one that parsers see);
    one that is absent is added at the end with the separators that the object uses.

    Args:
        raw: text of the annotation, from brace to brace.
        new_id: value for "id", of an annotation that has none or null.
    """
    text = raw.decode("latin-1")  # one character a byte, so that the rest is kept byte for byte
    found = members(text)
    place = {member.key: member for member in found}
    values: dict[str, Any] = {}
    if new_id is not None:
        values["id"] = new_id
    if edit is not None:
        values.update(edit.values)
        if edit.bbox is not None:
            values["bbox"] = list(edit.bbox)
        if edit.segmentation is not None:
            values["segmentation"] = edit.segmentation
        if edit.area is not None and (edit.force_area or _area_is_free(text, place)):
            values["area"] = edit.area
        if edit.provenance:
            values[PROVENANCE_KEY] = edit.provenance
    # In a file without spaces the new values have none either.
    compact = bool(found) and text[found[0].key_end : found[0].start] == ":"
    new = {key: _dump(value, compact=compact) for key, value in values.items()}
    changes = [(place[key].start, place[key].end, value) for key, value in new.items() if key in place]
    removed = _removals(found) if edit is not None and edit.provenance == {} else []
    added = {key: value for key, value in new.items() if key not in place}
    if added:
        bare = not found or removed == [(found[0].key_start, found[-1].end, "")]
        changes.append(_addition(text, found, added, bare=bare))
    # From the end on, so that the places before stay right; an addition starts where the last value ends.
    for start, end, value in sorted(changes + removed, reverse=True):
        text = text[:start] + value + text[end:]
    return text.encode("latin-1")


def _dump(value: Any, *, compact: bool) -> str:
    return json.dumps(value, allow_nan=False, separators=(",", ":") if compact else (", ", ": "))


def _addition(text: str, found: list[Member], added: dict[str, str], *, bare: bool) -> tuple[int, int, str]:
    """New members after the last one; ``bare`` when nothing stands before them, so that no comma is needed."""
    between = text[found[-2].end : found[-1].key_start] if len(found) > 1 else ", "
    colon = text[found[-1].key_end : found[-1].start] if found else ": "
    end = found[-1].end if found else 1
    return end, end, ("" if bare else between) + between.join(json.dumps(k) + colon + v for k, v in added.items())


def _removals(found: list[Member]) -> list[tuple[int, int, str]]:
    """Spans that take out our key together with one comma each."""
    kept = [member for member in found if member.key != PROVENANCE_KEY]
    if len(kept) == len(found):
        return []
    if not kept:
        return [(found[0].key_start, found[-1].end, "")]
    spans: list[tuple[int, int, str]] = []
    for number, member in enumerate(found):
        if member.key == PROVENANCE_KEY:
            if any(other.key != PROVENANCE_KEY for other in found[:number]):
                spans.append((found[number - 1].end, member.end, ""))
            else:
                spans.append((member.key_start, found[number + 1].key_start, ""))
    return spans


def _area_is_free(text: str, place: dict[str, Member]) -> bool:
    """Whether the old area says nothing about a mask: absent, no positive number, or that of the box."""
    area, bbox = (json.loads(text[place[k].start : place[k].end]) if k in place else None for k in ("area", "bbox"))
    try:
        if isinstance(area, bool) or not isinstance(area, int | float) or not (math.isfinite(area) and area > 0):
            return True
        _, _, width, height = (float(value) for value in bbox or ())
        return math.isclose(area, width * height, rel_tol=1e-6, abs_tol=_AREA_ROUNDING)
    except (TypeError, ValueError, OverflowError):
        return False
