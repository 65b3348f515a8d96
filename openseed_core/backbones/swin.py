"""Swin Transformer backbone (spec section 2) from timm's attention, MLP and merging.

timm's own blocks differ in three ways that change the numbers: they shrink the window on maps smaller than it, they
shift before padding, and they fix the input size. Here the map is padded to whole windows first and then rolled,
whatever its size. Attribute names follow the official checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from timm.models.swin_transformer import PatchMerging, WindowAttention, window_partition, window_reverse
from torch import Tensor, nn

from openseed_core.config import OpenSeeDConfig
from openseed_core.cpu_path import BLOCK, cpu_path, linear

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


@dataclass(frozen=True)
class WindowOrder:
    """Which cells of a map are in which window after padding and rolling.

    Attributes:
        cells: int64 [windows * w * w], flat index of each window's cells, window after window; 0 for padding.
        real: float [windows * w * w, 1], 0 for padding and 1 for cells of the map.
        place: int64 [H * W], where each cell of the map is in ``cells``.
    """

    cells: Tensor
    real: Tensor
    place: Tensor

    @staticmethod
    def of(height: int, width: int, window: int, shift: int, *, like: Tensor) -> WindowOrder:
        """For a map of height x width cells, on the device of ``like``."""
        flat = torch.arange(height * width, device=like.device).view(1, height, width, 1)
        flat = F.pad(flat, (0, 0, 0, -width % window, 0, -height % window), value=-1).roll((-shift, -shift), (1, 2))
        cells = window_partition(flat, (window, window)).flatten()
        place = torch.empty(height * width, dtype=torch.long, device=like.device)
        real = cells >= 0
        place[cells[real]] = real.nonzero().flatten()
        return WindowOrder(cells.clamp(min=0), real.to(like.dtype)[:, None], place)


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

    def forward(self, x: Tensor, mask: Tensor, orders: tuple[WindowOrder, WindowOrder] | None = None) -> Tensor:
        """``mask``: the stage's shift mask, see ``shift_mask``; unused without a shift. ``orders``: where cells are."""
        if orders is not None and cpu_path(x) and not self.training:
            return torch.stack([self._in_blocks(image, mask, orders[self.shift > 0]) for image in x])
        x = x + self.drop_path(self._attend(self.norm1(x), mask))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def _in_blocks(self, x: Tensor, mask: Tensor, order: WindowOrder) -> Tensor:
        """One map [H, W, C], a few windows at a time, then a few cells at a time."""
        cells = x.reshape(-1, x.shape[-1])
        area, bias = self.window**2, self.attn._get_rel_pos_bias()
        attended = torch.empty(len(order.cells), cells.shape[1])
        step = max(BLOCK // area, 1)
        for first in range(0, len(order.cells) // area, step):
            rows = slice(first * area, (first + step) * area)
            part = self.norm1(cells.index_select(0, order.cells[rows])).mul_(order.real[rows])
            attended[rows] = self._windows(part, bias + mask[first : first + step, None] if self.shift else bias)
        out = torch.empty_like(cells)
        for first in range(0, len(cells), BLOCK):
            rows = slice(first, first + BLOCK)
            part = cells[rows] + attended.index_select(0, order.place[rows])
            torch.add(part, linear(linear(self.norm2(part), self.mlp.fc1, "gelu"), self.mlp.fc2), out=out[rows])
        return out.view_as(x)

    def _windows(self, x: Tensor, bias: Tensor) -> Tensor:
        """Attention inside of windows: [n * w * w, C] cells in the order of windows, bias [1 or n, heads, w*w, w*w]."""
        heads, area = self.attn.num_heads, self.window**2
        q, k, v = linear(x, self.attn.qkv).view(-1, area, 3, heads, x.shape[1] // heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        return linear(mixed.transpose(1, 2).reshape(x.shape), self.attn.proj)

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


_Layout = tuple[Tensor, tuple[WindowOrder, WindowOrder]]


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
        self._layouts: dict[tuple[int, int, torch.device, torch.dtype], _Layout] = {}

    def forward(self, x: Tensor) -> Tensor:
        mask, orders = self._layout(x)
        for block in self.blocks:
            x = block(x, mask, orders)
        return x

    def _layout(self, x: Tensor) -> _Layout:
        key = (x.shape[1], x.shape[2], x.device, x.dtype)
        layout = self._layouts.get(key)
        if layout is None:
            height, width, window = x.shape[1], x.shape[2], self.window
            straight, shifted = (WindowOrder.of(height, width, window, shift, like=x) for shift in (0, window // 2))
            layout = shift_mask(height, width, window, like=x), (straight, shifted)
            # a new dictionary, not a change of the old one: another thread may be reading it
            self._layouts = dict([*self._layouts.items(), (key, layout)][-KEPT_MASKS:])
        return layout


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
            maps[f"res{i + 2}"] = self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2)
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps
