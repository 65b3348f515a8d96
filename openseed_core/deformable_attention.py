"""Multi-scale deformable attention (spec 3.5), in plain PyTorch, in two forms with the same result.

* ``sample_grid``: one ``grid_sample`` a level. Gradients, GPUs, export and half precision use it.
* ``PaddedMaps.sample``: one ``embedding_bag``, a weighted gather of rows, for all levels, corners and points. It
  is many times as fast on a CPU, where ``grid_sample`` reads single floats from a layout that first has to be copied.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openseed_core.cpu_path import linear

FEW = 4  # a call has few queries if there are this many times as many values


@dataclass(frozen=True)
class PaddedMaps:
    """Values of all levels with a border of zeros around each map, so that no sampling point needs a test.

    Attributes:
        rows: [B, R, d], cell (y, x) of a level at row ``start + (y + 1) * (width + 2) + x + 1``, and one row more.
        shapes: (height, width) of each level without the border.
    """

    rows: Tensor
    shapes: tuple[tuple[int, int], ...]

    @staticmethod
    def of(values: Tensor, shapes: Sequence[tuple[int, int]]) -> PaddedMaps:
        """From values [B, sum(H_l W_l), d], levels concatenated in the order of ``shapes``."""
        batch, _, dim = values.shape
        count = sum((h + 2) * (w + 2) for h, w in shapes)
        rows = values.new_zeros(batch, count + max(w + 2 for _, w in shapes) + 1, dim)
        source, target = 0, 0
        for height, width in shapes:
            bordered = rows[:, target : target + (height + 2) * (width + 2)].view(batch, height + 2, width + 2, dim)
            part = values[:, source : source + height * width].view(batch, height, width, dim)
            bordered[:, 1:-1, 1:-1] = part
            source, target = source + height * width, target + (height + 2) * (width + 2)
        return PaddedMaps(rows, tuple(shapes))

    def sample(self, places: Places, weights: Tensor, *, heads: int) -> Tensor:
        """Weighted sums of bilinear samples.

        Args:
            places: of Q queries and A attention heads on these maps; overwritten.
            weights: [B, Q, A, L, P].
            heads: 1, then all of ``dim`` is sampled for each of the A attention heads; or A, then each head
                samples its own part of ``dim``.

        Returns:
            [B, Q, A, dim / heads].
        """
        batch, queries, asking = weights.shape[:3]
        index, share = _corners(places, weights.flatten(3), self.shapes)
        index = index.flatten(3)
        count = self.rows.shape[1]
        if heads > 1:
            index = index.mul_(heads).add_(torch.arange(heads, dtype=index.dtype, device=index.device)[:, None])
        if batch > 1:
            first = torch.arange(batch, dtype=index.dtype, device=index.device) * (count * heads)
            index = index.add_(first[:, None, None, None])
        table = self.rows.view(batch * count * heads, self.rows.shape[2] // heads)
        flat = index.flatten(0, 2)
        out = F.embedding_bag(flat, table, mode="sum", per_sample_weights=share.view(flat.shape))
        return out.view(batch, queries, asking, table.shape[1])


# Sampling places in cells of each level, x and y, the first cell's centre at 0: two [B, Q, A, L * P]. Apart from each
# other and with the levels' points in one axis, every operation on them runs over numbers that lie side by side.
Places = tuple[Tensor, Tensor]


def _corners(places: Places, weights: Tensor, shapes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor]:
    """Rows [B, Q, A, 4, L * P] of ``PaddedMaps`` around each place, and the share of each. Overwrites ``places``."""
    x, y = places
    points = x.shape[-1] // len(shapes)
    width, height = _sides(shapes, points, like=x)
    for place, side in ((x, width), (y, height)):
        # further out than one cell all is zero; from -1 to W (or H) both corners are inside the border
        torch.minimum(place.nan_to_num_(nan=-1.0).clamp_(min=-1), side, out=place)
    left, top = x.floor(), y.floor()
    fx, fy = x.sub_(left), y.sub_(top)
    pitch = width.to(torch.int32) + 2
    start = [0]
    for h, w in shapes:
        start.append(start[-1] + (h + 2) * (w + 2))
    first = torch.tensor(start[:-1], dtype=torch.int32, device=x.device).repeat_interleave(points) + pitch + 1
    corner = torch.addcmul(first + left.to(torch.int32), top.to(torch.int32), pitch)
    index = torch.empty(*x.shape[:-1], 4, x.shape[-1], dtype=torch.int32, device=x.device)
    share = torch.empty(index.shape, dtype=x.dtype, device=x.device)
    lower = fy.mul_(weights)
    upper = weights - lower
    for k, (part, step) in enumerate(((upper, torch.zeros_like(pitch)), (lower, pitch))):
        torch.add(corner, step, out=index[..., 2 * k, :])
        torch.add(corner, step + 1, out=index[..., 2 * k + 1, :])
        right = torch.mul(part, fx, out=share[..., 2 * k + 1, :])
        torch.sub(part, right, out=share[..., 2 * k, :])
    return index, share


def _sides(shapes: Sequence[tuple[int, int]], points: int, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """Width and height of each point's level: two [L * P]."""
    width, height = (like.new_tensor([shape[k] for shape in shapes]).repeat_interleave(points) for k in (1, 0))
    return width, height


