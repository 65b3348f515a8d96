"""Transformer decoder with iterative box refinement (spec 5.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig
from openseed_core.cpu_path import cpu_path
from openseed_core.deformable_attention import FEW, DeformableAttention, PaddedMaps
from openseed_core.heads import MLP, Heads, Prediction
from openseed_core.position import box_encoding, inverse_sigmoid


@dataclass(frozen=True)
class Memory:
    """What the queries look at.

    Attributes:
        tokens: [B, T, d], levels concatenated **lowest resolution first** (spec 5.2).
        shapes: (H, W) of each level in that order.
        mask_features: [B, d, H/4, W/4].
        sources: the backbone's maps of those levels, high resolution first, for a selection with a neck; else empty.
    """

    tokens: Tensor
    shapes: tuple[tuple[int, int], ...]
    mask_features: Tensor
    sources: tuple[Tensor, ...] = ()

    @staticmethod
    def of(multi_scale: Sequence[Tensor], mask_features: Tensor, sources: Sequence[Tensor] = ()) -> Memory:
        """From the pixel decoder's maps, which run from high to low resolution."""
        shapes = tuple((m.shape[2], m.shape[3]) for m in reversed(multi_scale))
        return Memory(tokens_of(multi_scale), shapes, mask_features, tuple(sources))

    @cached_property
    def padded(self) -> PaddedMaps:
        """The tokens as ``DeformableAttention.gather_few`` wants them, made once for all layers and questions."""
        return PaddedMaps.of(self.tokens, self.shapes)


def tokens_of(maps: Sequence[Tensor]) -> Tensor:
    """Maps [B, C, H_l, W_l], high to low resolution -> [B, T, C], levels in the order of ``Memory.tokens``."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in reversed(maps)], dim=1)


class DecoderLayer(nn.Module):
    """Self-attention (norm2), deformable cross-attention (norm1), feed-forward (norm3), all post-norm."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.self_attn = nn.MultiheadAttention(dim, config.heads, batch_first=True)
        self.cross_attn = DeformableAttention(dim, heads=config.heads, levels=config.levels, points=config.points)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.decoder_ffn_dim)
        self.linear2 = nn.Linear(config.decoder_ffn_dim, dim)
        for weight in (self.self_attn.in_proj_weight, self.self_attn.out_proj.weight):
            nn.init.xavier_uniform_(weight)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(
        self, x: Tensor, position: Tensor, reference: Tensor, memory: Memory, blocked: Tensor | None, *, solo: bool
    ) -> Tensor:
        x = self.norm2(x + (self._attend_self(x) if solo else self._attend(x, position, blocked)))
        x = self.norm1(x + self._look(x + position, reference, memory))
        out: Tensor = self.norm3(x + self.linear2(torch.relu(self.linear1(x))))
        return out

    def _look(self, query: Tensor, reference: Tensor, memory: Memory) -> Tensor:
        if cpu_path(query) and query.shape[1] * FEW <= memory.tokens.shape[1]:
            return self.cross_attn.gather_few(query, reference, memory.padded)
        out: Tensor = self.cross_attn(query, reference, memory.tokens, memory.shapes)
        return out

    def _attend(self, x: Tensor, position: Tensor, blocked: Tensor | None) -> Tensor:
        out: Tensor = self.self_attn(x + position, x + position, x, attn_mask=blocked, need_weights=False)[0]
        return out

    def _attend_self(self, x: Tensor) -> Tensor:
        """Attention of each query to itself alone: the softmax over one element is 1, what remains is the value."""
        dim = x.shape[-1]
        attention = self.self_attn
        value = nn.functional.linear(x, attention.in_proj_weight[2 * dim :], attention.in_proj_bias[2 * dim :])
        out: Tensor = attention.out_proj(value)
        return out


@dataclass(frozen=True)
class DecoderOutput:
    """States of all layers.

    Attributes:
        hidden: for each layer [B, Q, d], after decoder_norm once.
        references: initial and then one after each layer, sigmoid cxcywh [B, Q, 4].
    """

    hidden: tuple[Tensor, ...]
    references: tuple[Tensor, ...]


class Decoder(nn.Module):
    """The stack of decoder layers; the heads are given, as they are shared."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.features = dim // 2
        self.ref_point_head = MLP([2 * dim, dim, dim])
        self.layers = nn.ModuleList([DecoderLayer(config) for _ in range(config.decoder_layers)])

    def forward(
        self,
        content: Tensor,
        reference_logits: Tensor,
        memory: Memory,
        heads: Heads,
        *,
        blocked: Tensor | None = None,
        solo: bool = False,
    ) -> DecoderOutput:
        """Decode queries.

        Args:
            content: [B, Q, d].
            reference_logits: [B, Q, 4] boxes before the sigmoid.
            blocked: bool [Q, Q], True where the row must not see the column.
            solo: every query sees only itself (same result as blocking all but the diagonal, without the cost).
        """
        x = content
        reference = reference_logits.sigmoid()
        hidden: list[Tensor] = []
        references = [reference]
        for layer in self.layers:
            position = self.ref_point_head(box_encoding(reference, self.features))
            x = layer(x, position, reference, memory, blocked, solo=solo)
            refined = (heads.bbox_embed(x) + inverse_sigmoid(reference)).sigmoid()
            references.append(refined)
            reference = refined.detach()
            hidden.append(heads.decoder_norm(x))
        return DecoderOutput(tuple(hidden), tuple(references))


def layer_boxes(out: DecoderOutput, heads: Heads, layer: int) -> Tensor:
    """Boxes of layer ``layer`` (0-based): from the normed state, on top of the reference before that layer."""
    boxes: Tensor = (heads.bbox_embed(out.hidden[layer]) + inverse_sigmoid(out.references[layer])).sigmoid()
    return boxes


def predict_all(
    content: Tensor,
    out: DecoderOutput,
    heads: Heads,
    text: Tensor,
    logit_scale: Tensor,
    mask_features: Tensor,
    *,
    last_only: bool = False,
    masks: bool = True,
) -> list[Prediction]:
    """Predictions 0 (initial contents) to L (last layer); with ``last_only`` just the last (spec 5.7)."""
    features = mask_features if masks else None
    last = len(out.hidden) - 1
    found: list[Prediction] = []
    if not last_only:
        found.append(heads.predict(content, out.references[0], text, logit_scale, features))
    for i in [last] if last_only else range(last + 1):
        # decoder_norm is applied a second time here, as in the released models (spec 11.1)
        found.append(heads.predict(out.hidden[i], layer_boxes(out, heads, i), text, logit_scale, features))
    return found
