"""What readers of formats do with elements that are wrong: say so and leave them out, or stop."""

from __future__ import annotations

import math
from collections.abc import Callable

from exporters.dataset import FormatError

OnProblem = Callable[[str], object] | None

# A coordinate or size beyond it is no pixel of any photo, and products of such numbers would overflow.
_LIMIT = 1e7


def complain(on_problem: OnProblem, message: object) -> None:
    """Tell ``on_problem``; raise FormatError where nobody listens."""
    if on_problem is None:
        raise FormatError(str(message))
    on_problem(str(message))


def number(value: object, what: str) -> float:
    """A coordinate or size from a file: a number or its text. Raises FormatError naming ``what``."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= _LIMIT:  # also false for NaN
        shown = repr(value)
        raise FormatError(f"{what} is {shown[:60]}; a number of pixels is expected")
    return found


def whole(value: object, what: str) -> int:
    """A whole number from a file. Raises FormatError naming ``what``."""
    found = number(value, what)
    if found != int(found):
        raise FormatError(f"{what} is {value!r}; a whole number is expected")
    return int(found)


def size(height: object, width: object, where: str) -> tuple[int, int]:
    """(height, width) of a picture. Raises FormatError for sizes below 1 or that no mask can have."""
    found = whole(height, f"{where}: height"), whole(width, f"{where}: width")
    if min(found) < 1 or found[0] * found[1] > 2**31 - 1:
        raise FormatError(f"{where}: the picture's size is {found[1]} x {found[0]}; give its size in pixels")
    return found
