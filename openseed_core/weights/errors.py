"""The one error of this room; apart from the others so that it can be named without loading torch."""

from __future__ import annotations


class WeightsError(ValueError):
    """A weights file can't be had, read or used. The message names it, what is wrong and what to do.

    Attributes:
        problems: every single finding, also those that the message leaves out when there are many.
    """

    SHOWN = 20

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        shown = [f"\n  {problem}" for problem in problems[: self.SHOWN]]
        if len(problems) > self.SHOWN:
            shown.append(f"\n  ... and {len(problems) - self.SHOWN} more")
        super().__init__(message + "".join(shown))
        self.problems = problems
