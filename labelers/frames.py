"""Which frame a dataset's boxes are in, and the way there and back.

A photo with an EXIF orientation has two frames: the stored pixels (raw) and what a viewer shows
(upright). A COCO file's boxes are in the frame of its ``width`` and ``height``. Labelers see the upright
photo only, and masks must return in the frame the boxes came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from exporters.masks import decode, encode
from labelers.orientation import array_to_raw, array_to_upright, boxes_to_raw, boxes_to_upright
from labelers.photos import PhotoHeader
from labelers.records import RLE

ExifMode = Literal["auto", "raw", "upright"]
EXIF_MODES: tuple[ExifMode, ...] = get_args(ExifMode)


@dataclass(frozen=True)
class Frame:
    """The frame of the input's boxes.

    Attributes:
        orientation: EXIF orientation between the input's frame and the upright photo; 1 where they are the same.
        height, width: size of the input's frame; masks come back at this size.
        note: what the user should know (a contradiction, a guess), None where all agree.
    """

    orientation: int
    height: int
    width: int
    note: str | None = None

    def boxes_to_upright(self, xyxy: NDArray[np.floating]) -> NDArray[np.float32]:
        """Boxes [N, 4] xyxy of the input's frame, as float32 in pixels of the upright photo."""
        boxes = np.asarray(xyxy, dtype=np.float64).reshape(-1, 4)
        turned = boxes_to_upright(boxes, self.orientation, raw_height=self.height, raw_width=self.width)
        return turned.astype(np.float32)

    def boxes_from_upright(self, xyxy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Boxes [N, 4] xyxy of the upright photo, in pixels of the input's frame."""
        boxes = np.asarray(xyxy, dtype=np.float64).reshape(-1, 4)
        return boxes_to_raw(boxes, self.orientation, raw_height=self.height, raw_width=self.width)

    def mask_from_upright(self, rle: RLE) -> RLE:
        """A mask of the upright photo, as a mask in the input's frame."""
        if self.orientation == 1:
            return rle
        return encode(np.ascontiguousarray(array_to_raw(decode(rle), self.orientation)))

    def mask_to_upright(self, rle: RLE) -> RLE:
        """A mask in the input's frame, as a mask of the upright photo. Inverse of ``mask_from_upright``."""
        if self.orientation == 1:
            return rle
        return encode(np.ascontiguousarray(array_to_upright(decode(rle), self.orientation)))


def decide(header: PhotoHeader, json_width: int | None, json_height: int | None, mode: ExifMode = "auto") -> Frame:
    """The frame of boxes that belong to a photo which the JSON calls ``json_width`` x ``json_height``.

    ``raw`` and ``upright`` are obeyed. ``auto`` compares the sizes: equal to the raw size only means raw;
    everything else means upright, and is reported where the sizes can't tell (square photos, half turns,
    sizes that fit neither frame).
    """
    if mode not in EXIF_MODES:
        raise ValueError(f"--exif {mode!r} does not exist; use one of {', '.join(EXIF_MODES)}")
    raw = (header.raw_width, header.raw_height)
    upright = (header.width, header.height)
    stated = (json_width, json_height) if json_width is not None and json_height is not None else None
    is_raw = mode == "raw" or (mode == "auto" and stated == raw != upright)
    note = _note(header, stated, raw, upright, mode, is_raw)
    if is_raw:
        return Frame(header.orientation, header.raw_height, header.raw_width, note)
    return Frame(1, header.height, header.width, note)


def _note(
    header: PhotoHeader,
    stated: tuple[int, int] | None,
    raw: tuple[int, int],
    upright: tuple[int, int],
    mode: ExifMode,
    is_raw: bool,
) -> str | None:
    taken = f"boxes are taken as {'raw' if is_raw else 'upright'}"
    if stated is not None and stated not in (raw, upright):
        sizes = _text(upright) if raw == upright else f"{_text(raw)} raw and {_text(upright)} upright"
        scaled = _scale_between(stated, upright) or _scale_between(stated, raw)
        guess = f" (a copy scaled by {scaled:.3g}? scale the boxes, or use that copy)" if scaled else ""
        return f"the JSON says {_text(stated)} but the file has {sizes}{guess}; {taken} pixels of the file"
    if header.orientation == 1:
        return None
    if stated is not None and stated != (raw if is_raw else upright):
        return f"the JSON says {_text(stated)}, which is not the {mode} size; {taken} because --exif says so"
    if mode == "auto" and (stated is None or raw == upright):
        why = "the JSON has no width and height" if stated is None else "raw and upright size are equal"
        return f"EXIF orientation {header.orientation} and {why}; {taken} (--exif raw if the masks come out turned)"
    return None


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _scale_between(stated: tuple[int, int], actual: tuple[int, int]) -> float | None:
    """The factor from ``actual`` to ``stated`` if the aspect is the same up to rounding of one pixel."""
    scale = stated[0] / actual[0]
    return scale if scale > 0 and abs(actual[1] * scale - stated[1]) <= max(1.0, scale) else None
