"""A small picture of one instance: the photo around it as JPEG, its mask and box as an SVG path on top."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from exporters.masks import box_xyxy, decode
from exporters.rings import simplified, trace
from labelers.records import RLE

SIDE = 240  # longer side of a thumbnail in pixels: 200 of them stay below 3 MB
_CONTEXT = 0.2  # of the box's longer side, shown around it
_SMALLEST = 48  # pixels of the photo shown at least, so that a tiny box has surroundings
_QUALITY = 78


@dataclass(frozen=True)
class Thumbnail:
    """Ready for a page.

    Attributes:
        jpeg: data URI.
        width, height: of the picture, in pixels.
        mask: SVG path data of the outline, in picture pixels (fill rule evenodd).
        box: (x, y, width, height) in picture pixels.
    """

    jpeg: str
    width: int
    height: int
    mask: str
    box: tuple[float, float, float, float]


def thumbnail(pixels: NDArray[np.uint8], mask: RLE, xyxy: NDArray[np.float32]) -> Thumbnail:
    """Crop around the box and the mask, shrink, encode.

    Args:
        pixels: uint8 RGB [H, W, 3], upright.
        mask: of the upright photo.
        xyxy: float32 [4], the box in its pixels.
    """
    x0, y0, x1, y1 = _view(pixels.shape[:2], mask, xyxy)
    scale = SIDE / max(x1 - x0, y1 - y0)
    width, height = max(round((x1 - x0) * scale), 1), max(round((y1 - y0) * scale), 1)
    shrinks = scale < 1
    crop = cv2.resize(
        pixels[y0:y1, x0:x1], (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return Thumbnail(
        jpeg=_data_uri(crop),
        width=width,
        height=height,
        mask=_outline(decode(mask)[y0:y1, x0:x1], scale if shrinks else 1.0, scale),
        box=tuple(
            round(float(v) * scale, 1) for v in (xyxy[0] - x0, xyxy[1] - y0, xyxy[2] - xyxy[0], xyxy[3] - xyxy[1])
        ),  # type: ignore[arg-type]
    )


def _view(shape: tuple[int, ...], mask: RLE, xyxy: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """The part of the photo to show, integer xyxy inside it."""
    height, width = shape
    found = box_xyxy(mask)
    x0, y0 = np.minimum(found[:2], xyxy[:2]).tolist()
    x1, y1 = np.maximum(found[2:], xyxy[2:]).tolist()
    longer = max(x1 - x0, y1 - y0)
    side = max(longer * (1 + 2 * _CONTEXT), _SMALLEST)
    left, right = _span((x0 + x1) / 2, side, width)
    top, bottom = _span((y0 + y1) / 2, side, height)
    return left, top, right, bottom


def _span(centre: float, side: float, limit: int) -> tuple[int, int]:
    """A stretch of about ``side`` pixels around ``centre``, pushed into [0, limit]: a square view where possible."""
    length = min(round(side), limit)
    start = min(max(round(centre - length / 2), 0), limit - length)
    return start, start + length


def _outline(mask: NDArray[np.bool_], shrink: float, scale: float) -> str:
    """Path data. Traced on the mask at most at the size it is shown, which keeps the path short."""
    if shrink < 1:
        size = max(round(mask.shape[1] * shrink), 1), max(round(mask.shape[0] * shrink), 1)
        mask = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    factor = scale / shrink
    parts = []
    for ring in trace(mask):
        points = np.round(simplified(ring.points, 0.7) * factor, 1)
        parts.append("M" + "L".join(f"{x:g} {y:g}" for x, y in points.tolist()) + "Z")
    return "".join(parts)


def _data_uri(rgb: NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a thumbnail of shape {list(rgb.shape)}")
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
