"""From the predictions for one photo to results at photo size (spec section 7).

Masks are enlarged a few at a time, so that memory grows with the results kept, not with the number of queries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from openseed_core.resample import whole

__all__ = [
    "Frame",
    "Instances",
    "Panoptic",
    "Segment",
    "Semantic",
    "boxes_only",
    "instances",
    "panoptic",
    "semantic",
]

TEMPERATURE = 0.06  # of the softmax over *sigmoid* probabilities
CHUNK = 16  # masks enlarged at a time, or more of a small photo:
MOST_PIXELS = 2**24  # as many as have so many pixels together


@dataclass(frozen=True)
class Frame:
    """The three sizes of a photo on its way through the network, each (height, width).

    Attributes:
        padded: network input with padding; normalised boxes and mask logits refer to it.
        size: network input without padding.
        output: the photo.
    """

    padded: tuple[int, int]
    size: tuple[int, int]
    output: tuple[int, int]


@dataclass(frozen=True)
class Semantic:
    """``scores`` float32 [K, H, W], larger is likelier, not probabilities; ``labels`` int64 [H, W]."""

    scores: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map: its ``id`` there, the class index, whether that class is countable, and the best
    class probability (sigmoid, in [0, 1]) of the queries that it was made of."""

    id: int
    category: int
    is_thing: bool
    score: float = 0.0


@dataclass(frozen=True)
class Panoptic:
    """``ids`` int32 [H, W], 0 = no segment; ``segments`` in the order of their ids, which count from 1."""

    ids: Tensor
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Instances:
    """Scored instances, best first.

    Attributes:
        scores: float32 [n].
        classes: int64 [n], rows of the vocabulary.
        boxes: float32 [n, 4], xyxy in photo pixels, not clipped to the photo.
        queries: int64 [n], the query of each; one query can appear with several classes.
        masks: bool [n, H, W], or None where only boxes were asked for.
    """

    scores: Tensor
    classes: Tensor
    boxes: Tensor
    queries: Tensor
    masks: Tensor | None


def class_probabilities(logits: Tensor) -> Tensor:
    """[.., K] class logits -> softmax with temperature over their sigmoids (spec 7.2)."""
    return (logits.float().sigmoid() / TEMPERATURE).softmax(dim=-1)


def semantic(logits: Tensor, masks: Tensor, frame: Frame) -> Semantic:
    """Every pixel's class (spec 7.2), from all queries.

    Args:
        logits: [Q, K] class logits.
        masks: [Q, h, w] mask logits.
    """
    probabilities = class_probabilities(logits)
    scores = torch.zeros(logits.shape[1], *frame.output, device=logits.device)
    for start, chunk in _enlarged(masks, frame):
        # one product that adds in place: the map of all classes is the largest thing here
        scores.flatten(1).addmm_(probabilities[start : start + len(chunk)].t(), chunk.sigmoid_().flatten(1))
    return Semantic(scores, scores.argmax(dim=0))


def panoptic(
    logits: Tensor,
    masks: Tensor,
    frame: Frame,
    *,
    things: Collection[int],
    score_threshold: float = 0.25,
    overlap_threshold: float = 0.8,
) -> Panoptic:
    """Non-overlapping segments (spec 7.3), from all queries.

    Args:
        logits: [Q, K] class logits.
        masks: [Q, h, w] mask logits.
        things: indices of the countable classes; segments of the others are merged by class.
        score_threshold: queries whose best class probability is not above it are left out.
        overlap_threshold: a query must own at least this share of its mask.
    """
    certain = logits.float().sigmoid().amax(dim=-1)
    kept = (certain > score_threshold).nonzero()[:, 0]
    certain = certain[kept]
    ids = torch.zeros(frame.output, dtype=torch.int32, device=logits.device)
    scores, labels = class_probabilities(logits[kept]).max(dim=-1)
    best = torch.full(frame.output, -torch.inf, device=logits.device)
    owner = torch.full(frame.output, -1, device=logits.device)
    inside: list[Tensor] = []
    for start, chunk in _enlarged(masks[kept], frame):
        probabilities = chunk.sigmoid()
        inside += list(probabilities >= 0.5)
        top, row = (probabilities * scores[start : start + len(chunk), None, None]).max(dim=0)
        better = top > best
        best, owner = torch.where(better, top, best), torch.where(better, row + start, owner)
    segments: list[Segment] = []
    of_stuff: dict[int, int] = {}
    for k, category in enumerate(labels.tolist()):
        owned = owner == k
        final = owned & inside[k]
        area, original = int(owned.sum()), int(inside[k].sum())
        if not (area and original and final.any()) or area / original < overlap_threshold:
            continue
        sure = float(certain[k])
        if category in of_stuff:
            ids[final] = of_stuff[category]
            at = of_stuff[category] - 1
            segments[at] = replace(segments[at], score=max(segments[at].score, sure))
            continue
        segments.append(Segment(len(segments) + 1, category, category in things, sure))
        ids[final] = segments[-1].id
        if category not in things:
            of_stuff[category] = segments[-1].id
    return Panoptic(ids, tuple(segments))


