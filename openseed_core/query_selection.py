"""Language-guided query selection: encoder tokens that look like a class of the vocabulary (spec 5.2 - 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openseed_core.backbones.csp_neck import WIDTH, Neck
from openseed_core.config import OpenSeeDConfig
from openseed_core.decoder import Memory, tokens_of
from openseed_core.heads import Heads

ANCHOR_SIZE = 0.05


@dataclass(frozen=True)
class Selection:
    """Selected queries.

    Attributes:
        content: [B, Q, d], undetached.
        reference_logits: [B, Q, 4], undetached.
        index: [B, foreground] token index of each selected foreground query.
        token_scores: [B, T] max-over-class score of every token, -inf where the anchor is invalid.
    """

    content: Tensor
    reference_logits: Tensor
    index: Tensor
    token_scores: Tensor


class QuerySelection(nn.Module):
    """Scores every memory token against the vocabulary and takes the best."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.object_queries = config.object_queries
        self.enc_output = nn.Linear(dim, dim)
        self.enc_output_norm = nn.LayerNorm(dim)
        self.reads_neck = config.neck
        if config.neck:
            self.neck = Neck([config.map_channels[name] for name in config.encoder_features])
            # zero at first: a model that gets a neck answers as before
            self.evidence = nn.ModuleList([nn.Conv2d(WIDTH, dim, 1) for _ in config.encoder_features])
            for parameter in self.evidence.parameters():
                nn.init.zeros_(parameter)
        if config.decoupled:
            self.query_feat = nn.Embedding(config.background_queries, dim)
            self.query_embed = nn.Embedding(config.background_queries, 4)

    def forward(self, memory: Memory, heads: Heads, text: Tensor, logit_scale: Tensor) -> Selection:
        features, anchors, valid = self.features(memory)
        scores = heads.classify(features, text, logit_scale).amax(dim=-1).masked_fill(~valid, -torch.inf)
        # small inputs have fewer tokens than queries; the reference fails there (spec 5.2)
        index = scores.topk(min(self.object_queries, scores.shape[1]), dim=1).indices
        content = features.gather(1, index[..., None].expand(-1, -1, features.shape[-1]))
        reference = heads.bbox_embed(content) + anchors[index]
        if hasattr(self, "query_feat"):
            batch = content.shape[0]
            content = torch.cat((content, self.query_feat.weight.expand(batch, -1, -1)), dim=1)
            reference = torch.cat((reference, self.query_embed.weight.expand(batch, -1, -1)), dim=1)
        return Selection(content, reference, index, scores)

    def features(self, memory: Memory) -> tuple[Tensor, Tensor, Tensor]:
        """What the heads read of every token: features [B, T, d], anchors [T, 4] and validity [T]."""
        anchors, valid = anchor_logits(memory.shapes, memory.tokens.device)
        tokens = memory.tokens.masked_fill(~valid[:, None], 0.0)
        projected = self.enc_output(tokens)
        if self.reads_neck:
            projected = projected + self.evidence_of(memory.sources)
        return self.enc_output_norm(projected), anchors, valid

    def evidence_of(self, sources: Sequence[Tensor]) -> Tensor:
        """What the neck says of every token, [B, T, d].

        Args:
            sources: backbone maps of strides 8, 16, 32 (``Memory.sources``).
        """
        # in float32, like the pixel decoder, also where the backbone ran in less
        seen = self.neck([x.to(self.enc_output.weight.dtype) for x in sources])
        return tokens_of([project(x) for project, x in zip(self.evidence, seen, strict=True)])


def anchor_logits(shapes: tuple[tuple[int, int], ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """One anchor box for each token: logits [T, 4] (+inf where invalid) and validity [T].

    Level 0 is the lowest resolution and has the smallest anchors (spec 5.2).
    """
    boxes: list[Tensor] = []
    for level, (height, width) in enumerate(shapes):
        y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
        x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
        grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
        size = torch.full_like(grid_x, ANCHOR_SIZE * 2.0**level)
        boxes.append(torch.stack((grid_x, grid_y, size, size), dim=-1).flatten(0, 1))
    anchors = torch.cat(boxes)
    valid = ((anchors > 0.01) & (anchors < 0.99)).all(dim=-1)
    logits = torch.log(anchors / (1 - anchors)).masked_fill(~valid[:, None], torch.inf)
    return logits, valid
