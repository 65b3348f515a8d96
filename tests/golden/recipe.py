"""Reproducible random weights: each tensor is drawn from a generator seeded by its official key.

The golden arrays in this folder were made with these weights, so none need to be stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PREDICTOR = "sem_seg_head.predictor."
TEXT_ENCODER = PREDICTOR + "lang_encoder."
# Zero-mean rows, so that a constant input does not swamp the signal behind these layers.
CENTERED = (
    "pixel_decoder.mask_features.weight",
    "mask_embed.layers.1.weight",
    "mask_embed.layers.2.weight",
    "_bbox_embed.layers.1.weight",
    "_bbox_embed.layers.2.weight",
)


def canonical(key: str) -> str:
    """The one key that stands for all tied copies of a tensor."""
    if key.startswith(PREDICTOR + "decoder.norm."):
        return PREDICTOR + "decoder_norm." + key.rsplit(".", 1)[1]
    for prefix in (PREDICTOR + "decoder.bbox_embed.", PREDICTOR + "bbox_embed."):
        if key.startswith(prefix):
            return PREDICTOR + "_bbox_embed." + key[len(prefix) :].split(".", 1)[1]
    return key


def recipe_value(key: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """The values of the tensor with this official key; None for buffers that keep what they were built with."""
    key = canonical(key)
    if key.endswith(("relative_position_index", "empty_weight")):
        return None
    if key.endswith("logit_scale"):
        return np.asarray(4.0, dtype=np.float32)
    normal = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()))).standard_normal(size=shape)
    if key.endswith(CENTERED):
        normal = normal - normal.mean(axis=1, keepdims=True)
    scale, offset = _scale_and_offset(key, shape)
    return (offset + scale * normal).astype(np.float32)


def _scale_and_offset(key: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """First matching row of the recipe's table."""
    fan = shape[1] ** -0.5 if len(shape) > 1 else 1.0
    block, decoder, pixels = ".resblocks." in key, ".predictor.decoder." in key, ".pixel_decoder." in key
    unit_scale = ("token_embedding.weight", "query_feat.weight", "query_embed.weight", "lang_mapper")
    rows: list[tuple[bool, float]] = [
        (key.endswith("sampling_offsets.bias"), 1.0),
        (key.endswith("relative_position_bias_table"), 0.2),
        (key.endswith("level_embed"), 0.5),
        (key.endswith("positional_embedding"), 0.3),
        (key.endswith(unit_scale), 1.0),
        (key.endswith(("lang_proj", "class_embed")), shape[0] ** -0.5 if shape else 1.0),
        (block and key.endswith("attn.in_proj_weight"), 2.5 * fan),
        (block and key.endswith("attn.out_proj.weight"), 4.0 * fan),
        (decoder and key.endswith("self_attn.out_proj.weight"), 0.15 * fan),
        (decoder and key.endswith("cross_attn.output_proj.weight"), 0.6 * fan),
        (pixels and key.endswith("self_attn.output_proj.weight"), 0.5 * fan),
        (key.startswith("sem_seg_head.") and key.endswith("linear2.weight"), 0.15 * fan),
        (key.endswith("_bbox_embed.layers.2.weight"), 0.25 * fan),
        (key.endswith("mask_embed.layers.2.weight"), 0.5 * fan),
        (key.endswith("bias"), 0.02),
    ]
    for matches, scale in rows:
        if matches:
            return scale, 0.0
    if len(shape) == 1:
        return 0.1, 1.0
    return float(np.prod(shape[1:])) ** -0.5, 0.0


def fill(module: nn.Module, official: Mapping[str, str] | str) -> None:
    """Give a module its recipe weights.

    ``official`` is the prefix that turns our keys into official ones, or a map from our keys to them.
    """
    state: dict[str, Tensor] = {}
    for name, tensor in module.state_dict().items():
        key = official + name if isinstance(official, str) else official[name]
        value = recipe_value(key, tuple(tensor.shape))
        state[name] = tensor if value is None else torch.from_numpy(value)
    module.load_state_dict(state)
