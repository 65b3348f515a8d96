"""A NanoDet-g file of small random numbers and a small ``nano``, for tests that need the layout, not the knowledge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from openseed_core.backbones.csp import CSPBackbone
from openseed_core.backbones.csp_neck import WIDTH
from openseed_core.config import OpenSeeDConfig, nano
from openseed_core.training.nanodet_teacher import BINS, CLASSES, OUTPUTS
from openseed_core.weights.nanodet import NECK


def small_nano(**overrides: Any) -> OpenSeeDConfig:
    """``nano`` with the detector's backbone and little behind it."""
    small = {"encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "decoder_layers": 1, "object_queries": 10}
    text = {"text_width": 16, "text_layers": 1, "text_heads": 2, "text_token_dim": 8}
    return nano(**{**small, **text, **overrides})


def write_nanodet(path: Path, *, bins: tuple[int, int, int, int] = (1, 1, 1, 1), seed: int = 0) -> Path:
    """Write the file; every cell of the detector is sure that its sides are ``bins`` strides away."""
    rng = np.random.default_rng(seed)
    backbone = CSPBackbone(nano())
    shapes: list[tuple[int, ...]] = [tuple(backbone.stem.weight.shape)]
    for stage in backbone.stages:
        shapes.append(stage.entry.weight.shape)
        for reduce, inner in zip(stage.reduce, stage.inner, strict=True):
            shapes += [reduce.weight.shape, inner.weight.shape]
        shapes.append(stage.last.weight.shape)
    of_number = dict(enumerate(shapes))
    of_number |= {i: (WIDTH, channels, 1, 1) for i, channels in zip(NECK[:3], (128, 256, 512), strict=True)}
    of_number |= dict.fromkeys(NECK[3:], (WIDTH, WIDTH, 3, 3))
    of_number |= dict.fromkeys(OUTPUTS, (CLASSES + 4 * BINS, WIDTH, 1, 1))
    arrays: dict[str, np.ndarray] = {}
    for i, shape in sorted(of_number.items()):
        arrays[f"conv{i:02d}.weight"] = (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)
        arrays[f"conv{i:02d}.bias"] = np.zeros(shape[0], np.float16)
    for i in OUTPUTS:
        arrays[f"conv{i:02d}.bias"][CLASSES:] = np.eye(BINS)[list(bins)].ravel() * 60
    np.savez(path, **arrays)
    return path
