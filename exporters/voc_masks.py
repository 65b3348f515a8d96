"""The mask PNGs of Pascal VOC: numbers of classes and objects in the colours of the VOC palette.

0 is background and 255 is void: the border that VOC draws around each object belongs to no object. VOC itself keeps
the numbers in palette PNGs; other tools (CVAT, Datumaro) write the colours, which are turned back into numbers here.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from exporters.dataset import FormatError
from exporters.photo_files import MAX_PIXELS

VOID = 255
MOST = 254
"""Largest number of a class or of an object in a picture."""

_NO_LABEL = -2
_VOID_LABEL = -1


@functools.cache
def palette() -> NDArray[np.uint8]:
    """The 256 colours of VOC, uint8 [256, 3]: the bits of the number, spread over red, green and blue."""
    number = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (((number >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    colours.setflags(write=False)
    return colours


def write_png(path: Path, numbers: NDArray[np.uint8]) -> None:
    """Numbers [H, W] as a palette PNG."""
    image = Image.fromarray(numbers)
    image.putpalette(palette().tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG")


def read_objects(path: Path, *, height: int, width: int) -> NDArray[np.int32]:
    """The number of the object at each pixel, int32 [H, W]; 255 is void. Raises FormatError."""
    image = _open(path, height, width)
    if image.mode not in ("RGB", "RGBA"):
        return np.asarray(image).astype(np.int32)
    lookup = {_code(colour): number for number, colour in enumerate(palette().tolist())}
    return _translated(np.asarray(image.convert("RGB")), lookup, path)


def read_classes(
    path: Path, *, height: int, width: int, colours: Mapping[tuple[int, int, int], int]
) -> NDArray[np.int32]:
    """The label at each pixel, int32 [H, W]: its number in the list of labels, -1 void, -2 background.

    Args:
        colours: colour -> number in the list of labels. Numbers of grey PNGs stand for the palette's colours.

    Raises:
        FormatError: no readable PNG, another size, a class without a name.
    """
    image = _open(path, height, width)
    table = palette().tolist()
    lookup = {(0, 0, 0): _NO_LABEL, tuple(table[VOID]): _VOID_LABEL, **colours}
    if image.mode in ("RGB", "RGBA"):
        return _translated(np.asarray(image.convert("RGB")), {_code(c): label for c, label in lookup.items()}, path)
    numbers = np.asarray(image).astype(np.int32)
    own = _own_palette(image)
    found = np.zeros(numbers.shape, np.int32)
    for number in np.unique(numbers).tolist():
        choices = [own[number]] if number < len(own) else []
        choices += [tuple(table[number])] if number < 256 else []
        labels = [_NO_LABEL] if number == 0 else [_VOID_LABEL] if number == VOID else []
        labels += [lookup[colour] for colour in choices if colour in lookup]
        if not labels:
            raise FormatError(f"{path}: class number {number} has no name; list the classes in labelmap.txt")
        found[numbers == number] = labels[0]
    return found


def _own_palette(image: Image.Image) -> list[tuple[int, ...]]:
    flat = image.getpalette("RGB") if image.mode == "P" else None
    return [] if flat is None else [tuple(flat[at : at + 3]) for at in range(0, len(flat) - 2, 3)]


def _translated(colours: NDArray[np.uint8], lookup: Mapping[int, int], path: Path) -> NDArray[np.int32]:
    codes = colours.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    found = np.zeros(codes.shape, np.int32)
    for code in np.unique(codes).tolist():
        if code not in lookup:
            colour = f"{code >> 16},{code >> 8 & 255},{code & 255}"
            raise FormatError(f"{path}: colour {colour} belongs to no class or object; list it in labelmap.txt")
        found[codes == code] = lookup[code]
    return found


def _code(colour: tuple[int, ...] | list[int]) -> int:
    red, green, blue = colour
    return red << 16 | green << 8 | blue


def _open(path: Path, height: int, width: int) -> Image.Image:
    """Decode a PNG after its header has been found to fit."""
    try:
        with path.open("rb") as stream:
            image = PngImagePlugin.PngImageFile(stream)  # not Image.open: its size limit is global and lower
            if image.size != (width, height) or height * width > MAX_PIXELS:
                raise FormatError(
                    f"{path}: {image.width} x {image.height} pixels, but its picture has {width} x {height}; "
                    "write the masks at the size of the picture"
                )
            if image.mode not in ("1", "L", "P", "I", "I;16", "RGB", "RGBA"):
                raise FormatError(f"{path}: a palette, grey or colour PNG is expected, this one is {image.mode}")
            image.load()
            return image
    except FormatError:
        raise
    except Exception as error:  # decoders raise anything on hostile bytes
        raise FormatError(f"{path}: no PNG that can be read ({error}); export it again") from error


def png_size(path: Path) -> tuple[int, int] | None:
    """(height, width) from the header; None where there is no such PNG."""
    try:
        with path.open("rb") as stream:
            image = PngImagePlugin.PngImageFile(stream)
            return image.height, image.width
    except Exception:
        return None
