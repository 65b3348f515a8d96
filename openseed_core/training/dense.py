"""Query selection learns every token from a detector, not only the few that matching picks.

Set matching judges a photo's tokens through a handful of assigned queries; from random heads that takes hundreds of
epochs. A detector with the same strides says of each token what stands there and how far it reaches, so the class
head and the box head of the selection have a target everywhere from the first step on. Not part of the paper.
"""

from __future__ import annotations

from torch import Tensor, nn

from openseed_core.decoder import Memory
from openseed_core.model import OpenSeeD
from openseed_core.training.losses import paired_giou, quality_focal, xyxy
from openseed_core.training.nanodet_teacher import NanoDet

CLASSES, L1, GIOU = 8.0, 5.0, 2.0
"""Weights of the terms. Classes count more than in matching: the quality focal loss is small where little is sure,
and with a weight of 1 only the most frequent class was learned (measured: docs/training.md)."""

SURE = 0.05
"""Tokens below this probability teach classes only: the detector's box means nothing there."""


class Teacher(nn.Module):
    """A detector and the text features of its classes.

    Args:
        detector: gives probabilities [B, T, K] and boxes [B, T, 4].
        text: [K, e], of the model's own text encoder, which must be frozen.
    """

    text: Tensor

    def __init__(self, detector: NanoDet, text: Tensor) -> None:
        super().__init__()
        self.detector = detector
        self.register_buffer("text", text.detach())
        self.requires_grad_(False)

    def loss(self, model: OpenSeeD, memory: Memory, pixels: Tensor) -> Tensor:
        """Quality focal loss of all tokens, L1 and GIoU of those with an object, for each object found.

        Args:
            memory: of ``pixels``, with gradient; its maps must have the strides 32, 16, 8.
            pixels: float32 [B, 3, H, W], normalised.
        """
        wanted, places = self.detector(pixels)
        heads = model.heads
        features, anchors, valid = model.query_selection.features(memory)
        if features.shape[1] != wanted.shape[1]:
            raise ValueError(
                f"the model has {features.shape[1]} tokens, the detector {wanted.shape[1]} cells; "
                "a teacher needs a model with the strides 8, 16 and 32, such as nano"
            )
        wanted = wanted * valid[:, None]
        best = wanted.amax(dim=-1)
        count = best.sum().clamp(min=1.0)
        logits = heads.classify(features, self.text, model.logit_scale)
        classes = quality_focal(logits, wanted)
        sure = best > SURE
        weight = best[sure]
        boxes = (heads.bbox_embed(features[sure]) + anchors.expand(len(pixels), -1, -1)[sure]).sigmoid()
        l1 = ((boxes - places[sure]).abs().sum(dim=-1) * weight).sum()
        giou = ((1 - paired_giou(xyxy(boxes), xyxy(places[sure]))) * weight).sum()
        loss: Tensor = (CLASSES * classes + L1 * l1 + GIOU * giou) / count
        return loss
