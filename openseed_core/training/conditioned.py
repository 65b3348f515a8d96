"""The conditioned objective: text content + noised box -> mask, class and box (spec 8.3 - 8.4), in solo context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from openseed_core.conditioning import condition_queries, noised
from openseed_core.decoder import predict_all
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.preprocess import NetworkInput
from openseed_core.training.losses import box_losses, mask_losses, sample_points, sigmoid_focal, window_points
from openseed_core.training.samples import Sample


@dataclass(frozen=True)
class ConditionedBatch:
    """B crops with up to N conditions each.

    Attributes:
        pixels: float32 [B, 3, S, S], normalised.
        boxes: [B, N, 4] cxcywh normalised; labels: int64 [B, N]; used: bool [B, N].
        masks: float32 [M, S/2, S/2], the masks of the M used slots in row-major order of ``used``.
    """

    pixels: Tensor
    boxes: Tensor
    labels: Tensor
    used: Tensor
    masks: Tensor


@dataclass(frozen=True)
class Objective:
    """Weights and noise of the conditioned objective.

    Attributes:
        mask_bce, mask_dice, classes, l1, giou: loss weights.
        noise: largest share of the spec's box noise (0.4 there).
        accurate: share of boxes that get a tenth of it, as most boxes of a data set are good.
        name_dropout: share of conditions whose content is the text "object" instead of the name.
        points: side of the grid of mask points; margin: how far it reaches beyond the box.
    """

    mask_bce: float = 5.0
    mask_dice: float = 5.0
    classes: float = 0.05
    l1: float = 5.0
    giou: float = 2.0
    noise: float = 0.2
    accurate: float = 0.7
    name_dropout: float = 0.2
    points: int = 40
    margin: float = 0.15


def collate(samples: Sequence[Sample], *, mean: Sequence[float], std: Sequence[float]) -> ConditionedBatch:
    """Stack crops; padding of the photos is zero after normalisation."""
    side = samples[0].image.shape[0]
    most = max(len(s.labels) for s in samples)
    pixels = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2).float()
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    boxes = torch.full((len(samples), most, 4), 0.5)
    labels = torch.zeros(len(samples), most, dtype=torch.long)
    used = torch.zeros(len(samples), most, dtype=torch.bool)
    for i, s in enumerate(samples):
        n = len(s.labels)
        pixels[i, :, s.size[0] :] = 0
        pixels[i, :, :, s.size[1] :] = 0
        x0, y0, x1, y1 = (torch.from_numpy(s.boxes) / side).unbind(-1)
        boxes[i, :n] = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), dim=-1)
        labels[i, :n] = torch.from_numpy(s.labels)
        used[i, :n] = True
    masks = torch.from_numpy(np.concatenate([s.masks for s in samples])).float() / 255
    return ConditionedBatch(pixels, boxes, labels, used, masks)


def encoded(model: OpenSeeD, pixels: Tensor) -> ImageFeatures:
    """Features, with gradient, of square inputs [B, 3, S, S] without padding of their own."""
    size = (pixels.shape[2], pixels.shape[3])
    return model.encode_input(NetworkInput(pixels, (size,) * len(pixels)))


def conditioned_loss(
    model: OpenSeeD,
    batch: ConditionedBatch,
    text: Tensor,
    objective: Objective,
    generator: torch.Generator,
    *,
    image: ImageFeatures | None = None,
) -> dict[str, Tensor]:
    """Weighted losses of every layer, summed per kind; ``total`` is their sum.

    Args:
        text: [K + 1, e]; the last row is the text "object", the stand-in for dropped names.
        image: features of the batch's pixels, where they are there already.
    """
    device = batch.pixels.device
    image = encoded(model, batch.pixels) if image is None else image
    shape = batch.labels.shape
    draws = torch.rand((*shape, 6), generator=generator).to(device)
    scale = objective.noise * torch.where(draws[..., 4:5] < objective.accurate, 0.1, draws[..., 4:5])
    boxes = noised(batch.boxes, (draws[..., :4] * 2 - 1) * scale, 1.0)
    content_labels = torch.where(draws[..., 5] < objective.name_dropout, len(text) - 1, batch.labels)
    content, reference = condition_queries(model.heads, text, content_labels, boxes, batch.used)
    out = model.decoder(content, reference, image.memory, model.heads, solo=True)
    predictions = predict_all(
        content, out, model.heads, text[:-1], model.logit_scale, image.memory.mask_features, masks=True
    )
    count = max(int(batch.used.sum()), 1)
    truth = batch.boxes[batch.used]
    jitter = torch.rand((len(truth), objective.points**2, 2), generator=generator).to(device)
    points = window_points(truth, objective.points, margin=objective.margin, jitter=jitter)
    targets = sample_points(batch.masks, points)
    one_hot = torch.zeros(len(truth), len(text) - 1, device=device)
    one_hot[torch.arange(len(truth)), batch.labels[batch.used]] = 1
    totals: dict[str, Tensor] = {}
    for prediction in predictions:
        assert prediction.masks is not None
        bce, dice = mask_losses(sample_points(prediction.masks[batch.used], points), targets)
        l1, giou = box_losses(prediction.boxes[batch.used], truth)
        focal = sigmoid_focal(prediction.logits[batch.used], one_hot).sum()
        weighted = {
            "mask_bce": objective.mask_bce * bce,
            "mask_dice": objective.mask_dice * dice,
            "bbox": objective.l1 * l1,
            "giou": objective.giou * giou,
            "class": objective.classes * focal,
        }
        for name, value in weighted.items():
            totals[name] = totals.get(name, torch.zeros((), device=device)) + value / count
    totals["total"] = torch.stack(list(totals.values())).sum()
    return totals
