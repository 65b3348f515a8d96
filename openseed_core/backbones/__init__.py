"""Image backbones: each turns [B, 3, H, W] into maps res2..res5 at strides 4, 8, 16, 32."""

from __future__ import annotations

from torch import nn

from openseed_core.config import OpenSeeDConfig


def build_backbone(config: OpenSeeDConfig) -> nn.Module:
    """The backbone that ``config.backbone`` names."""
    if config.backbone == "csp":
        from openseed_core.backbones.csp import CSPBackbone

        return CSPBackbone(config)
    if config.backbone == "swin":
        from openseed_core.backbones.swin import SwinBackbone

        return SwinBackbone(config)
    raise ValueError(f"config.backbone is {config.backbone!r}; write 'swin' or 'csp'")
