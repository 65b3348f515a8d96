"""OpenSeeD: one model for boxes + names -> masks and for open-vocabulary detection and segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from openseed_core.backbones import build_backbone
from openseed_core.conditioning import Context, attention_mask, condition_queries
from openseed_core.config import OpenSeeDConfig
from openseed_core.decoder import Decoder, DecoderOutput, Memory, layer_boxes, predict_all
from openseed_core.heads import Heads, Prediction
from openseed_core.pixel_decoder import PixelDecoder
from openseed_core.preprocess import NetworkInput, prepare
from openseed_core.prompts import BARE_NAME, TEMPLATES
from openseed_core.query_selection import QuerySelection, Selection
from openseed_core.text_encoder import TextEncoder

# Conditions decoded in one pass of the solo context; more are done in further passes with the same result.
CHUNK = 256


@dataclass(frozen=True)
class ImageFeatures:
    """What ``encode_image`` keeps: enough to answer any number of questions about the images.

    Attributes:
        multi_scale: pixel decoder maps [B, d, H_l, W_l], high to low resolution.
        memory: the same as decoder tokens, with the mask features [B, d, H/4, W/4].
        sizes: (height, width) of each image in network pixels, before padding.
        padded: (height, width) of the batch, multiples of 32; normalised boxes refer to it.
    """

    multi_scale: tuple[Tensor, ...]
    memory: Memory
    sizes: tuple[tuple[int, int], ...]
    padded: tuple[int, int]

    def image(self, i: int) -> ImageFeatures:
        """Image ``i`` alone, as a batch of one."""
        own = slice(i, i + 1)
        memory = Memory(
            self.memory.tokens[own],
            self.memory.shapes,
            self.memory.mask_features[own],
            tuple(m[own] for m in self.memory.sources),
        )
        return ImageFeatures(tuple(m[own] for m in self.multi_scale), memory, self.sizes[own], self.padded)


@dataclass(frozen=True)
class Conditioned:
    """Answers to N box conditions on each of B images.

    Attributes:
        masks: [B, N, H/4, W/4] logits.
        boxes: [B, N, 4] refined cxcywh, normalised to the padded image.
        logits: [B, N, K] class logits over the texts given.
    """

    masks: Tensor
    boxes: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Detection:
    """Output of the unconditioned decoder.

    Attributes:
        final: predictions of the last layer, foreground queries first, then background.
        aux: predictions 0..L-1 (0 = initial contents); empty unless asked for.
        interm: prediction head on the selected encoder tokens.
        selection: which tokens became queries.
        decoded: states of all layers.
    """

    final: Prediction
    aux: tuple[Prediction, ...]
    interm: Prediction
    selection: Selection
    decoded: DecoderOutput


class OpenSeeD(nn.Module):
    """The whole model; sizes come from the configuration.

    ``from_pretrained`` and ``save_pretrained`` are those of transformers (``openseed_core.pretrained``), which is only
    imported there: it takes longer to import than ``nano`` needs for ten photos.
    """

    fingerprint: str = ""
    """Short digest of the weights file that the model was loaded from; empty for one that wasn't."""

    def __init__(self, config: OpenSeeDConfig) -> None:
        self._begin(config)
        self.backbone = build_backbone(config)
        self.pixel_decoder = PixelDecoder(config)
        self.text_encoder = TextEncoder(config)
        self.heads = Heads(config)
        self.query_selection = QuerySelection(config)
        self.decoder = Decoder(config)

    def _begin(self, config: OpenSeeDConfig) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, *args: Any, **options: Any) -> OpenSeeD:
        """A model from a folder or the Hugging Face hub; arguments as transformers' ``PreTrainedModel`` has them."""
        from openseed_core.pretrained import PretrainedOpenSeeD

        found: OpenSeeD = PretrainedOpenSeeD.from_pretrained(*args, **options)
        return found

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """config.json and safetensors; arguments as transformers' ``PreTrainedModel`` has them."""
        from openseed_core.pretrained import PretrainedOpenSeeD

        PretrainedOpenSeeD.of(self).save_pretrained(folder, **options)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def _init_weights(self, module: nn.Module) -> None:
        """Every module initialises itself (spec 8.2); loading only has to rebuild the buffers that aren't saved."""
        rebuild = getattr(module, "init_non_persistent_buffers", None)
        if rebuild is not None:
            rebuild()

    @property
    def logit_scale(self) -> Tensor:
        """Log of the factor of class similarities; kept with the text encoder as in the released weights."""
        return self.text_encoder.logit_scale

    # -- step 1: the expensive part, once per image and once per vocabulary -------------------------------------

    def encode_image(
        self, images: Sequence[NDArray[np.uint8]], *, sizes: Sequence[tuple[int, int]] | None = None
    ) -> ImageFeatures:
        """Backbone and pixel decoder.

        Args:
            images: uint8 RGB [H, W, 3], already at network size (see ``preprocess``). Images of one call are padded to
                a common size, which changes results slightly: give images of one size, or one image.
            sizes: (height, width) of the part of each image that isn't padding already; default: all of it.
        """
        config = self.config
        batch = prepare(images, mean=config.mean, std=config.std, device=self.device, sizes=sizes)
        return self.encode_input(batch)

    def encode_input(self, batch: NetworkInput) -> ImageFeatures:
        """As ``encode_image`` for a batch that is normalised and padded already."""
        pixels = batch.pixels
        maps = self.backbone(pixels)
        multi_scale, mask_features = self.pixel_decoder(maps)
        sources = [maps[name] for name in self.config.encoder_features] if self.config.neck else []
        memory = Memory.of(multi_scale, mask_features, sources)
        return ImageFeatures(tuple(multi_scale), memory, batch.sizes, (pixels.shape[2], pixels.shape[3]))

    def encode_text(self, prompts: Sequence[Sequence[str]]) -> Tensor:
        """Text features [K, e]: for each class its prompts, each averaged over the 81 templates (spec section 4)."""
        templates = TEMPLATES if self.config.text_templates else BARE_NAME
        features: Tensor = self.text_encoder.encode_names(prompts, templates=templates)
        return features

    # -- step 2a: boxes and names in, masks out -----------------------------------------------------------------

    def masks_for_boxes(
        self,
        image: ImageFeatures,
        boxes: Tensor,
        text: Tensor,
        labels: Tensor,
        *,
        context: Context = Context.SOLO,
        groups: Tensor | None = None,
    ) -> Conditioned:
        """Conditioned mask decoding (spec section 6).

        Args:
            image: features of B images.
            boxes: float32 [B, N, 4], xyxy in network pixels of the unpadded image.
            text: [K, e] text features; K distinct names, in the joint contexts also the selection's vocabulary.
            labels: int64 [B, N], the row of ``text`` for each box.
            context: what conditions can see. Only ``SOLO`` keeps boxes independent of each other.
            groups: int64 [N] for ``JOINT_GROUPED``; conditions of different groups don't see each other.
        """
        normalised = self.normalise_boxes(image, boxes)
        content, reference = condition_queries(self.heads, text, labels, normalised)
        if context in (Context.SOLO, Context.ISOLATED):
            step = CHUNK if context is Context.SOLO else max(content.shape[1], 1)
            parts = [
                self._conditioned(image, content[:, s : s + step], reference[:, s : s + step], text, context)
                for s in range(0, max(content.shape[1], 1), step)
            ]
            return Conditioned(
                *(torch.cat([getattr(p, f) for p in parts], dim=1) for f in ("masks", "boxes", "logits"))
            )
        return self._conditioned_jointly(image, content, reference, text, context, groups)

    def _conditioned(
        self, image: ImageFeatures, content: Tensor, reference: Tensor, text: Tensor, context: Context
    ) -> Conditioned:
        out = self.decoder(content, reference, image.memory, self.heads, solo=context is Context.SOLO)
        return self._answers(image, out, text, content.shape[1])

    def _conditioned_jointly(
        self,
        image: ImageFeatures,
        content: Tensor,
        reference: Tensor,
        text: Tensor,
        context: Context,
        groups: Tensor | None,
    ) -> Conditioned:
        n = content.shape[1]
        if context is Context.JOINT or groups is None:
            groups = torch.zeros(n, dtype=torch.long, device=content.device)
        selected = self.query_selection(image.memory, self.heads, text, self.logit_scale)
        blocked = attention_mask(groups, selected.content.shape[1])
        out = self.decoder(
            torch.cat((content, selected.content.detach()), dim=1),
            torch.cat((reference, selected.reference_logits.detach()), dim=1),
            image.memory,
            self.heads,
            blocked=blocked,
        )
        return self._answers(image, out, text, n)

    def _answers(self, image: ImageFeatures, out: DecoderOutput, text: Tensor, n: int) -> Conditioned:
        conditions = DecoderOutput(tuple(h[:, :n] for h in out.hidden), tuple(r[:, :n] for r in out.references))
        last = len(conditions.hidden) - 1
        boxes = layer_boxes(conditions, self.heads, last)
        found = self.heads.predict(conditions.hidden[last], boxes, text, self.logit_scale, image.memory.mask_features)
        assert found.masks is not None
        return Conditioned(found.masks, found.boxes, found.logits)

    @staticmethod
    def normalise_boxes(image: ImageFeatures, boxes: Tensor) -> Tensor:
        """xyxy network pixels -> cxcywh divided by the padded size, cut to the unpadded image first."""
        height, width = image.padded
        limit = boxes.new_tensor([[w, h, w, h] for h, w in image.sizes])[:, None]
        clamped = torch.minimum(boxes.clamp(min=0), limit)
        x0, y0, x1, y1 = clamped.unbind(-1)
        return torch.stack(
            ((x0 + x1) / (2 * width), (y0 + y1) / (2 * height), (x1 - x0) / width, (y1 - y0) / height), dim=-1
        )

    # -- step 2b: a vocabulary in, boxes and masks out -----------------------------------------------------------

    def detect(self, image: ImageFeatures, text: Tensor, *, all_layers: bool = False) -> Detection:
        """Language-guided selection, foreground and background queries, decoder (spec 5.2 - 5.7).

        Args:
            image: features of B images.
            text: [K, e] features of the vocabulary.
            all_layers: also predict from every layer (training, parity).
        """
        memory = image.memory
        selected = self.query_selection(memory, self.heads, text, self.logit_scale)
        content, reference = selected.content.detach(), selected.reference_logits.detach()
        decoded = self.decoder(content, reference, memory, self.heads)
        interm = self.heads.predict(
            selected.content, selected.reference_logits.sigmoid(), text, self.logit_scale, memory.mask_features
        )
        predictions = predict_all(
            content, decoded, self.heads, text, self.logit_scale, memory.mask_features, last_only=not all_layers
        )
        return Detection(predictions[-1], tuple(predictions[:-1]), interm, selected, decoded)

    def forward(self, pixels: Tensor, text: Tensor, **_: Any) -> Prediction:
        """Detection on normalised, padded pixels [B, 3, H, W] (no un-padding known): the last layer's predictions."""
        size = (pixels.shape[2], pixels.shape[3])
        image = self.encode_input(NetworkInput(pixels, (size,) * pixels.shape[0]))
        return self.detect(image, text).final
