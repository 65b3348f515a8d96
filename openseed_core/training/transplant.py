"""Query selection reads a detector's last layer at once, instead of learning to.

The class scores of a detector are linear in the features of its neck, and those of the selection are cosines with
text features. So a map from one to the other can be written down (ADR 13): the scores are put into directions in
which the tokens hardly vary, and the class head turns them into text space by the pseudo-inverse of the text
features. Gradient descent doesn't get there in thousands of steps: names that mean similar things have text features
so close (smallest eigenvalue of the 80 x 80 Gram matrix 0.013, largest 26) that what tells them apart has hardly any
gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from openseed_core.decoder import Memory
from openseed_core.model import OpenSeeD
from openseed_core.training.nanodet_teacher import NanoDet

RANK, STRENGTH = 40, 0.3
"""Directions used, of the model's width; size of the evidence beside the tokens. Of nine pairs tried on ``nano`` the
one that disturbs the boxes little and still gives two thirds of the detector's classes (docs/training.md)."""
BACKGROUND = 0.02
"""Weight of a cell without an object where the directions of the scores are chosen."""


@torch.no_grad()
def read_detector(
    model: OpenSeeD,
    teacher: NanoDet,
    text: Tensor,
    memories: Sequence[Memory],
    *,
    rank: int = RANK,
    strength: float = STRENGTH,
) -> None:
    """Set evidence, norm and class head so that the selection's scores are those of the detector's last layer.

    Args:
        model: with a neck whose features are the detector's (``benchmarks.fit_neck``).
        text: [K, e] of the detector's classes.
        memories: of some dozens of photos, to see how tokens and scores vary.
        rank: at most the model's width and K.

    Raises:
        ValueError: the model has no neck.
    """
    selection, heads = model.query_selection, model.heads
    if not model.config.neck:
        raise ValueError("the model has no neck; give its configuration neck = true")
    tokens = torch.cat([selection.enc_output(memory.tokens).flatten(0, 1) for memory in memories])
    scores = torch.cat([teacher.class_logits(selection.neck(memory.sources)).flatten(0, 1) for memory in memories])
    free = torch.linalg.eigh(torch.cov(tokens.t())).eigenvectors[:, :rank]  # the smallest first
    weight = BACKGROUND + scores.sigmoid().amax(dim=-1, keepdim=True)
    main = torch.linalg.eigh((scores * weight).t() @ scores).eigenvectors.flip(1)[:, :rank]
    code = free @ main.t()  # [d, K]
    for layer, (projection, offset) in zip(selection.evidence, teacher.class_layers(), strict=True):
        layer.get_parameter("weight").copy_((strength * code @ projection)[:, :, None, None])
        layer.get_parameter("bias").copy_(strength * code @ offset)
    norm = selection.enc_output_norm
    read = free / norm.weight[:, None]
    norm.bias.sub_(read @ torch.linalg.lstsq(read, norm.bias[:, None]).solution[:, 0])
    heads.class_embed.copy_((code / norm.weight[:, None]) @ torch.linalg.pinv(text, rtol=0.02).t())
