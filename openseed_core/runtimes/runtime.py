"""The two steps that a labeler asks for, and torch's way of doing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openseed_core.conditioning import Context
from openseed_core.model import ImageFeatures, OpenSeeD


class Runtime(Protocol):
    """Encodes views and decodes boxes that don't see each other. Used from several threads at a time."""

    def encode(self, images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> ImageFeatures:
        """Features of B images of one shape, uint8 RGB [H, W, 3]; the part of each outside ``size`` is padding."""
        ...

    def masks(self, features: ImageFeatures, boxes: Tensor, text: Tensor) -> Tensor:
        """Mask logits [B, N, H/4, W/4].

        Args:
            features: of B images, from ``encode``.
            boxes: float32 [B, N, 4], xyxy in network pixels.
            text: [N, e], a row for each box.
        """
        ...


class TorchRuntime:
    """The model itself."""

    def __init__(self, model: OpenSeeD) -> None:
        self.model = model

    def encode(self, images: Sequence[NDArray[np.uint8]], size: tuple[int, int]) -> ImageFeatures:
        features: ImageFeatures = self.model.encode_image(images, sizes=[size] * len(images))
        return features

    def masks(self, features: ImageFeatures, boxes: Tensor, text: Tensor) -> Tensor:
        labels = torch.arange(len(text), device=text.device).expand(len(boxes), -1)
        masks: Tensor = self.model.masks_for_boxes(features, boxes, text, labels, context=Context.SOLO).masks
        return masks
