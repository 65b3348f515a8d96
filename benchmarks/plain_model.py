"""The model run the plain way that the method describes: the yardstick of ``model_speed`` and of tests.

All matching queries run beside the conditions (joint context), deformable attention is one ``grid_sample`` a level,
windows are attended with timm's unfused attention on whole maps, and the masks of all queries are enlarged to the
photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor

from openseed_core.conditioning import attention_mask, condition_queries
from openseed_core.decoder import layer_boxes
from openseed_core.heads import Prediction
from openseed_core.model import ImageFeatures, OpenSeeD

FAST_LAYERS = ("backbones.swin", "pixel_decoder", "decoder")
AT_ONCE = 40  # masks enlarged together, to spare memory; all together was no faster


@contextmanager
def plain_layers() -> Iterator[None]:
    """Inside, all layers take the way that training takes."""
    with ExitStack() as stack:
        for module in FAST_LAYERS:
            stack.enter_context(patch(f"openseed_core.{module}.cpu_path", lambda x: False))
        yield


def decode(model: OpenSeeD, image: ImageFeatures, boxes: Tensor, text: Tensor, labels: Tensor) -> Prediction:
    """The last layer's predictions: the conditions [1, N] first, then all matching queries."""
    content, reference = condition_queries(model.heads, text, labels, model.normalise_boxes(image, boxes))
    selected = model.query_selection(image.memory, model.heads, text, model.logit_scale)
    blocked = attention_mask(torch.zeros(boxes.shape[1], dtype=torch.long), selected.content.shape[1])
    out = model.decoder(
        torch.cat((content, selected.content), dim=1),
        torch.cat((reference, selected.reference_logits), dim=1),
        image.memory,
        model.heads,
        blocked=blocked,
    )
    last = len(out.hidden) - 1
    places = layer_boxes(out, model.heads, last)
    return model.heads.predict(out.hidden[last], places, text, model.logit_scale, image.memory.mask_features)


def enlarge(masks: Tensor, image: ImageFeatures, output: tuple[int, int]) -> Iterator[Tensor]:
    """Mask logits [N, h, w] -> bool masks at photo size, some at a time: bilinear, cut, antialiased bicubic."""
    height, width = image.sizes[0]
    for part in masks.split(AT_ONCE):
        large = F.interpolate(part[None], size=image.padded, mode="bilinear", align_corners=False)
        cut = large[..., :height, :width]
        photo = F.interpolate(cut, size=output, mode="bicubic", align_corners=False, antialias=True)
        yield photo[0] > 0
