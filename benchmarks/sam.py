"""SAM and SAM2 of transformers as contestants, used as their documentation shows, with one mask for each box.

The image is encoded once for all boxes; then come all boxes in one pass, masks at photo size by the processor, and
pycocotools' RLE. Random weights: nothing is downloaded, and the work is the same.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from benchmarks.contestants import Spec, Stages
from benchmarks.photos import SpeedPhoto


class SamContestant:
    """SAM ViT-B or SAM2-tiny, by the processor and model given."""

    def __init__(self, model: Any, processor: Any, *, side: int) -> None:
        self.model = model.eval()
        self.processor = processor
        self.side = side

    @staticmethod
    def of(spec: Spec) -> SamContestant:
        """The default configurations are ViT-B and tiny; ``sizes`` overrides them."""
        torch.manual_seed(0)
        if spec.kind == "sam":
            from transformers import SamConfig, SamImageProcessor, SamModel, SamProcessor

            sam = SamModel(SamConfig(**spec.sizes))
            side = sam.config.vision_config.image_size
            images = SamImageProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side})
            return SamContestant(sam, SamProcessor(images), side=side)
        from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

        sam2 = Sam2Model(Sam2Config(**spec.sizes))
        side = sam2.config.prompt_encoder_config.image_size
        return SamContestant(sam2, Sam2Processor(Sam2ImageProcessor(size={"height": side, "width": side})), side=side)

    def facts(self) -> dict[str, Any]:
        return {
            "weights": "random",
            "version": "",
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "input": f"{self.side}x{self.side}",
        }

    @torch.inference_mode()
    def label(self, photo: SpeedPhoto, stages: Stages, *, zoom: bool = True) -> list[Any]:
        """From file to RLEs, one for each box."""
        with stages("read"), Image.open(photo.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        with stages("encode"):
            inputs, embeddings = self._encode(upright, photo)
        return self._decode(inputs, embeddings, stages)

    @torch.inference_mode()
    def click(self, photo: SpeedPhoto, *, new_crop: bool) -> list[float]:
        """The image's features are there: SAM knows no crops."""
        with Image.open(photo.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        inputs, embeddings = self._encode(upright, photo)
        boxes = inputs["input_boxes"]
        seconds = []
        for k in range(len(photo.boxes)):
            start = time.perf_counter()
            self._decode({**inputs, "input_boxes": boxes[:, k : k + 1]}, embeddings, Stages())
            seconds.append(time.perf_counter() - start)
        return seconds

    def _encode(self, upright: Image.Image, photo: SpeedPhoto) -> tuple[Any, Any]:
        """Processor output (resized pixels and boxes) and image embeddings."""
        boxes = [[list(box) for box in photo.boxes]]
        inputs = self.processor(images=upright, input_boxes=boxes, return_tensors="pt")
        return inputs, self.model.get_image_embeddings(inputs["pixel_values"])

    def _decode(self, inputs: Any, embeddings: Any, stages: Stages) -> list[Any]:
        with stages("decode"):
            boxes = inputs["input_boxes"].float()
            out = self.model(image_embeddings=embeddings, input_boxes=boxes, multimask_output=False)
        with stages("finish"):
            sizes = [inputs["original_sizes"]]
            if "reshaped_input_sizes" in inputs:
                sizes.append(inputs["reshaped_input_sizes"])
            masks = self.processor.post_process_masks(out.pred_masks, *sizes)[0][:, 0].numpy()
            return [coco_mask.encode(np.asfortranarray(mask.view(np.uint8))) for mask in masks]
