"""Ways to turn a correcting click into a new mask: the product's, and those it was compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.clicks import Subject
from exporters.edit import component_at, difference, stroke, union
from exporters.masks import area, decode, encode
from exporters.runs import contains, intersection
from labelers.clicks import Click, distance_to_edge
from labelers.protocol import Hinting, Opened
from labelers.records import RLE, Boxes
from labelers.repair import region_of, repair
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class Situation:
    """A click on a mask that is wrong there."""

    subject: Subject
    opened: Opened
    pixels: NDArray[np.uint8]
    mask: RLE
    x: int
    y: int
    include: bool

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + 0.5, self.y + 0.5

    @property
    def side(self) -> float:
        return math.sqrt(float(np.prod(np.maximum(self.subject.box[2:] - self.subject.box[:2], 1))))

    @property
    def edge(self) -> float:
        return min(distance_to_edge(self.mask, self.x, self.y, include=self.include), self.side)

    def disc(self, radius: float) -> RLE:
        height, width = self.mask["size"]
        return stroke(None, points=[self.centre], radius=max(radius, 1.0), erase=False, height=height, width=width)

    def with_change(self, region: RLE) -> RLE:
        return union(self.mask, region) if self.include else difference(self.mask, region)


Way = Callable[[Situation], RLE]


def brush(at: Situation, *, reach: float) -> RLE:
    """A disc as large as the click is far from the mask's edge."""
    return at.with_change(at.disc(reach * at.edge))


def colours(at: Situation, *, tolerance: float, reach: float) -> RLE:
    """The connected region of like colour around the click."""
    lab = cv2.cvtColor(cv2.bilateralFilter(at.pixels, 5, 20, 3), cv2.COLOR_RGB2LAB).astype(np.float32)
    alike = encode(np.linalg.norm(lab - lab[at.y, at.x], axis=2) < tolerance)
    piece = component_at(intersection(alike, at.disc(reach * at.edge)), *at.centre)
    return at.with_change(union(at.disc(1), piece) if piece else at.disc(1))


