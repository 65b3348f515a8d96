"""Losses of spec 8.3: sigmoid focal, L1 + GIoU, and point-sampled mask losses."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Elementwise focal loss; ``targets`` are 0/1 of the same shape."""
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p_t = probability * targets + (1 - probability) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * cross_entropy * (1 - p_t) ** gamma


def quality_focal(logits: Tensor, wanted: Tensor) -> Tensor:
    """Quality focal loss, summed: cross entropy with probabilities, weighed by the squared distance to them.

    Args:
        logits, wanted: of one shape; ``wanted`` are probabilities.

    Source: Generalized Focal Loss (Li et al., 2020), with beta = 2.
    """
    far = (logits.sigmoid() - wanted).detach().square()
    return (far * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")).sum()


def xyxy(boxes: Tensor) -> Tensor:
    """cxcywh [..., 4] -> xyxy."""
    cx, cy, w, h = boxes.unbind(-1)
    return torch.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), dim=-1)


def paired_giou(a: Tensor, b: Tensor, eps: float = 1e-6) -> Tensor:
    """Generalised IoU of row k with row k: xyxy [N, 4] x [N, 4] -> [N]."""
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    union = area_a + area_b - inner
    return inner / (union + eps) - (hull - union) / (hull + eps)


def box_losses(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(Σ L1, Σ (1 - GIoU)) of paired cxcywh boxes [N, 4]."""
    return (predicted - target).abs().sum(), (1 - paired_giou(xyxy(predicted), xyxy(target))).sum()


def mask_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """(Σ mean BCE, Σ dice) over N masks at P points each: logits and targets [N, P]; targets may be soft."""
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1).sum()
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum(dim=1)
    dice = 1 - (overlap + 1) / (probability.sum(dim=1) + targets.sum(dim=1) + 1)
    return bce, dice.sum()


def sample_points(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of N maps [N, h, w] at N x P normalised (x, y) points: [N, P]."""
    sampled = F.grid_sample(maps[:, None], points[:, None] * 2 - 1, mode="bilinear", align_corners=False)
    return sampled[:, 0, 0]


def window_points(boxes: Tensor, side: int, *, margin: float, jitter: Tensor) -> Tensor:
    """A jittered grid of points over each box grown by ``margin`` of its size on every side.

    Masks leave the labeling engine only inside such a window, so this is where accuracy counts; and a small
    object gets as many points as a large one.

    Args:
        boxes: [N, 4] cxcywh, normalised.
        side: points along each axis.
        jitter: [N, side * side, 2] from U(0, 1), the place inside each grid cell.

    Returns:
        [N, side * side, 2] normalised (x, y), kept inside the image.
    """
    steps = torch.arange(side, device=boxes.device, dtype=boxes.dtype)
    grid_y, grid_x = torch.meshgrid(steps, steps, indexing="ij")
    cells = torch.stack((grid_x, grid_y), dim=-1).view(1, -1, 2)
    unit = (cells + jitter) / side - 0.5
    size = boxes[:, None, 2:] * (1 + 2 * margin)
    return (boxes[:, None, :2] + unit * size).clamp(0, 1)