def instances(
    logits: Tensor, boxes: Tensor, masks: Tensor, frame: Frame, *, top: int, things: Collection[int] | None = None
) -> Instances:
    """Scored masks (spec 7.4). Give only the foreground queries of a decoupled model.

    Args:
        logits: [Q, K] class logits; boxes: [Q, 4] cxcywh normalised to the padded input; masks: [Q, h, w] logits.
        top: how many (query, class) pairs are kept.
        things: drop the pairs of other classes afterwards; None keeps all.
    """
    scores, classes, queries = _top_pairs(logits, top, things)
    found = torch.zeros(len(queries), *frame.output, dtype=torch.bool, device=logits.device)
    quality = torch.zeros(len(queries), device=logits.device)
    for start, chunk in _enlarged(masks[queries], frame):
        inside = chunk > 0
        found[start : start + len(chunk)] = inside
        covered = (chunk.sigmoid() * inside).sum(dim=(1, 2))
        quality[start : start + len(chunk)] = covered / (inside.sum(dim=(1, 2)) + 1e-6)
    scores = scores * quality
    order = scores.argsort(descending=True, stable=True)
    queries = queries[order]
    return Instances(scores[order], classes[order], _absolute(boxes[queries], frame), queries, found[order])


def boxes_only(
    logits: Tensor, boxes: Tensor, frame: Frame, *, top: int, things: Collection[int] | None = None
) -> Instances:
    """As ``instances`` without masks: the score is the class probability alone (spec 7.5)."""
    scores, classes, queries = _top_pairs(logits, top, things)
    return Instances(scores, classes, _absolute(boxes[queries], frame), queries, None)


def _top_pairs(logits: Tensor, top: int, things: Collection[int] | None) -> tuple[Tensor, Tensor, Tensor]:
    """Scores, classes and queries of the best (query, class) pairs, best first."""
    flat = logits.float().sigmoid().flatten()
    scores, pairs = flat.topk(min(top, len(flat)))
    count = max(logits.shape[1], 1)
    classes, queries = pairs % count, pairs // count
    if things is not None:
        kept = torch.isin(classes, torch.tensor(sorted(things), dtype=torch.long, device=logits.device))
        scores, classes, queries = scores[kept], classes[kept], queries[kept]
    return scores, classes, queries


def _absolute(boxes: Tensor, frame: Frame) -> Tensor:
    """Normalised cxcywh of the padded input -> xyxy pixels of the photo."""
    height = frame.padded[0] / frame.size[0] * frame.output[0]
    width = frame.padded[1] / frame.size[1] * frame.output[1]
    cx, cy, w, h = boxes.float().unbind(-1)
    return torch.stack(
        ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height), dim=-1
    )


def _enlarged(masks: Tensor, frame: Frame) -> Iterator[tuple[int, Tensor]]:
    """Chunks of masks at photo size, each with the index of its first."""
    step = max(CHUNK, MOST_PIXELS // (frame.output[0] * frame.output[1]))
    for start in range(0, len(masks), step):
        yield start, whole(masks[start : start + step], padded=frame.padded, size=frame.size, output=frame.output)
