"""The encoder of MobileSAM's size, and nothing after it: TinyViT-5M of timm on 1024 pixels, random weights.

MobileSAM is this encoder (with a finer last stage, which costs more) and SAM's mask decoder. So the time here is less
than MobileSAM would take: whoever is eight times as fast as this encoder is more than that beside the whole.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from benchmarks.contestants import Spec, Stages
from benchmarks.photos import SpeedPhoto

SIDE = 1024
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TinyViTContestant:
    """Reads, resizes and encodes a photo; makes no masks."""

    def __init__(self, model: Any, *, side: int) -> None:
        self.model = model.eval()
        self.side = side

    @staticmethod
    def of(spec: Spec) -> TinyViTContestant:
        """``sizes``: ``model`` (a name of timm) and ``side``, for tests."""
        import timm

        torch.manual_seed(0)
        name = spec.sizes.get("model", "tiny_vit_5m_224")
        return TinyViTContestant(
            timm.create_model(name, pretrained=False, num_classes=0), side=spec.sizes.get("side", SIDE)
        )

    def facts(self) -> dict[str, Any]:
        return {
            "weights": "random",
            "version": "",
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "input": f"{self.side}x{self.side}, encoder only",
        }

    @torch.inference_mode()
    def label(self, photo: SpeedPhoto, stages: Stages, *, zoom: bool = True) -> list[Any]:
        """From file to features; None for each box."""
        with stages("read"), Image.open(photo.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        with stages("encode"):
            scale = self.side / max(upright.size)
            width, height = (max(round(scale * length), 1) for length in upright.size)
            pixels = np.asarray(upright.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
            padded = np.zeros((self.side, self.side, 3), np.float32)
            padded[:height, :width] = (pixels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
            self.model.forward_features(torch.from_numpy(padded).permute(2, 0, 1)[None])
        return [None] * len(photo.boxes)

    def click(self, photo: SpeedPhoto, *, new_crop: bool) -> list[float]:
        """There is no decoder: the time of nothing."""
        start = time.perf_counter()
        return [time.perf_counter() - start for _ in photo.boxes]
