"""The colour of a class: the same everywhere, in every run, on every machine."""

from __future__ import annotations

import colorsys
import zlib


def colour_of(name: str) -> str:
    """``#rrggbb`` for a class name: readable on photos, far apart for most pairs of names."""
    seed = zlib.crc32(name.encode("utf-8", "surrogatepass"))
    hue = (seed & 0xFFFF) / 0x10000
    saturation = 0.75 + 0.25 * (seed >> 16 & 0xFF) / 0xFF
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, 1.0)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
