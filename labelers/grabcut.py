"""OpenCV's GrabCut: colours inside the box against colours around it. The classic baseline, no training.

Each box is cut from a crop around it at a capped size, so that a box costs the same on a phone's photo as
on a thumbnail. Inside the box pixels start as probable foreground, around it they are known background.

Left alone, GrabCut shrinks to nothing on a third of all objects (those that look like their surroundings),
which would make it a straw man. So a round that leaves hardly any foreground is taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from labelers.protocol import CannotPropose, LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.rows import Window, label_each
from labelers.vocabulary import Vocabulary
from labelers.windows import PixelWindow, box_iou, covered, touched

Mask = NDArray[np.bool_]
_SEED = 0
_SCORE_OF_BOX = 0.5  # where every round was taken back the mask is the box: as good as the rectangle labeler's


@dataclass(frozen=True)
class GrabCutLabeler:
    """GrabCut inside a crop around each box.

    Attributes:
        iterations: rounds of GrabCut.
        margin: how much of the surroundings the crop shows, in shares of the box's sides, on each side.
        cap: longer side in pixels at which GrabCut works; larger crops are shrunk to it.
        keep: a round that leaves less than this share of the box as foreground is taken back, and the rounds end;
            0 lets it shrink to nothing, which gives ``EMPTY``.

    Raises ``ValueError`` for settings out of range.
    """

    iterations: int = 5
    margin: float = 0.25
    cap: int = 128
    keep: float = 0.2

    def __post_init__(self) -> None:
        if self.iterations < 1 or self.margin <= 0 or self.cap < 8 or not 0 <= self.keep < 1:
            raise ValueError(f"{self}: needs iterations >= 1, margin > 0, cap >= 8 and 0 <= keep < 1")

    @property
    def spec(self) -> LabelerSpec:
        settings = f"i{self.iterations}-m{self.margin:g}-c{self.cap}-k{self.keep:g}"
        return LabelerSpec("grabcut", f"1-{settings}-opencv{cv2.__version__}")

    def open(self, photo: Photo) -> GrabCutOpened:
        return GrabCutOpened(self, photo.pixels())


@dataclass(frozen=True)
class GrabCutOpened:
    settings: GrabCutLabeler
    pixels: NDArray[np.uint8] = field(repr=False)

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        """One mask inside each box. The score is the IoU of the mask's tight box with the box, 0.5 for a full box."""
        height, width = self.pixels.shape[:2]

        def cut(box: NDArray[np.float32], name: str) -> Window | None:
            inside = covered(box, height=height, width=width)
            mask = self._cut(inside)
            if not mask.any():
                return None
            fit = box_iou(_tight(mask, inside), np.array(inside, np.float32))
            return Window(mask, inside.x0, inside.y0, _SCORE_OF_BOX if mask.all() else fit)

        return label_each(boxes, height=height, width=width, label=cut)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        raise CannotPropose("the GrabCut labeler needs boxes")

    def _cut(self, inside: PixelWindow) -> Mask:
        """Bool [h, w] of the window ``inside`` of the photo."""
        height, width = self.pixels.shape[:2]
        crop = _grown(inside, self.settings.margin, height=height, width=width)
        image = self.pixels[crop.y0 : crop.y1, crop.x0 : crop.x1]
        scale = min(1.0, self.settings.cap / max(image.shape[:2]))
        if scale < 1:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        small = _grabcut(np.ascontiguousarray(image), _start(crop, inside, image.shape), self.settings)
        if scale < 1:
            full = (crop.x1 - crop.x0, crop.y1 - crop.y0)
            small = cv2.resize(small.astype(np.float32), full, interpolation=cv2.INTER_LINEAR) >= 0.5
        return small[inside.y0 - crop.y0 : inside.y1 - crop.y0, inside.x0 - crop.x0 : inside.x1 - crop.x0]


def _grown(inside: PixelWindow, margin: float, *, height: int, width: int) -> PixelWindow:
    """The crop: the window with its surroundings, at least two pixels on each side where the photo has them."""
    grown = touched(np.array(inside, np.float64), height=height, width=width, margin=margin)
    return PixelWindow(
        max(min(grown.x0, inside.x0 - 2), 0),
        max(min(grown.y0, inside.y0 - 2), 0),
        min(max(grown.x1, inside.x1 + 2), width),
        min(max(grown.y1, inside.y1 + 2), height),
    )


def _start(crop: PixelWindow, inside: PixelWindow, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """GrabCut's first guess, uint8 [H, W]: background, with the box as probable foreground."""
    height, width = shape[:2]
    scale_x, scale_y = width / (crop.x1 - crop.x0), height / (crop.y1 - crop.y0)
    box = np.array(inside, np.float64) - [crop.x0, crop.y0, crop.x0, crop.y0]
    box *= [scale_x, scale_y, scale_x, scale_y]
    x0, y0, x1, y1 = covered(box, height=height, width=width)
    guess = np.full((height, width), cv2.GC_BGD, np.uint8)
    guess[y0:y1, x0:x1] = cv2.GC_PR_FGD
    if (guess == cv2.GC_PR_FGD).all() and height > 2 and width > 2:
        # the box is the whole photo: its rim is the only guess at background there is
        guess[[0, -1], :] = cv2.GC_PR_BGD
        guess[:, [0, -1]] = cv2.GC_PR_BGD
    return guess


def _grabcut(image: NDArray[np.uint8], guess: NDArray[np.uint8], settings: GrabCutLabeler) -> Mask:
    """Bool [H, W]. Where one side has no pixel to learn from, the guess stands."""
    foreground = _foreground(guess)
    least = settings.keep * int(foreground.sum())
    if foreground.all() or not foreground.any():
        return foreground
    cv2.setRNGSeed(_SEED)  # per thread in OpenCV, so every box starts alike whatever came before
    models = np.zeros((1, 65)), np.zeros((1, 65))
    for k in range(settings.iterations):
        mode = cv2.GC_EVAL if k else cv2.GC_INIT_WITH_MASK
        guess, _, _ = cv2.grabCut(image, guess.copy(), None, *models, 1, mode)
        found = _foreground(guess)
        if found.sum() < least:
            break
        foreground = found
        if not found.any() or found.all():
            break  # nothing to learn one side from: OpenCV would raise
    return foreground


def _foreground(guess: NDArray[np.uint8]) -> Mask:
    mask: Mask = (guess == cv2.GC_PR_FGD) | (guess == cv2.GC_FGD)
    return mask


def _tight(mask: Mask, window: PixelWindow) -> NDArray[np.float32]:
    xs, ys = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    x0, y0 = window.x0, window.y0
    return np.array([x0 + xs[0], y0 + ys[0], x0 + xs[-1] + 1, y0 + ys[-1] + 1], np.float32)
