"""Values that come from outside, checked before they reach the database. All raise ``StoreError`` with the remedy."""

from __future__ import annotations

import math
import re
from typing import Any

from app.store.errors import StoreError
from app.store.records import Box, State
from exporters.masks import MaskError, from_coco
from labelers.records import RLE

FORMS = ("auto", "polygon", "rle")
_LONGEST = 200
_MAX_SIMPLIFY = 1000.0
_SOURCE = re.compile(r"imported|human|model:.+")
_COLOUR = re.compile(r"#[0-9a-f]{6}")


def is_id(value: Any) -> bool:
    """Whether a row could have this id at all: what is no such number would make the driver raise."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def checked_text(value: Any, what: str, *, longest: int = _LONGEST) -> str:
    """A line of text for people: not empty, no control characters, no blanks around it."""
    if not isinstance(value, str) or not value.strip() or value != value.strip():
        raise StoreError(f"{what} is {value!r}; give a text without blanks around it")
    if len(value) > longest or not value.isprintable():
        raise StoreError(f"{what} must be at most {longest} printable characters")
    return value


def checked_box(value: Any, *, width: int, height: int) -> Box:
    """xyxy pixels of the upright photo: finite, with an area, and not altogether outside."""
    try:
        x0, y0, x1, y1 = (float(number) for number in value)
    except (TypeError, ValueError, OverflowError):
        raise StoreError(f"box is {value!r}; give four numbers [x0, y0, x1, y1]") from None
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise StoreError("box has a coordinate that is not finite")
    if x1 <= x0 or y1 <= y0:
        raise StoreError(f"box has no area ({x1 - x0:g} x {y1 - y0:g} pixels); x0 < x1 and y0 < y1 are needed")
    if min(x1, width) <= max(x0, 0) or min(y1, height) <= max(y0, 0):
        raise StoreError(f"box lies outside the {width} x {height} photo")
    return x0, y0, x1, y1


def checked_mask(value: Any, *, width: int, height: int) -> RLE:
    """An RLE of the upright photo with at least one pixel."""
    if not isinstance(value, dict) or set(value) != {"size", "counts"}:
        raise StoreError("mask must be an RLE with size [height, width] and counts")
    try:
        mask = from_coco({"size": list(value["size"]), "counts": value["counts"]}, height, width)
    except (MaskError, TypeError) as error:
        raise StoreError(f"mask can't be read: {error}") from None
    if mask is None:
        raise StoreError("mask has no pixel; delete the annotation, or take the mask away with mask = None")
    return mask


def checked_state(value: Any) -> State:
    """One of ``State``."""
    try:
        return State(value)
    except ValueError:
        raise StoreError(f"state {value!r} is unknown; use one of {', '.join(State)}") from None


def checked_form(value: Any) -> str:
    """How a mask is written."""
    if value not in FORMS:
        raise StoreError(f"form {value!r} is unknown; use one of {', '.join(FORMS)}")
    return str(value)


def checked_simplify(value: Any) -> float:
    """How far a polygon may stray from the mask, pixels."""
    number = _number(value, "simplify")
    if not 0 <= number <= _MAX_SIMPLIFY:
        raise StoreError(f"simplify is {number:g}; give pixels from 0 to {_MAX_SIMPLIFY:g}")
    return number


def checked_quality(value: Any) -> float | None:
    """A score from 0 to 1, or None for unknown."""
    if value is None:
        return None
    number = _number(value, "quality")
    if not 0 <= number <= 1:
        raise StoreError(f"quality is {number:g}; give a number from 0 to 1")
    return number


def checked_source(value: Any) -> str:
    """``imported``, ``human`` or ``model:<name>``."""
    text = checked_text(value, "source")
    if not _SOURCE.fullmatch(text):
        raise StoreError(f"source {text!r} is unknown; use imported, human or model:<name>")
    return text


def checked_flag(value: Any) -> bool:
    """Whether it is a COCO crowd: True or False, and no number in their place."""
    if not isinstance(value, bool):
        raise StoreError(f"iscrowd is {value!r}; give true or false")
    return value


def checked_colour(value: Any) -> str:
    """``#rrggbb``, lower case."""
    text = value.lower() if isinstance(value, str) else ""
    if not _COLOUR.fullmatch(text):
        raise StoreError(f"colour is {value!r}; write it as #rrggbb")
    return text


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise StoreError(f"{what} is {value!r}; give a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise StoreError(f"{what} is not finite; give a number")
    return number
