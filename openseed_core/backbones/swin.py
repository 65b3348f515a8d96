"""Swin Transformer backbone (spec section 2) from timm's attention, MLP and merging.

timm's own blocks differ in three ways that change the numbers: they shrink the window on maps smaller than it, they
shift before padding, and they fix the input size. Here the map is padded to whole windows first and then rolled,
whatever its size. Attribute names follow the official checkpoints.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from timm.models.swin_transformer import PatchMerging, WindowAttention, window_partition, window_reverse
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig

PATCH = 4
BLOCKED = -100.0  # added to the logits of pairs that the shift brought together; not minus infinity
KEPT_MASKS = 2  # sizes of which a stage remembers its mask


class PatchEmbed(nn.Module):
    """Image [B, 3, H, W] -> map [B, H/4, W/4, C]; the sides are padded to multiples of 4 first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, channels, PATCH, stride=PATCH)
        self.norm = nn.LayerNorm(channels)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x: Tensor = self.proj(F.pad(image, (0, -width % PATCH, 0, -height % PATCH)))
        out: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return out


class SwinBlock(nn.Module):
    """Windowed attention, shifted by ``shift`` cells, and MLP, both pre-norm and residual. Map [B, H, W, C]."""

    def __init__(self, dim: int, *, heads: int, window: int, shift: int, drop_path: float) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, num_heads=heads, window_size=window)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden_features=4 * dim, act_layer=nn.GELU)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``mask``: the stage's shift mask, see ``shift_mask``; unused without a shift."""
        x = x + self.drop_path(self._attend(self.norm1(x), mask))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def _attend(self, x: Tensor, mask: Tensor) -> Tensor:
        _, height, width, channels = x.shape
        window, shift = self.window, self.shift
        x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
        rows, columns = x.shape[1:3]
        if shift:
            x = x.roll((-shift, -shift), dims=(1, 2))
        parts = window_partition(x, (window, window)).view(-1, window * window, channels)
        parts = self.attn(parts, mask=mask if shift else None).view(-1, window, window, channels)
        x = window_reverse(parts, (window, window), rows, columns)
        if shift:
            x = x.roll((shift, shift), dims=(1, 2))
        return x[:, :height, :width]


class SwinStage(nn.Module):
    """Blocks with alternating shift; ``downsample`` leads to the next stage and is applied by the backbone."""

    def __init__(self, dim: int, *, heads: int, window: int, drop_paths: list[float], merge: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(
            [
                SwinBlock(dim, heads=heads, window=window, shift=window // 2 * (j % 2), drop_path=rate)
                for j, rate in enumerate(drop_paths)
            ]
        )
        self.downsample = PatchMerging(dim) if merge else None
        self._masks: dict[tuple[int, int, torch.device, torch.dtype], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        mask = self._mask(x)
        for block in self.blocks:
            x = block(x, mask)
        return x

    def _mask(self, x: Tensor) -> Tensor:
        key = (x.shape[1], x.shape[2], x.device, x.dtype)
        mask = self._masks.get(key)
        if mask is None:
            mask = shift_mask(x.shape[1], x.shape[2], self.window, like=x)
            # a new dictionary, not a change of the old one: another thread may be reading it
            self._masks = dict([*self._masks.items(), (key, mask)][-KEPT_MASKS:])
        return mask


def shift_mask(height: int, width: int, window: int, *, like: Tensor) -> Tensor:
    """What the cells of each window of the padded and rolled map may see: [windows, w*w, w*w], 0 or -100.

    Rolling brings the far edges of the map into one window; they get nine labels, and different labels don't mix.
    """
    shift = window // 2
    labels = like.new_zeros(1, height + -height % window, width + -width % window, 1)
    cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            labels[:, rows, columns] = 3 * i + j
    flat = window_partition(labels, (window, window)).view(-1, window * window)
    different = flat[:, None, :] != flat[:, :, None]
    return like.new_zeros(different.shape).masked_fill_(different, BLOCKED)


class SwinBackbone(nn.Module):
    """Image [B, 3, H, W] (normalised RGB, any size) -> {"res2".."res5": [B, C, H/s, W/s]}, sides rounded up."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        channels, depths = config.backbone_channels, config.swin_depths
        rates = torch.linspace(0, config.drop_path, sum(depths), device="cpu").tolist()
        self.patch_embed = PatchEmbed(channels[0])
        self.layers = nn.ModuleList(
            [
                SwinStage(
                    channels[i],
                    heads=config.swin_heads[i],
                    window=config.swin_window,
                    drop_paths=[rates.pop(0) for _ in range(depth)],
                    merge=i + 1 < len(depths),
                )
                for i, depth in enumerate(depths)
            ]
        )
        for i, width in enumerate(channels):
            self.add_module(f"norm{i}", nn.LayerNorm(width))
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        x = self.patch_embed(image)
        maps: dict[str, Tensor] = {}
        for i, stage in enumerate(self.layers):
            assert isinstance(stage, SwinStage)
            x = stage(x)
            maps[f"res{i + 2}"] = self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous()
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps
