"""The model's two steps as OpenVINO graphs of fixed shape. Needs the packages ``openvino`` and, for int8, ``nncf``.

The graphs are traced from the model's own methods, so that there is one description of the arithmetic.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openseed_core.conditioning import Context
from openseed_core.decoder import Memory
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.preprocess import NetworkInput

Crop = tuple[NDArray[np.uint8], tuple[int, int]]
"""A network input, uint8 RGB [side, side, 3], and the (height, width) of the part that isn't padding."""


class _Encoder(nn.Module):
    """A crop, uint8 [1, S, S, 3], and its (height, width) without padding, int64 [2] -> tokens and mask features."""

    def __init__(self, model: OpenSeeD) -> None:
        super().__init__()
        self.model = model
        self.mean, self.std = (
            torch.tensor(values).view(1, 3, 1, 1) for values in (model.config.mean, model.config.std)
        )

    def forward(self, pixels: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        at = torch.arange(pixels.shape[1])
        shown = (at < size[0])[:, None] & (at < size[1])[None, :]
        values = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std * shown
        side = pixels.shape[1]
        memory = self.model.encode_input(NetworkInput(values, ((side, side),))).memory
        return memory.tokens, memory.mask_features


class _Decoder(nn.Module):
    """Tokens, mask features, boxes xyxy [1, N, 4] inside the crop and text [N, e] -> mask logits [1, N, S/4, S/4]."""

    def __init__(self, model: OpenSeeD, shapes: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.model, self.shapes = model, shapes

    def forward(self, tokens: Tensor, mask_features: Tensor, boxes: Tensor, text: Tensor) -> Tensor:
        side = self.model.config.zoom_side
        memory = Memory(tokens, self.shapes, mask_features)
        features = ImageFeatures((), memory, ((side, side),), (side, side))
        labels = torch.arange(len(text))[None]
        masks: Tensor = self.model.masks_for_boxes(features, boxes, text, labels, context=Context.SOLO).masks
        return masks


@torch.inference_mode()
def level_shapes(model: OpenSeeD) -> tuple[tuple[int, int], ...]:
    """(height, width) of the decoder's token maps for one crop."""
    side = model.config.zoom_side
    crop = torch.zeros(1, 3, side, side, device=model.device)
    return model.encode_input(NetworkInput(crop, ((side, side),))).memory.shapes


@torch.inference_mode()
def graphs(model: OpenSeeD, *, chunk: int) -> tuple[Any, Any]:
    """The encoder's and the decoder's ``openvino.Model``; see ``_Encoder`` and ``_Decoder`` for their inputs.

    Args:
        model: on the CPU, in evaluation mode.
        chunk: the number N of boxes in one pass.
    """
    import openvino

    side = model.config.zoom_side
    pixels = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    encoder = _Encoder(model).eval()
    crop = (pixels, torch.tensor([side, side]))
    tokens, mask_features = encoder(*crop)
    boxes = torch.tensor([0.0, 0.0, side, side]).expand(1, chunk, 4).clone()
    asked = (tokens, mask_features, boxes, torch.ones(chunk, model.config.joint_dim))
    decoder = _Decoder(model, level_shapes(model)).eval()
    return _converted(openvino, encoder, crop), _converted(openvino, decoder, asked)


def quantized(encoder: Any, crops: Sequence[Crop]) -> Any:
    """The encoder with its convolutions in int8, ranges taken from ``crops``; what is no convolution stays float32.

    The attention and its linear layers are a small part of the time and lose the most.
    """
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    inputs = [(pixels[None], np.array(size, np.int64)) for pixels, size in crops]
    with redirect_stdout(StringIO()):  # progress bars, where a command may write JSON
        return nncf.quantize(
            encoder,
            nncf.Dataset(inputs),
            subset_size=len(inputs),
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(types=["MatMul"]),
        )


def _converted(openvino: Any, module: nn.Module, example: tuple[Tensor, ...]) -> Any:
    with warnings.catch_warnings():  # sizes become constants, which is what is wanted
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", category=FutureWarning, message=".*torch.jit")
        return openvino.convert_model(module, example_input=example, input=[list(value.shape) for value in example])
