"""What is known around a correcting click: how far the mask's edge is, and what the labeler thought of each place."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exporters.masks import region
from exporters.runs import Spans, spans_of
from labelers.protocol import Hint
from labelers.records import RLE
from labelers.windows import PixelWindow

Map = NDArray[np.float32]

REACH = 6.0
"""A click changes nothing farther away than this many times its distance from the mask's edge."""

GRID = 256
"""Cells along the longer side of what is computed around a click, so that a photo's megapixels don't matter."""

SURE = 6.0
"""Logits are cut to this: beyond, the labeler is as sure as it gets."""

GEOMETRY = ("one", "distance", "size", "edge", "include")
CUES = (*GEOMETRY, "logit", "logit at click", "difference", "logit x distance", "unlike")
"""Names of the maps, in order; see ``cues``."""


@dataclass(frozen=True)
class Click:
    """A click on pixel (x, y) that the mask is wrong about, and how far it is from the mask's edge.

    Attributes:
        include: the pixel is missing in the mask; False: it is wrongly in it.
        distance: pixels to the nearest one that is not wrong in this way, or to the photo's border; at least 1.
        side: square root of the area of the object's box, pixels.
    """

    x: int
    y: int
    include: bool
    distance: float
    side: float


def distance_to_edge(mask: RLE, x: int, y: int, *, include: bool) -> float:
    """From pixel (x, y) to the nearest pixel of the mask (include) or of the background (exclude), or to the border."""
    height, width = mask["size"]
    spans = spans_of(mask)
    if not include:
        spans = np.concatenate([[0], spans.ravel(), [height * width]]).reshape(-1, 2)
        spans = spans[spans[:, 1] > spans[:, 0]]
    x0, y0, x1, y1 = _rectangles(spans, height).T
    away_x, away_y = np.maximum(x0 - x, x - x1 + 1).clip(0), np.maximum(y0 - y, y - y1 + 1).clip(0)
    border = min(x + 1, y + 1, width - x, height - y)
    return float(np.hypot(away_x, away_y).min(initial=border))


def _rectangles(spans: Spans, height: int) -> NDArray[np.int64]:
    """Spans cut where they go on in the next column: int64 [R, 4] pixels x0, y0, x1, y1, some of them empty."""
    first, top = spans[:, 0] // height, spans[:, 0] % height
    last, bottom = (spans[:, 1] - 1) // height, (spans[:, 1] - 1) % height + 1
    one, zero, full = first == last, np.zeros_like(first), np.full_like(first, height)
    head = np.stack([first, top, first + 1, np.where(one, bottom, height)], axis=1)
    middle = np.stack([first + 1, zero, last, full], axis=1)[last > first + 1]
    tail = np.stack([last, zero, last + 1, bottom], axis=1)[~one]
    return np.concatenate([head, middle, tail])


