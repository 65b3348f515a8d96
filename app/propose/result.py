"""What is remembered of one photo, in the journal and afterwards. All regions are in the frame of the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters import masks
from labelers.frames import Frame
from labelers.records import RLE, Instances


@dataclass(frozen=True)
class Region:
    """One proposal.

    Attributes:
        name: its class.
        xywh: box in pixels; of a mask, the mask's own.
        score: in [0, 1].
        mask: RLE at the size of the frame; None for a box alone.
    """

    name: str
    xywh: tuple[float, float, float, float]
    score: float
    mask: RLE | None = None


@dataclass(frozen=True)
class PhotoProposals:
    """One photo.

    Attributes:
        height, width: of the input's frame; 0 where the photo could not be read.
        instances, boxes: best first.
        panoptic: segments that don't overlap, in the order of their ids.
        semantic: class -> its pixels; classes without a pixel are left out.
        known: proposals that were left out because the same is annotated, or was proposed with a better score.
        note: what the user should know about size or rotation.
        error: why there is nothing; the photo is tried again by the next run.
    """

    height: int = 0
    width: int = 0
    instances: tuple[Region, ...] = ()
    boxes: tuple[Region, ...] = ()
    panoptic: tuple[Region, ...] = ()
    semantic: tuple[Region, ...] = ()
    known: int = 0
    note: str | None = None
    error: str | None = None

    def payload(self) -> dict[str, Any]:
        """As JSON. Inverse of ``from_payload``."""
        lists = {name: [_pack(one) for one in getattr(self, name)] for name in _LISTS}
        rest = {"height": self.height, "width": self.width, "known": self.known}
        return {**rest, **lists, "note": self.note, "error": self.error}

    @staticmethod
    def from_payload(payload: dict[str, Any]) -> PhotoProposals:
        """Read back what ``payload`` wrote."""
        size = payload["height"], payload["width"]
        lists: dict[str, Any] = {name: tuple(_unpack(one, *size) for one in payload[name]) for name in _LISTS}
        rest: dict[str, Any] = {name: payload[name] for name in ("height", "width", "known", "note", "error")}
        return PhotoProposals(**rest, **lists)


_LISTS = ("instances", "boxes", "panoptic", "semantic")


def regions_of(found: Instances, frame: Frame) -> tuple[Region, ...]:
    """Rows with a mask, in the frame of the input."""
    regions = []
    for name, mask, score in zip(found.boxes.names, found.masks, found.scores.tolist(), strict=True):
        if mask is not None and masks.area(mask):
            regions.append(mask_region(name, frame.mask_from_upright(mask), score))
    return tuple(regions)


def mask_region(name: str, mask: RLE, score: float) -> Region:
    """``mask`` is in the frame of the input."""
    x0, y0, x1, y1 = (int(v) for v in masks.box_xyxy(mask).tolist())
    return Region(name, (x0, y0, x1 - x0, y1 - y0), _score(score), mask)


def boxes_of(xyxy: NDArray[np.floating], names: tuple[str, ...], scores: list[float], frame: Frame) -> list[Region]:
    """Boxes of the upright photo, cut to it, as regions without a mask; hundredths of a pixel are kept."""
    turned = frame.boxes_from_upright(xyxy)
    turned = np.clip(turned, 0, [frame.width, frame.height, frame.width, frame.height])
    found = []
    for (x0, y0, x1, y1), name, score in zip(turned.tolist(), names, scores, strict=True):
        left, top = round(x0, 2), round(y0, 2)
        found.append(Region(name, (left, top, round(x1 - left, 2), round(y1 - top, 2)), _score(score)))
    return found


def _score(value: float) -> float:
    # four digits: more would only make files differ between machines
    return round(min(max(value, 0.0), 1.0), 4)


def _pack(region: Region) -> list[Any]:
    counts = None if region.mask is None else region.mask["counts"].decode("ascii")
    return [region.name, list(region.xywh), region.score, counts]


def _unpack(packed: list[Any], height: int, width: int) -> Region:
    name, xywh, score, counts = packed
    mask = None if counts is None else RLE(size=[height, width], counts=counts.encode("ascii"))
    x, y, w, h = xywh
    return Region(name, (x, y, w, h), score, mask)
