"""Multi-scale deformable attention (spec 3.5), in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableAttention(nn.Module):
    """Each query samples ``points`` places on each of ``levels`` maps around its reference.

    Shapes: query [B, Q, d]; values [B, sum(H_l W_l), d], levels concatenated in the order of ``shapes``;
    reference [B, Q, 2] (x, y) or [B, Q, 4] (cx, cy, w, h), normalised to the padded image.
    """

    def __init__(self, dim: int, *, heads: int, levels: int, points: int) -> None:
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Spec 8.2: offsets start as rings of 1..points cells in ``heads`` directions, weights uniform."""
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        ring = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ring = ring / ring.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        bias = ring[:, None, None, :] * steps[None, None, :, None]
        with torch.no_grad():
            nn.init.zeros_(self.sampling_offsets.weight)
            self.sampling_offsets.bias.copy_(bias.expand(self.heads, self.levels, self.points, 2).flatten())
            nn.init.zeros_(self.attention_weights.weight)
            nn.init.zeros_(self.attention_weights.bias)
            for layer in (self.value_proj, self.output_proj):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        values: Tensor,
        shapes: Sequence[tuple[int, int]],
    ) -> Tensor:
        """Returns [B, Q, d]."""
        batch, queries, dim = query.shape
        value = self.value_proj(values)
        offsets = self.sampling_offsets(query).view(batch, queries, self.heads, self.levels, self.points, 2)
        weights = self.attention_weights(query).view(batch, queries, self.heads, self.levels * self.points)
        weights = weights.softmax(-1).view(batch, queries, self.heads, self.levels, self.points)
        locations = self._locations(reference, offsets, shapes)
        head_dim = dim // self.heads
        start = 0
        out: Tensor | None = None
        for level, (height, width) in enumerate(shapes):
            part = value[:, start : start + height * width]
            start += height * width
            # [B*heads, head_dim, H, W]: output channels are head-major
            image = part.view(batch, height, width, self.heads, head_dim).permute(0, 3, 4, 1, 2)
            image = image.reshape(batch * self.heads, head_dim, height, width)
            grid = locations[:, :, :, level].transpose(1, 2).reshape(batch * self.heads, queries, self.points, 2)
            sampled = F.grid_sample(image, grid * 2 - 1, mode="bilinear", padding_mode="zeros", align_corners=False)
            weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * self.heads, 1, queries, self.points)
            contribution = (sampled * weight).sum(-1)
            out = contribution if out is None else out + contribution
        assert out is not None
        out = out.view(batch, dim, queries).transpose(1, 2)
        result: Tensor = self.output_proj(out)
        return result

    def _locations(self, reference: Tensor, offsets: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Sampling places, normalised (x, y): [B, Q, heads, levels, points, 2]."""
        if reference.shape[-1] == 2:
            size = offsets.new_tensor([[w, h] for h, w in shapes])
            return reference[:, :, None, None, None] + offsets / size[:, None]
        centre, extent = reference[..., :2], reference[..., 2:]
        return centre[:, :, None, None, None] + offsets / self.points * extent[:, :, None, None, None] * 0.5