@dataclass(frozen=True)
class Around:
    """The surroundings of a click on a grid of at most ``GRID`` cells a side.

    Attributes:
        window: pixels of the photo.
        step: pixels a cell.
        wrong: bool [h, w] at photo resolution, pixels of the window that the click could change.
    """

    window: PixelWindow
    step: int
    wrong: NDArray[np.bool_]

    @property
    def centres(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """x of each column and y of each row of the grid, photo pixels."""
        height, width = self.wrong.shape
        columns, rows = -(-width // self.step), -(-height // self.step)
        x = self.window.x0 + (np.arange(columns, dtype=np.float64) + 0.5) * self.step
        y = self.window.y0 + (np.arange(rows, dtype=np.float64) + 0.5) * self.step
        return x, y

    def coarse(self) -> NDArray[np.uint8]:
        """``wrong`` on the grid, 0 or 1: the pixel in the middle of each cell."""
        x, y = self.centres
        rows = np.minimum((y - self.window.y0).astype(np.intp), self.wrong.shape[0] - 1)
        columns = np.minimum((x - self.window.x0).astype(np.intp), self.wrong.shape[1] - 1)
        return np.array(self.wrong[np.ix_(rows, columns)], np.uint8, order="C")

    def fine(self, grid: Map) -> NDArray[np.bool_]:
        """Where a map on the grid is above 0, bool at photo resolution."""
        if self.step > 1:
            rows, columns = grid.shape
            shades = np.clip(grid * 32 + 128, 0, 255).astype(np.uint8)  # a float map of a whole photo would be large
            large = cv2.resize(shades, (columns * self.step, rows * self.step), interpolation=cv2.INTER_LINEAR)
            return np.asarray(large[: self.wrong.shape[0], : self.wrong.shape[1]] > 128)
        return grid > 0


def look_around(mask: RLE, click: Click) -> Around:
    """What ``REACH`` covers."""
    height, width = mask["size"]
    reach = math.ceil(REACH * click.distance)
    window = PixelWindow(
        max(click.x - reach, 0),
        max(click.y - reach, 0),
        min(click.x + reach + 1, width),
        min(click.y + reach + 1, height),
    )
    longer = max(window.x1 - window.x0, window.y1 - window.y0)
    return Around(window, -(-longer // GRID), region(mask, *window) != click.include)


def cues(click: Click, around: Around, *, size: tuple[int, int], hint: Hint | None, box: PixelWindow) -> list[Map]:
    """The maps float32 [h, w] named by ``CUES`` on the grid, or those of ``GEOMETRY`` where there is no hint.

    * one: 1 everywhere;
    * distance: logarithm of the distance from the click, in units of the click's distance from the edge;
    * size: logarithm of that unit, in shares of the object's size;
    * edge: distance from the mask's edge, same units;
    * include: 1 everywhere for an including click, 0 for an excluding one;
    * logit: above 0 where the labeler agrees with the click; at click: the same, of the click's own place;
    * difference: of these two, without sign; logit x distance: the product of those;
    * unlike: 0 where a place looks to the labeler as the clicked one does, 1 where it has nothing in common with it.

    Args:
        size: height and width of the photo.
        hint: what the labeler thinks around the object's box, seen from the click.
        box: outside of it the labeler is sure that there is no object.
    """
    x, y = around.centres
    centre_x, centre_y = click.x + 0.5, click.y + 0.5
    away = np.hypot(x[None] - centre_x, y[:, None] - centre_y).astype(np.float32) / np.float32(click.distance)
    distance = np.log(away + np.float32(0.2))
    flat = np.ones_like(distance)
    size_cue = flat * np.float32(math.log(click.distance / click.side))
    maps = [flat, distance, size_cue, _edge(click, around, size), flat * np.float32(click.include)]
    if hint is None:
        return maps
    inside = ((y >= box.y0) & (y < box.y1))[:, None] & ((x >= box.x0) & (x < box.x1))[None]
    logit = np.where(inside, _sampled(hint.logits, hint.window, x, y).clip(-SURE, SURE), np.float32(-SURE))
    here = logit[np.unravel_index(away.argmin(), away.shape)]
    unlike = 1 - _sampled(hint.likeness, hint.window, x, y)
    sign = np.float32(1 if click.include else -1)
    return [*maps, sign * logit, flat * sign * here, np.abs(logit - here), sign * logit * distance, unlike]


def _edge(click: Click, around: Around, size: tuple[int, int]) -> Map:
    """Distance to the mask's edge or the photo's border, in units of the click's."""
    height, width = size
    window = around.window
    borders = (
        (int(window.y0 == 0), int(window.y1 == height)),
        (int(window.x0 == 0), int(window.x1 == width)),
    )
    wrong = np.pad(around.coarse(), borders)
    (top, bottom), (left, right) = borders
    cells = cv2.distanceTransform(wrong, cv2.DIST_L2, 5)[top : len(wrong) - bottom, left : wrong.shape[1] - right]
    # without any edge in the window OpenCV's distances are near the largest float
    scaled: Map = np.minimum(cells * np.float32(around.step / click.distance), np.float32(2 * REACH))
    return scaled


def _sampled(
    values: Map, window: tuple[float, float, float, float], x: NDArray[np.float64], y: NDArray[np.float64]
) -> Map:
    """A map that covers a window of the photo, at each row y and column x of a grid over the photo."""
    x0, y0, x1, y1 = window
    rows, columns = values.shape
    at_x = ((x - x0) / (x1 - x0) * columns - 0.5).astype(np.float32)
    at_y = ((y - y0) / (y1 - y0) * rows - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(at_x, at_y)
    found: Map = cv2.remap(values, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found