def grabcut(at: Situation, *, reach: float) -> RLE:
    """GrabCut around the click, started from the mask, with the click's surroundings as known."""
    mask = np.ascontiguousarray(decode(at.mask))
    radius = int(max(reach * at.side, 8))
    place = (slice(max(at.y - radius, 0), at.y + radius + 1), slice(max(at.x - radius, 0), at.x + radius + 1))
    state = np.where(mask[place], cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    seed = at.disc(0.7 * at.edge)
    state[decode(seed)[place]] = cv2.GC_FGD if at.include else cv2.GC_BGD
    cv2.setRNGSeed(0)
    if (state % 2).any() and not (state % 2).all():  # it needs samples of both sides
        crop = np.ascontiguousarray(at.pixels[place])
        cv2.grabCut(crop, state, None, np.zeros((1, 65)), np.zeros((1, 65)), 2, cv2.GC_INIT_WITH_MASK)
    change = np.zeros_like(mask)
    change[place] = ((state % 2 == 1) == at.include) & (mask[place] != at.include)
    piece = component_at(union(encode(change), seed), *at.centre)
    return at.with_change(piece or seed)


def small_box(at: Situation, *, reach: float, name: str | None, most: float = math.inf) -> RLE:
    """The connected region that the labeler finds in a small box around the click, if it is of reasonable size.

    Args:
        reach: half the box's side, in shares of the click's distance from the mask's edge.
        name: what to look for; None for the object's own class.
        most: a region over this many times the disc's area is given up for the disc.
    """
    (x, y), half = at.centre, max(reach * at.edge, 4.0)
    boxes = Boxes(np.array([[x - half, y - half, x + half, y + half]]), (name or at.subject.name,))
    disc = at.disc(0.8 * at.edge)
    found = at.opened.masks(boxes, Vocabulary()).masks[0]
    piece = component_at(found, x, y) if found else None
    reasonable = piece is not None and area(piece) <= most * area(disc)
    return at.with_change(union(disc, piece) if piece is not None and reasonable else disc)


def cut_box(at: Situation) -> RLE:
    """The object's box decoded again, cut at the click: both halves to include, without the nearest side to exclude."""
    x0, y0, x1, y1 = (float(v) for v in at.subject.box)
    x, y = min(max(at.centre[0], x0 + 1), x1 - 1), min(max(at.centre[1], y0 + 1), y1 - 1)
    if at.include:
        halves = [(x0, y0, x, y1), (x, y0, x1, y1)] if x1 - x0 > y1 - y0 else [(x0, y0, x1, y), (x0, y, x1, y1)]
        boxes = Boxes(np.array(halves), (at.subject.name,) * 2)
        change = at.disc(0.8 * at.edge)
        for mask in at.opened.masks(boxes, Vocabulary()).masks:
            piece = component_at(mask, *at.centre) if mask else None
            change = union(change, piece) if piece else change
        return at.with_change(change)
    sides = {x - x0: (x, y0, x1, y1), x1 - x: (x0, y0, x, y1), y - y0: (x0, y, x1, y1), y1 - y: (x0, y0, x1, y)}
    [mask] = at.opened.masks(Boxes(np.array([sides[min(sides)]]), (at.subject.name,)), Vocabulary()).masks
    return difference(intersection(at.mask, mask) if mask else at.mask, at.disc(0.8 * at.edge))


def own_level(at: Situation, *, reach: float) -> RLE:
    """The connected region near the click that the model thinks as likely as the clicked place, or the brush."""
    hinting = at.opened if isinstance(at.opened, Hinting) else None
    hint = hinting.hint(at.subject.box, at.subject.name, Vocabulary(), at=at.centre) if hinting else None
    disc, near = at.disc(0.7 * at.edge), decode(at.disc(reach * at.edge))
    if hint is None:
        return at.with_change(disc)
    height, width = near.shape
    x0, y0, x1, y1 = hint.window
    rows, columns = hint.logits.shape
    across = ((np.arange(width) + 0.5 - x0) / (x1 - x0) * columns - 0.5).astype(np.float32)
    down = ((np.arange(height) + 0.5 - y0) / (y1 - y0) * rows - 0.5).astype(np.float32)
    grid_x, grid_y = np.meshgrid(across, down)
    logits = cv2.remap(hint.logits, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    level = logits[at.y, at.x]
    follows = logits >= min(level, 0) if at.include else logits <= max(level, 0)
    change = encode((follows & near & (decode(at.mask) != at.include)) | decode(disc))
    return at.with_change(component_at(change, *at.centre) or disc)


def geometry(at: Situation) -> RLE:
    """The product's way for a labeler without hints."""
    click = Click(at.x, at.y, at.include, at.edge, at.side)
    box = (float(at.subject.box[0]), float(at.subject.box[1]), float(at.subject.box[2]), float(at.subject.box[3]))
    return at.with_change(region_of(click, at.mask, hint=None, box=box))


def product(at: Situation) -> RLE:
    """``labelers.repair``."""
    x0, y0, x1, y1 = (float(v) for v in at.subject.box)
    height, width = at.mask["size"]
    x, y = at.centre
    return repair(
        at.opened,
        Vocabulary(),
        mask=at.mask,
        box=(x0, y0, x1, y1),
        name=at.subject.name,
        x=x,
        y=y,
        include=at.include,
        height=height,
        width=width,
    )


def obeys(at: Situation, mask: RLE) -> bool:
    return contains(mask, at.x, at.y) == at.include


WAYS: dict[str, Way] = {
    "brush, 0.7 of the distance to the edge": partial(brush, reach=0.7),
    "brush, 1.15 of it": partial(brush, reach=1.15),
    "like colours": partial(colours, tolerance=16, reach=3),
    "GrabCut": partial(grabcut, reach=0.3),
    "box of 1.5 distances, own class": partial(small_box, reach=1.5, name=None),
    "box of 1.5 distances, 'object'": partial(small_box, reach=1.5, name="object"),
    "box of 2.5 distances, own class": partial(small_box, reach=2.5, name=None),
    "the same, or the brush if over 4 discs": partial(small_box, reach=2.5, name=None, most=4),
    "object's box cut at the click": cut_box,
    "region at the click's own level": partial(own_level, reach=3),
    "fitted, geometry alone": geometry,
    "fitted, with hints (the product)": product,
}
