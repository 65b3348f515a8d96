"""Box + text -> queries and attention mask: one implementation for denoising in training and for labeling.

Spec section 6 (conditioned mask decoding) and 8.4 (denoising).
"""

from __future__ import annotations

from enum import Enum

import torch
from torch import Tensor

from openseed_core.heads import Heads
from openseed_core.position import box_encoding, inverse_sigmoid


class Context(Enum):
    """What a conditioned query can see in self-attention."""

    JOINT = "joint"  # other conditions and the matching queries: the training graph
    JOINT_GROUPED = "joint-grouped"  # the matching queries and its own group
    ISOLATED = "isolated"  # the other conditions; no matching queries are computed
    SOLO = "solo"  # itself only: a box never changes its neighbour's mask


def condition_queries(
    heads: Heads, text: Tensor, labels: Tensor, boxes: Tensor, used: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Queries from class and box.

    Args:
        text: [K, e] text features.
        labels: int64 [B, N], rows of ``text``.
        boxes: [B, N, 4] cxcywh normalised to the padded image (noised in training).
        used: bool [B, N], False for padding slots, which become zero content and zero logits (spec 8.4).

    Returns:
        content [B, N, d] and reference logits [B, N, 4].
    """
    content = text[labels] @ heads.lang_mapper
    if heads.box_mapper is not None:
        content = content + heads.box_mapper(box_encoding(boxes, content.shape[-1] // 2))
    reference = inverse_sigmoid(boxes)
    if used is not None:
        content = content.masked_fill(~used[..., None], 0.0)
        reference = reference.masked_fill(~used[..., None], 0.0)
    return content, reference


def attention_mask(groups: Tensor, matching: int) -> Tensor:
    """Self-attention mask for [conditions | matching queries]: bool [N + M, N + M], True = blocked.

    Conditions see their own group and the matching queries; matching queries never see conditions.

    Args:
        groups: int64 [N], the group of each condition.
        matching: number M of matching queries after the conditions.
    """
    n = groups.shape[0]
    blocked = torch.zeros(n + matching, n + matching, dtype=torch.bool, device=groups.device)
    blocked[:n, :n] = groups[:, None] != groups[None, :]
    blocked[n:, :n] = True
    return blocked


def noised(boxes: Tensor, uniform: Tensor, scale: float = 0.4) -> Tensor:
    """Boxes moved and stretched for denoising (spec 8.4).

    Args:
        boxes: [..., 4] cxcywh in [0, 1].
        uniform: [..., 4] draws from U(-1, 1).
    """
    width, height = boxes[..., 2], boxes[..., 3]
    reach = torch.stack((width / 2, height / 2, width, height), dim=-1)
    return (boxes + uniform * reach * scale).clamp(0, 1)
