"""Which parts of a photo the network is shown: an enlarged crop around a box, or the whole photo. Geometry only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelers.records import Boxes
from openseed_core.config import OpenSeeDConfig
from openseed_core.preprocess import crop_resized, resize, shortest_edge_size
from openseed_core.zoom import Window, window_for


class View(NamedTuple):
    """A part of the photo as the network sees it: an enlarged crop, or the whole photo at its usual size."""

    window: Window
    zoomed: bool


def whole_view(height: int, width: int) -> View:
    """The whole photo."""
    return View(Window(0, 0, width, height), False)


def by_view(
    boxes: Boxes, rows: Sequence[int], config: OpenSeeDConfig, *, height: int, width: int, zoom: bool
) -> dict[View, list[int]]:
    """Which rows are decoded from which view of the photo, in order of first use. Boxes lie inside the photo."""
    scale = base_size(config, height, width)[0] / height
    groups: dict[View, list[int]] = {}
    for k in rows:
        x0, y0, x1, y1 = (float(value) for value in boxes.xyxy[k])
        zoomed = zoom and max(x1 - x0, y1 - y0) * scale < config.zoom_below
        whole = whole_view(height, width).window
        window = window_for((x0, y0, x1, y1), height=height, width=width) if zoomed else whole
        groups.setdefault(View(window, zoomed), []).append(k)
    return groups


def network_image(
    pixels: NDArray[np.uint8], view: View, config: OpenSeeDConfig
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """What the network is shown, uint8 RGB, and the (height, width) of the part of it that isn't padding."""
    if view.zoomed:
        return crop_resized(pixels, view.window, config.zoom_side)
    size = base_size(config, pixels.shape[0], pixels.shape[1])
    return resize(pixels, size), size


def base_size(config: OpenSeeDConfig, height: int, width: int) -> tuple[int, int]:
    """Network size of the whole photo."""
    return shortest_edge_size(height, width, short=config.image_short_side, long=config.image_long_side)


def network_boxes(boxes: NDArray[np.float32], window: Window, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes [N, 4] in photo pixels -> pixels of a window that the network sees at ``size`` (height, width)."""
    scale = np.array([size[1] / (window.x1 - window.x0), size[0] / (window.y1 - window.y0)] * 2, np.float32)
    moved: NDArray[np.float32] = (boxes - np.array([window.x0, window.y0] * 2, np.float32)) * scale
    return moved


def mirrored(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of a network input that shows the photo, left and right exchanged; padding stays where it is."""
    out = image.copy()
    out[:, : size[1]] = image[:, : size[1]][:, ::-1]
    return out


def mirrored_boxes(xyxy: NDArray[Any], width: int) -> NDArray[Any]:
    """Boxes [N, 4] in the mirror image."""
    return np.stack((width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]), axis=1)
