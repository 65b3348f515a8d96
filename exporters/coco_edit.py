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
        new_id: added as "id" where the object has none.
    """
    text = raw.decode("latin-1")  # one character a byte, so that the rest is kept byte for byte
    found = members(text)
    place = {member.key: member for member in found}
    values: dict[str, Any] = {}
    if new_id is not None and "id" not in place:
        values["id"] = new_id
    if edit is not None:
        if edit.bbox is not None:
            values["bbox"] = list(edit.bbox)
        if edit.segmentation is not None:
            values["segmentation"] = edit.segmentation
        if edit.area is not None and (edit.force_area or _area_is_free(text, place)):
            values["area"] = edit.area
        if edit.provenance:
            values[PROVENANCE_KEY] = edit.provenance
    changes = [(place[key].start, place[key].end, _dump(value)) for key, value in values.items() if key in place]
    if edit is not None and edit.provenance == {}:
        changes += _removals(found)
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    added = {key: value for key, value in values.items() if key not in place}
    return (_append(text, added) if added else text).encode("latin-1")


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _append(text: str, added: dict[str, Any]) -> str:
    found = members(text)
    between = text[found[-2].end : found[-1].key_start] if len(found) > 1 else ", "
    colon = text[found[-1].key_end : found[-1].start] if found else ": "
    new = between.join(json.dumps(key) + colon + _dump(value) for key, value in added.items())
    end = found[-1].end if found else 1
    return text[:end] + (between if found else "") + new + text[end:]


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
    if isinstance(area, bool) or not isinstance(area, int | float) or not (math.isfinite(area) and area > 0):
        return True
    try:
        _, _, width, height = (float(value) for value in bbox or ())
        return math.isclose(area, width * height, rel_tol=1e-6, abs_tol=_AREA_ROUNDING)
    except (TypeError, ValueError, OverflowError):
        return False
