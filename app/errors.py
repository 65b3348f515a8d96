"""The one error of this room: what the user asked for can't be done as written."""

from __future__ import annotations


class UsageError(ValueError):
    """The message names the option or file and what to write instead. Ends a command with exit code 2."""