def sample_grid(
    value: Tensor, locations: Tensor, weights: Tensor, shapes: Sequence[tuple[int, int]], *, heads: int
) -> Tensor:
    """Weighted sums of bilinear samples, differentiable in everything.

    Args:
        value: [B, sum(H_l W_l), d], already projected.
        locations: [B, Q, heads, L, P, 2], normalised (x, y).
        weights: [B, Q, heads, L, P].

    Returns:
        [B, Q, d].
    """
    batch, queries, _, _, points, _ = locations.shape
    dim = value.shape[-1]
    start = 0
    out: Tensor | None = None
    for level, (height, width) in enumerate(shapes):
        part = value[:, start : start + height * width]
        start += height * width
        # [B*heads, head_dim, H, W]: output channels are head-major
        image = part.view(batch, height, width, heads, dim // heads).permute(0, 3, 4, 1, 2)
        image = image.reshape(batch * heads, dim // heads, height, width)
        grid = locations[:, :, :, level].transpose(1, 2).reshape(batch * heads, queries, points, 2)
        sampled = F.grid_sample(image, grid * 2 - 1, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = weights[:, :, :, level].transpose(1, 2).reshape(batch * heads, 1, queries, points)
        contribution = (sampled * weight).sum(-1)
        out = contribution if out is None else out + contribution
    assert out is not None
    return out.view(batch, dim, queries).transpose(1, 2)


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
        # on the CPU whatever is being built: on the device meta this would import torch._dynamo
        angle = torch.arange(self.heads, dtype=torch.float32, device="cpu") * (2 * math.pi / self.heads)
        ring = torch.stack((angle.cos(), angle.sin()), dim=-1)
        ring = ring / ring.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32, device="cpu")
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
        offsets, weights = self._asked(query)
        locations = self._locations(reference, offsets, shapes)
        sampled = sample_grid(self.value_proj(values), locations, weights, shapes, heads=self.heads)
        result: Tensor = self.output_proj(sampled)
        return result

    def project(self, values: Tensor, shapes: Sequence[tuple[int, int]]) -> PaddedMaps:
        """The projected values, for ``gather``."""
        return PaddedMaps.of(linear(values, self.value_proj), shapes)

    def gather(self, query: Tensor, reference: Tensor, projected: PaddedMaps) -> Tensor:
        """As ``forward`` without gradients: [B, Q, d]. The queries may be a part of all; the values are shared."""
        offsets, weights = self._asked(query)
        places = self._places(reference, offsets, projected.shapes)
        return linear(projected.sample(places, weights, heads=self.heads).flatten(2), self.output_proj)

    def gather_few(self, query: Tensor, reference: Tensor, values: PaddedMaps) -> Tensor:
        """As ``gather``, with values that are not projected yet: [B, Q, d].

        A sum of projected values is the projection of the sum. With few queries, projecting the sums of each head is
        far less work than projecting all values.
        """
        offsets, weights = self._asked(query)
        places = self._places(reference, offsets, values.shapes)
        inside = self._inside(places, weights, values.shapes)  # a value outside of its map has no bias either
        sums = values.sample(places, weights, heads=1)
        dim = sums.shape[-1]
        weight = self.value_proj.weight.view(self.heads, dim // self.heads, dim)
        parts = torch.matmul(sums.unsqueeze(-2), weight.transpose(1, 2)).squeeze(-2)
        parts = parts + inside * self.value_proj.bias.view(self.heads, -1)
        out: Tensor = self.output_proj(parts.flatten(2))
        return out

    def _asked(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets [B, Q, heads, levels, points, 2] and weights [B, Q, heads, levels, points]."""
        batch, queries, _ = query.shape
        sizes = (batch, queries, self.heads, self.levels, self.points)
        weights = self.attention_weights(query).view(batch, queries, self.heads, self.levels * self.points)
        return self.sampling_offsets(query).view(*sizes, 2), weights.softmax(-1).view(sizes)

    def _locations(self, reference: Tensor, offsets: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Sampling places, normalised (x, y): [B, Q, heads, levels, points, 2]."""
        if reference.shape[-1] == 2:
            size = offsets.new_tensor([[w, h] for h, w in shapes])
            return reference[:, :, None, None, None] + offsets / size[:, None]
        centre, extent = reference[..., :2], reference[..., 2:]
        return centre[:, :, None, None, None] + offsets / self.points * extent[:, :, None, None, None] * 0.5

    def _places(self, reference: Tensor, offsets: Tensor, shapes: Sequence[tuple[int, int]]) -> Places:
        sides = _sides(shapes, self.points, like=offsets)
        found = []
        for k, side in enumerate(sides):
            centre = reference[..., k, None] * side - 0.5
            offset = offsets[..., k].flatten(3)
            if reference.shape[-1] == 2:
                found.append(centre[:, :, None] + offset)
            else:
                extent = reference[..., 2 + k, None] * side * (0.5 / self.points)
                found.append(torch.addcmul(centre[:, :, None], offset, extent[:, :, None]))
        return found[0], found[1]

    @staticmethod
    def _inside(places: Places, weights: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """How much of the weights falls on cells of the maps: [B, Q, heads, 1]."""
        sides = _sides(shapes, weights.shape[-1], like=weights)
        shares = [
            torch.minimum(place + 1, side - place).clamp_(0, 1) for place, side in zip(places, sides, strict=True)
        ]
        return (shares[0] * shares[1] * weights.flatten(3)).sum(-1, keepdim=True)
