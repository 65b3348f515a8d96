"""Initial weights of the ``nano`` backbone and neck: a COCO-pretrained NanoDet-g (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from openseed_core.backbones.csp import CSPBackbone
from openseed_core.backbones.csp_neck import Neck

NECK = (25, 26, 27, 28, 30, 32)
"""Numbers of the neck's convolutions: three laterals, three towers."""


def load_nanodet(backbone: CSPBackbone, path: Path) -> None:
    """Copy convolutions 00..24 of an ``.npz`` with arrays ``convNN.weight`` and ``convNN.bias``.

    The file expects BGR input; the stem's input channels are turned around, as this model reads RGB.

    Raises:
        KeyError: an array is missing.
        ValueError: an array has another shape than the backbone.
    """
    load_convolutions(dict(enumerate(_chain(backbone))), path)


def load_neck(neck: Neck, path: Path) -> None:
    """Copy the convolutions of ``NECK``; file and errors as ``load_nanodet``."""
    load_convolutions(dict(zip(NECK, (*neck.laterals, *neck.towers), strict=True)), path)


def load_convolutions(convolutions: Mapping[int, nn.Module], path: Path) -> None:
    """Copy the convolutions of the file with these numbers; errors as ``load_nanodet``."""
    with np.load(path, allow_pickle=False) as arrays, torch.no_grad():
        for number, convolution in convolutions.items():
            for name, parameter in convolution.named_parameters():
                value = torch.from_numpy(arrays[f"conv{number:02d}.{name}"].astype(np.float32))
                if number == 0 and name == "weight":
                    value = value.flip(1)
                if value.shape != parameter.shape:
                    raise ValueError(
                        f"{path}: conv{number:02d}.{name} is {list(value.shape)}, the network needs "
                        f"{list(parameter.shape)}; this file is not NanoDet-g"
                    )
                parameter.copy_(value)


def _chain(backbone: CSPBackbone) -> list[Any]:
    """The convolutions of the backbone in the order of the file."""
    chain: list[Any] = [backbone.stem]
    stages: Any = backbone.stages
    for stage in stages:
        chain.append(stage.entry)
        for reduce, inner in zip(stage.reduce, stage.inner, strict=True):
            chain += [reduce, inner]
        chain.append(stage.last)
    return chain
