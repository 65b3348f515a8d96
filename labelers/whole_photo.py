"""The questions about the whole photo: what is there, and which name fits a box. The answers to ``SceneOpened``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from labelers import open_vocabulary
from labelers.duplicates import select, suppress
from labelers.records import Boxes, Instances, Status
from labelers.scene import Scene
from labelers.views import View, network_boxes, whole_view
from labelers.vocabulary import Entry, Vocabulary

if TYPE_CHECKING:
    from labelers.conditioned import ConditionedOpened


def propose(opened: ConditionedOpened, vocabulary: Vocabulary) -> Instances:
    """Objects and stuff above their thresholds; see ``labelers.protocol.SceneOpened``.

    The masks of objects come from the conditioned decoder, asked with the box and name just found: it looks at an
    enlarged crop, so its masks are better than those made on the whole photo.
    """
    if not vocabulary.entries:
        return _nothing()
    seen = see(opened, vocabulary)
    least = open_vocabulary.thresholds_of(vocabulary)
    rough = open_vocabulary.objects_above(seen, least)
    rough = select(rough, suppress(rough, _nothing(), vocabulary=vocabulary))
    fine = opened.masks(rough.boxes, vocabulary)
    masks = tuple(one or other for one, other in zip(fine.masks, rough.masks, strict=True))
    status = tuple(Status.OK if mask is not None else Status.EMPTY for mask in masks)
    objects = Instances(rough.boxes, masks, rough.scores, status, rough.reasons)
    return open_vocabulary.joined(objects, open_vocabulary.stuff_above(seen, least))


@torch.inference_mode()
def scene(
    opened: ConditionedOpened, vocabulary: Vocabulary, *, panoptic: bool, semantic: bool, top: int | None
) -> Scene:
    """Everything, unthresholded; see ``labelers.protocol.SceneOpened``."""
    seen = see(opened, vocabulary)
    return open_vocabulary.scene_of(seen, want_panoptic=panoptic, want_semantic=semantic, top=top)


@torch.inference_mode()
def detections(
    opened: ConditionedOpened, vocabulary: Vocabulary, *, top: int | None
) -> tuple[Boxes, NDArray[np.float32]]:
    """Boxes and scores of things, without masks."""
    return open_vocabulary.detections_of(see(opened, vocabulary), top=top)


@torch.inference_mode()
def see(opened: ConditionedOpened, vocabulary: Vocabulary) -> open_vocabulary.Seen:
    """The decoder's answer to the vocabulary on the whole photo."""
    height, width = opened.pixels.shape[:2]
    features = opened.features(whole_view(height, width)).image(0)
    text = opened.labeler.text(vocabulary.names, vocabulary)
    return open_vocabulary.see(opened.labeler.model, features, text, vocabulary, output=(height, width))


def rank_names(opened: ConditionedOpened, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
    """The class head on each box's query, its content the word "object": [N, K]."""
    height, width = opened.pixels.shape[:2]
    found = np.full((len(boxes), len(vocabulary.entries)), np.nan, np.float32)
    usable = [k for k, problem in enumerate(boxes.problems(height=height, width=width)) if problem is None]
    if not usable or not vocabulary.entries:
        return found
    cut = boxes.clamped(height=height, width=width)
    asked = Vocabulary((*vocabulary.entries, Entry(_asked_name(vocabulary), (open_vocabulary.ANY_NAME,))))
    text = opened.labeler.text(asked.names, asked)
    views = opened.views(cut, usable)

    def ask(view: View) -> NDArray[np.float32]:
        return _class_scores(opened, view, cut.xyxy[views[view]], text)

    for rows, scores in zip(views.values(), opened.labeler.workers.map(ask, views), strict=True):
        found[rows] = scores
    return found


@torch.inference_mode()
def _class_scores(
    opened: ConditionedOpened, view: View, boxes: NDArray[np.float32], text: Tensor
) -> NDArray[np.float32]:
    """Class probabilities [n, K] of boxes whose content is the last row of ``text`` [K + 1, e]."""
    features, model = opened.features(view).image(0), opened.labeler.model
    rows = torch.from_numpy(network_boxes(boxes, view.window, features.sizes[0])).to(model.device)
    labels = torch.full((1, len(boxes)), len(text) - 1, device=model.device)
    out = model.masks_for_boxes(features, rows[None], text, labels, context=opened.labeler.context)
    scores: NDArray[np.float32] = out.logits[0, :, :-1].float().sigmoid().cpu().numpy()
    return scores


def _asked_name(vocabulary: Vocabulary) -> str:
    """A name for the question that no class of the vocabulary has."""
    name = open_vocabulary.ANY_NAME
    while vocabulary.get(name) is not None:
        name += "?"
    return name


def _nothing() -> Instances:
    return Instances.none_of(Boxes(np.zeros((0, 4), np.float32), ()), Status.OK, "")
