"""The prediction heads shared by encoder proposals and all decoder layers (spec 5.1)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig
from openseed_core.text_encoder import unit


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(x) if i == 0 else layer(torch.relu(x))
        return x


@dataclass(frozen=True)
class Prediction:
    """One set of predictions.

    Attributes:
        logits: [B, Q, K] class logits over the vocabulary.
        boxes: [B, Q, 4] cxcywh, normalised to the padded image.
        masks: [B, Q, H/4, W/4] mask logits, or None where they weren't asked for.
    """

    logits: Tensor
    boxes: Tensor
    masks: Tensor | None

    def rows(self, start: int, stop: int | None = None) -> Prediction:
        """The queries start..stop of every image."""
        masks = None if self.masks is None else self.masks[:, start:stop]
        return Prediction(self.logits[:, start:stop], self.boxes[:, start:stop], masks)


def similarity(visual: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
    """exp(logit_scale) * normalised visual @ text^T (spec section 4): [..., e] x [K, e] -> [..., K]."""
    return logit_scale.exp() * unit(visual) @ text.t()


class Heads(nn.Module):
    """Class, box and mask heads with the norm in front of them; one copy for the whole model."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.class_embed = nn.Parameter(torch.empty(dim, config.joint_dim))
        self.lang_mapper = nn.Parameter(torch.empty(config.joint_dim, dim))
        nn.init.trunc_normal_(self.class_embed, std=0.02)
        nn.init.trunc_normal_(self.lang_mapper, std=0.02)
        # Zero at first: the content is then the text alone, as in the released models (ADR 6).
        self.box_mapper = nn.Linear(2 * dim, dim) if config.box_content else None
        if self.box_mapper is not None:
            nn.init.zeros_(self.box_mapper.weight)
            nn.init.zeros_(self.box_mapper.bias)
        self.bbox_embed = MLP([dim, dim, dim, 4])
        for parameter in self.bbox_embed.layers[-1].parameters():
            nn.init.zeros_(parameter)
        self.mask_embed = MLP([dim, dim, dim, dim])
        self.decoder_norm = nn.LayerNorm(dim)

    def classify(self, x: Tensor, text: Tensor, logit_scale: Tensor) -> Tensor:
        """Class logits of (already normed) features: [..., d] -> [..., K]."""
        return similarity(x @ self.class_embed, text, logit_scale)

    def masks(self, normed: Tensor, mask_features: Tensor) -> Tensor:
        """[B, Q, d] x [B, d, h, w] -> [B, Q, h, w] logits."""
        return torch.einsum("bqd,bdhw->bqhw", self.mask_embed(normed), mask_features)

    def predict(
        self, hidden: Tensor, boxes: Tensor, text: Tensor, logit_scale: Tensor, mask_features: Tensor | None
    ) -> Prediction:
        """The prediction head: norm, then class and mask heads; boxes are passed through."""
        z = self.decoder_norm(hidden)
        masks = None if mask_features is None else self.masks(z, mask_features)
        return Prediction(self.classify(z, text, logit_scale), boxes, masks)
