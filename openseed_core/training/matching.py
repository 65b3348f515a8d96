"""Which query answers for which target: Hungarian matching (spec 8.5; the paper's two matchings, its Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from openseed_core.heads import Prediction
from openseed_core.training.losses import sample_points, xyxy
from openseed_core.training.targets import Targets

FORBIDDEN = 1e4  # cost of a pair that the foreground/background split rules out
EPS = 1e-6


@dataclass(frozen=True)
class Weights:
    """Weights of the terms, the same in the matching cost and in the loss (spec 8.3)."""

    classes: float = 4.0
    mask_bce: float = 5.0
    mask_dice: float = 5.0
    l1: float = 5.0
    giou: float = 2.0


@dataclass(frozen=True)
class Split:
    """Foreground queries match things, background queries stuff; for segmentation batches of a decoupled model.

    Attributes:
        foreground: number of foreground queries; those after them are background.
        things: bool [K], classes of the vocabulary with countable objects.
    """

    foreground: int
    things: Tensor


# For each photo: query indices ascending, and the target of each; int64 [n] both.
Matches = list[tuple[Tensor, Tensor]]


@torch.no_grad()
def match(
    prediction: Prediction,
    targets: Sequence[Targets],
    *,
    weights: Weights,
    points: Sequence[Tensor | None],
    split: Split | None = None,
) -> Matches:
    """The cheapest one-to-one assignment of each photo.

    Args:
        prediction: B photos, Q queries.
        targets: B targets; mask terms count for those with masks, if the prediction has masks too.
        points: for each photo [1, P, 2] normalised (x, y) where masks are compared, None where they aren't.
        split: keep foreground and background apart.
    """
    found: Matches = []
    for b, target in enumerate(targets):
        if not len(target):
            empty = torch.zeros(0, dtype=torch.long, device=prediction.logits.device)
            found.append((empty, empty))
            continue
        cost = pair_costs(prediction, b, target, weights=weights, points=points[b])
        if split is not None:
            wants_foreground = split.things[target.labels]
            is_foreground = torch.arange(cost.shape[0], device=cost.device) < split.foreground
            cost = cost.masked_fill(is_foreground[:, None] != wants_foreground[None], FORBIDDEN)
        rows, columns = linear_sum_assignment(cost.cpu().numpy())
        device = cost.device
        found.append((torch.as_tensor(rows, device=device), torch.as_tensor(columns, device=device)))
    return found


def pair_costs(prediction: Prediction, b: int, target: Targets, *, weights: Weights, points: Tensor | None) -> Tensor:
    """Cost of every (query, target) pair of photo ``b``: float32 [Q, n]."""
    boxes = prediction.boxes[b].float()
    cost = weights.classes * class_cost(prediction.logits[b].float(), target.labels)
    cost = cost + weights.l1 * torch.cdist(boxes, target.boxes, p=1)
    cost = cost - weights.giou * pairwise_giou(xyxy(boxes), xyxy(target.boxes))
    if points is not None and prediction.masks is not None and target.masks is not None:
        predicted = sample_points(prediction.masks[b].float(), points.expand(boxes.shape[0], -1, -1))
        wanted = sample_points(target.masks.float(), points.expand(len(target), -1, -1))
        bce, dice = mask_costs(predicted, wanted)
        cost = cost + weights.mask_bce * bce + weights.mask_dice * dice
    # a diverging model must end in the loop's message about the loss, not in one about the assignment
    return torch.nan_to_num(cost, nan=FORBIDDEN, posinf=FORBIDDEN, neginf=-FORBIDDEN)


def class_cost(logits: Tensor, labels: Tensor) -> Tensor:
    """Focal cost of giving each query the class of each target: [Q, K], [n] -> [Q, n]."""
    p = logits[:, labels].sigmoid()
    positive = 0.25 * (1 - p) ** 2 * -(p + 1e-6).log()
    negative = 0.75 * p**2 * -(1 - p + 1e-6).log()
    return positive - negative


def pairwise_giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU of all pairs: xyxy [Q, 4] x [n, 4] -> [Q, n]."""
    area_a, area_b = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    low, high = a[:, None], b[None]
    inner = (torch.minimum(low[..., 2:], high[..., 2:]) - torch.maximum(low[..., :2], high[..., :2])).clamp(min=0)
    hull = (torch.maximum(low[..., 2:], high[..., 2:]) - torch.minimum(low[..., :2], high[..., :2])).clamp(min=0)
    inter, outer = inner.prod(-1), hull.prod(-1)
    union = area_a[:, None] + area_b[None] - inter
    return inter / (union + EPS) - (outer - union) / (outer + EPS)


def mask_costs(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(BCE, dice) of all pairs at P points: [Q, P] logits x [n, P] in 0..1 -> two [Q, n]."""
    bce = (F.softplus(-logits) @ wanted.t() + F.softplus(logits) @ (1 - wanted).t()) / logits.shape[1]
    probability = logits.sigmoid()
    sums = probability.sum(1)[:, None] + wanted.sum(1)[None]
    return bce, 1 - (2 * probability @ wanted.t() + 1) / (sums + 1)
