"""The colour of a class: the same in a report and on the annotators' page, in every run, on every machine."""

from __future__ import annotations

import colorsys

# Readable on photos, and the first ones as far apart as they can be: most data sets have few classes.
_FIRST = (
    "#ff4d4d", "#2fb5ff", "#ffd23f", "#3ddc84", "#b388ff", "#ff8f1f", "#00d5c3", "#ff6fb5", "#9ccc2b", "#4f7bff",
    "#e0a878", "#e14bea", "#8fd8ff", "#d01050", "#9af7b2", "#c9a400", "#7048f8", "#ffb3a1", "#12a06a", "#b8652e",
)  # fmt: skip
_UNKNOWN = "#b0b7c3"
_GOLDEN = 0.61803398875  # steps of the golden angle never come back to the same hue
_TONES = ((0.75, 1.0), (0.9, 0.8), (0.45, 1.0))


def colour_at(position: int) -> str:
    """``#rrggbb`` for the class at this place (from 0) of its data set's list; grey for -1, no class."""
    if position < 0:
        return _UNKNOWN
    if position < len(_FIRST):
        return _FIRST[position]
    saturation, value = _TONES[position % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(position * _GOLDEN % 1.0, saturation, value)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
