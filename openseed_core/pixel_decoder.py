"""Pixel decoder: deformable encoder over the feature levels and one FPN step (spec section 3)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig
from openseed_core.cpu_path import BLOCK, cpu_path, linear
from openseed_core.deformable_attention import DeformableAttention
from openseed_core.position import map_encoding


class ConvNorm(nn.Module):
    """Convolution without bias and GroupNorm(32)."""

    def __init__(self, channels: int, dim: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, dim, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(32, dim)
        nn.init.kaiming_uniform_(self.conv.weight, a=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out


class EncoderLayer(nn.Module):
    """Post-norm deformable self-attention and feed-forward (spec 3.4)."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        dim = config.hidden_dim
        self.self_attn = DeformableAttention(dim, heads=config.heads, levels=config.levels, points=config.points)
        self.norm1 = nn.LayerNorm(dim)
        self.linear1 = nn.Linear(dim, config.encoder_ffn_dim)
        self.linear2 = nn.Linear(config.encoder_ffn_dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.linear1.weight)
        nn.init.xavier_uniform_(self.linear2.weight)

    def forward(self, tokens: Tensor, position: Tensor, reference: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        if not cpu_path(tokens):
            tokens = self.norm1(tokens + self.self_attn(tokens + position, reference, tokens, shapes))
            result: Tensor = self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))
            return result
        values = self.self_attn.project(tokens, shapes)
        out = torch.empty_like(tokens)
        for start in range(0, tokens.shape[1], BLOCK):
            rows = slice(start, start + BLOCK)
            part = tokens[:, rows]
            part = self.norm1(part + self.self_attn.gather(part + position[rows], reference[:, rows], values))
            out[:, rows] = self.norm2(part + linear(linear(part, self.linear1, "relu"), self.linear2))
        return out


class PixelDecoder(nn.Module):
    """Backbone maps -> (multi-scale maps high to low resolution, mask features at stride 4).

    Input: ``res2``..``res5`` as [B, C, H, W]. Output: list of [B, d, H_l, W_l] and [B, d, H/4, W/4].
    Always computed in float32 (spec 3).
    """

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        self.config = config
        dim = config.hidden_dim
        channels = config.map_channels
        projections: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(channels[name], dim, 1), nn.GroupNorm(32, dim)) for name in config.encoder_features
        ]
        if config.extra_level:
            extra = nn.Conv2d(channels["res5"], dim, 3, stride=2, padding=1)
            projections.append(nn.Sequential(extra, nn.GroupNorm(32, dim)))
        self.input_proj = nn.ModuleList(projections)
        for projection in projections:
            nn.init.xavier_uniform_(projection[0].weight)  # type: ignore[index]
            nn.init.zeros_(projection[0].bias)  # type: ignore[index]
        self.level_embed = nn.Parameter(torch.empty(config.levels, dim))
        nn.init.normal_(self.level_embed)
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.encoder_layers)])
        self.adapter_1 = ConvNorm(channels["res2"], dim, 1)
        self.layer_1 = ConvNorm(dim, dim, 3)
        self.mask_features = nn.Conv2d(dim, dim, 1)
        nn.init.kaiming_uniform_(self.mask_features.weight, a=1)
        nn.init.zeros_(self.mask_features.bias)  # type: ignore[arg-type]

    def forward(self, features: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        with torch.autocast(device_type=features["res5"].device.type, enabled=False):
            return self._forward({name: value.float() for name, value in features.items()})

    def _forward(self, features: Mapping[str, Tensor]) -> tuple[list[Tensor], Tensor]:
        sources = [features[name] for name in self.config.encoder_features]
        if self.config.extra_level:
            sources.append(features["res5"])  # the raw map, not the projected one
        maps = [projection(source) for projection, source in zip(self.input_proj, sources, strict=True)]
        shapes = [(m.shape[2], m.shape[3]) for m in maps]
        device = maps[0].device
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in maps], dim=1)
        position = torch.cat(
            [
                map_encoding(h, w, self.config.hidden_dim, device=device).flatten(0, 1) + self.level_embed[i]
                for i, (h, w) in enumerate(shapes)
            ]
        )
        reference = torch.cat([_centres(h, w, device) for h, w in shapes])[None].expand(tokens.shape[0], -1, -1)
        for layer in self.layers:
            tokens = layer(tokens, position, reference, shapes)
        sizes = [h * w for h, w in shapes]
        # views of the tokens: channels last, the layout that the convolutions below are fastest with
        out = [
            part.view(part.shape[0], h, w, part.shape[2]).permute(0, 3, 1, 2)
            for part, (h, w) in zip(torch.split(tokens, sizes, dim=1), shapes, strict=True)
        ]
        fine = self.adapter_1(features["res2"])
        fine = fine + F.interpolate(out[0], size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return out, self.mask_features(F.relu(self.layer_1(fine)))


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Normalised (x, y) of the cell centres, row-major: [H * W, 2]."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((grid_x, grid_y), dim=-1).flatten(0, 1)
