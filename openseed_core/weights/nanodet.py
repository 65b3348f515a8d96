"""Initial weights of the ``nano`` backbone: the convolutions of a COCO-pretrained NanoDet-g (Apache-2.0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from openseed_core.backbones.csp import CSPBackbone


def load_nanodet(backbone: CSPBackbone, path: Path) -> None:
    """Copy convolutions 00..24 of an ``.npz`` with arrays ``convNN.weight`` and ``convNN.bias``.

    The file expects BGR input; the stem's input channels are turned around, as this model reads RGB.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape than the backbone.
    """
    convolutions: list[Any] = [backbone.stem]
    stages: Any = backbone.stages
    for stage in stages:
        convolutions.append(stage.entry)
        for reduce, inner in zip(stage.reduce, stage.inner, strict=True):
            convolutions += [reduce, inner]
        convolutions.append(stage.last)
    with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
        for i, convolution in enumerate(convolutions):
            weight = torch.from_numpy(arrays[f"conv{i:02d}.weight"].astype(np.float32))
            bias = torch.from_numpy(arrays[f"conv{i:02d}.bias"].astype(np.float32))
            if i == 0:
                weight = weight.flip(1)
            if weight.shape != convolution.weight.shape:
                raise ValueError(
                    f"{path}: conv{i:02d}.weight is {list(weight.shape)}, the backbone needs "
                    f"{list(convolution.weight.shape)}; this file is not a NanoDet-g backbone"
                )
            convolution.weight.copy_(weight)
            convolution.bias.copy_(bias)
