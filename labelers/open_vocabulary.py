"""The whole photo against a vocabulary: objects, stuff, panoptic and label maps, and names for boxes (spec 5 - 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exporters.masks import box_xyxy, encode
from labelers.records import RLE, Boxes, Instances, Status
from labelers.scene import PanopticMap, Scene, Segment
from labelers.vocabulary import THRESHOLD, Vocabulary
from openseed_core.heads import Prediction
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.postprocess import Frame, Panoptic, boxes_only, instances, panoptic, semantic

ANY_NAME = "object"
"""What a box is called when its name is the question."""


@dataclass(frozen=True)
class Seen:
    """The decoder's answer to a vocabulary on one photo.

    Attributes:
        everything: predictions of all queries, one photo.
        objects: those that stand for countable things: the foreground queries of a decoupled model, else all.
        frame: sizes of the photo and of the network input.
        names: the vocabulary; things: indices of its countable classes.
        top: (object, class) pairs that the model's configuration keeps.
    """

    everything: Prediction
    objects: Prediction
    frame: Frame
    names: tuple[str, ...]
    things: frozenset[int]
    top: int


def see(
    model: OpenSeeD, features: ImageFeatures, text: Tensor, vocabulary: Vocabulary, *, output: tuple[int, int]
) -> Seen:
    """Run the decoder. ``features``: one photo; ``text``: [K, e]; ``output``: (height, width) of the photo."""
    found = model.detect(features, text)
    foreground = found.selection.index.shape[1]
    objects = found.final.rows(0, foreground) if model.config.decoupled else found.final
    things = frozenset(k for k, entry in enumerate(vocabulary.entries) if not entry.stuff)
    frame = Frame(features.padded, features.sizes[0], output)
    return Seen(found.final, objects, frame, vocabulary.names, things, model.config.top_instances)


def scene_of(seen: Seen, *, want_panoptic: bool, want_semantic: bool, top: int | None) -> Scene:
    """Everything, unthresholded."""
    logits, boxes, masks = _one(seen.objects)
    found = instances(logits, boxes, masks, seen.frame, top=top or seen.top, things=seen.things)
    assert found.masks is not None
    listed = _listed(found.boxes, found.classes, found.scores, found.masks, seen.names)
    logits, _, masks = _one(seen.everything)
    segments = _panoptic_map(panoptic(logits, masks, seen.frame, things=seen.things), seen) if want_panoptic else None
    labels = None
    if want_semantic:
        labels = semantic(logits, masks, seen.frame).labels.to(torch.int32).cpu().numpy()
    return Scene(listed, segments, labels)


def detections_of(seen: Seen, *, top: int | None) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes (xyxy photo pixels) of things and their scores, best first."""
    logits, boxes, _ = _one(seen.objects)
    found = boxes_only(logits, boxes, seen.frame, top=top or seen.top, things=seen.things)
    names = tuple(seen.names[k] for k in found.classes.tolist())
    return Boxes(found.boxes.float().cpu().numpy(), names), found.scores.float().cpu().numpy()


def objects_above(seen: Seen, thresholds: NDArray[np.float32]) -> Instances:
    """Things whose score reaches their class's threshold [K], best first; one object may still be there twice."""
    logits, boxes, masks = _one(seen.objects)
    least = torch.from_numpy(thresholds).to(logits.device)
    # the mask's share of the score is at most 1, so a class score below the threshold can be left out before
    # masks are enlarged
    worth = (logits.sigmoid() >= least).any(dim=1)
    found = instances(logits[worth], boxes[worth], masks[worth], seen.frame, top=seen.top, things=seen.things)
    assert found.masks is not None
    kept = found.scores >= least[found.classes]
    return _listed(found.boxes[kept], found.classes[kept], found.scores[kept], found.masks[kept], seen.names)


def stuff_above(seen: Seen, thresholds: NDArray[np.float32]) -> Instances:
    """One region for each stuff class that reaches its threshold, best first."""
    logits, _, masks = _one(seen.everything)
    lowest = float(min((thresholds[k] for k in range(len(seen.names)) if k not in seen.things), default=1.0))
    found = panoptic(logits, masks, seen.frame, things=seen.things, score_threshold=min(lowest, 0.25))
    regions = [s for s in found.segments if not s.is_thing and s.score >= thresholds[s.category]]
    regions.sort(key=lambda s: -s.score)
    empty = torch.zeros(0, *seen.frame.output, dtype=torch.bool, device=found.ids.device)
    areas = torch.stack([found.ids == s.id for s in regions]) if regions else empty
    tight = [box_xyxy(encode(area)).tolist() for area in areas.cpu().numpy()]
    boxes = torch.tensor(tight).reshape(-1, 4)
    classes = torch.tensor([s.category for s in regions], dtype=torch.long)
    return _listed(boxes, classes, torch.tensor([s.score for s in regions]), areas, seen.names)


def thresholds_of(vocabulary: Vocabulary) -> NDArray[np.float32]:
    """float32 [K], the smallest score at which each class is proposed."""
    own = [THRESHOLD if entry.threshold is None else entry.threshold for entry in vocabulary.entries]
    return np.array(own, np.float32)


def joined(first: Instances, second: Instances) -> Instances:
    """The rows of both."""
    boxes = Boxes(np.concatenate((first.boxes.xyxy, second.boxes.xyxy)), first.boxes.names + second.boxes.names)
    return Instances(
        boxes,
        first.masks + second.masks,
        np.concatenate((first.scores, second.scores)),
        first.status + second.status,
        first.reasons + second.reasons,
    )


def _one(prediction: Prediction) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, boxes, masks of a batch of one photo."""
    assert prediction.masks is not None
    return prediction.logits[0].float(), prediction.boxes[0].float(), prediction.masks[0].float()


def _panoptic_map(found: Panoptic, seen: Seen) -> PanopticMap:
    segments = tuple(Segment(s.id, seen.names[s.category], s.is_thing, s.score) for s in found.segments)
    return PanopticMap(found.ids.cpu().numpy(), segments)


def _listed(boxes: Tensor, classes: Tensor, scores: Tensor, masks: Tensor, names: Sequence[str]) -> Instances:
    """Rows with RLEs, their boxes cut to the photo; a row without any pixel has no mask, but keeps its place."""
    height, width = (int(side) for side in masks.shape[-2:])
    rles: list[RLE | None] = [encode(mask) if mask.any() else None for mask in masks.cpu().numpy()]
    status = tuple(Status.OK if rle is not None else Status.EMPTY for rle in rles)
    reasons = tuple("" if rle is not None else "no pixel is likelier inside than outside" for rle in rles)
    rows = Boxes(boxes.float().cpu().numpy(), tuple(names[k] for k in classes.tolist()))
    return Instances(
        rows.clamped(height=height, width=width), tuple(rles), scores.float().cpu().numpy(), status, reasons
    )
