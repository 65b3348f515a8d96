"""A Swin model small enough for every test, in the official layout."""

from __future__ import annotations

from typing import Any

import torch

from openseed_core.config import OpenSeeDConfig
from openseed_core.model import OpenSeeD


def small_config(**overrides: Any) -> OpenSeeDConfig:
    sizes: dict[str, Any] = {
        "backbone_channels": (16, 32, 64, 128),
        "swin_depths": (2, 1, 2, 1),
        "swin_heads": (1, 2, 4, 8),
        "swin_window": 5,
        "hidden_dim": 64,
        "encoder_layers": 1,
        "encoder_ffn_dim": 64,
        "decoder_layers": 2,
        "decoder_ffn_dim": 48,
        "background_queries": 7,
        "top_instances": 300,
        "joint_dim": 24,
        "text_context": 18,
        "text_width": 64,
        "text_layers": 1,
        "text_heads": 1,
    }
    return OpenSeeDConfig(**{**sizes, **overrides})


def small_model(seed: int = 0, **overrides: Any) -> OpenSeeD:
    """With random values everywhere, so that a tensor that is lost or swapped shows."""
    model = OpenSeeD(small_config(**overrides)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
            offset = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0  # norms
            parameter.copy_(offset + scale * torch.randn(parameter.shape, generator=generator))
    return model
