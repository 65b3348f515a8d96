"""The losses of every prediction set (spec 8.3; the paper's L_all)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from openseed_core.heads import Prediction
from openseed_core.training.losses import box_losses, mask_losses, sample_points, sigmoid_focal, xyxy
from openseed_core.training.matching import Matches, Split, Weights, match
from openseed_core.training.points import Points
from openseed_core.training.targets import Targets, object_count

MOSTLY = 0.5
"""A prediction is excused if more than this share of its box lies in an ignored region."""

KINDS = ("mask_cls", "mask_bce", "mask_dice", "bbox", "giou")


@dataclass(frozen=True)
class Sets:
    """All predictions of one batch.

    Attributes:
        final: of the last layer; aux: 0..L-1 (0 = initial contents); interm: of the selected tokens.
        denoised: the same sets for the denoising slots, final first, then aux; empty without denoising.
        used: bool [B, S], the slots that hold a target; groups, matches: see ``Denoising``.
    """

    final: Prediction
    aux: Sequence[Prediction]
    interm: Prediction
    denoised: Sequence[Prediction] = ()
    used: Tensor | None = None
    groups: int = 0
    matches: Sequence[tuple[Tensor, Tensor]] = ()


@dataclass(frozen=True)
class Criterion:
    """How predictions are judged.

    Attributes:
        weights: of the terms.
        masks: mask losses count (segmentation batches); False leaves class and box (detection batches).
        masks_in_cost: masks count in the matching; True with ``masks`` False is online mask assistance.
        split: keep foreground and background queries apart in the matching; None for plain models and detection.
    """

    weights: Weights = field(default_factory=Weights)
    masks: bool = True
    masks_in_cost: bool = True
    split: Split | None = None

    def __call__(self, sets: Sets, targets: Sequence[Targets], points: Points) -> dict[str, Tensor]:
        """Unweighted losses by their names in the reference: ``loss_bbox_0``, ``loss_giou_3_dn``, ...

        Suffix ``_0`` is the final prediction, ``_{i+1}`` aux i, ``_0_interm`` the selected tokens; ``_dn`` denoising.
        """
        count = object_count(targets, sets.final.logits.device)
        losses: dict[str, Tensor] = {}
        for i, prediction in enumerate((sets.final, *sets.aux)):
            losses |= self._set(prediction, targets, count, points, f"_{i}")
            denoised = sets.denoised[i] if sets.denoised else None
            losses |= self._denoised(denoised, sets, targets, count, points, f"_{i}_dn")
        return losses | self._set(sets.interm, targets, count, points, "_0_interm")

    def matches(self, prediction: Prediction, targets: Sequence[Targets], points: Points) -> Matches:
        """The assignment for one prediction set; draws one point set for each photo."""
        chosen = [points.matching(1, points.count) if self.masks_in_cost else None for _ in targets]
        return match(prediction, targets, weights=self.weights, points=chosen, split=self.split)

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Weighted sum."""
        return torch.stack([weight_of(name, self.weights) * value for name, value in losses.items()]).sum()

    def _set(
        self, prediction: Prediction, targets: Sequence[Targets], count: Tensor, points: Points, suffix: str
    ) -> dict[str, Tensor]:
        pairs = self.matches(prediction, targets, points)
        focal = focal_of(prediction, targets, pairs)
        losses = {f"loss_mask_cls{suffix}": focal.sum() / count}
        return losses | self._paired(prediction, targets, pairs, count, points, suffix)

    def _denoised(
        self,
        prediction: Prediction | None,
        sets: Sets,
        targets: Sequence[Targets],
        count: Tensor,
        points: Points,
        suffix: str,
    ) -> dict[str, Tensor]:
        if prediction is None:
            kinds = KINDS if self.masks else ("mask_cls", "bbox", "giou")
            zero = sets.final.logits.new_zeros(())
            return {f"loss_{kind}{suffix}": zero for kind in kinds}
        assert sets.used is not None
        copies = count * sets.groups
        focal = focal_of(prediction, targets, sets.matches)[sets.used]
        # mean over classes, times the number of slots: an odd scale, but the released weights were trained with it
        losses = {f"loss_mask_cls{suffix}": focal.mean(1).sum() * sets.used.shape[1] / copies}
        return losses | self._paired(prediction, targets, sets.matches, copies, points, suffix)

    def _paired(
        self,
        prediction: Prediction,
        targets: Sequence[Targets],
        pairs: Sequence[tuple[Tensor, Tensor]],
        count: Tensor,
        points: Points,
        suffix: str,
    ) -> dict[str, Tensor]:
        """Box and mask losses of the matched pairs, in the order of photos and then of queries."""
        device = prediction.logits.device
        photo = torch.cat([torch.full((len(q),), b, device=device) for b, (q, _) in enumerate(pairs)])
        query = torch.cat([q for q, _ in pairs])
        wanted = torch.cat([t.boxes[k] for t, (_, k) in zip(targets, pairs, strict=True)])
        l1, giou = box_losses(prediction.boxes[photo, query].float(), wanted)
        losses = {f"loss_bbox{suffix}": l1 / count, f"loss_giou{suffix}": giou / count}
        if not self.masks:
            return losses
        assert prediction.masks is not None
        logits = prediction.masks[photo, query].float()
        if not len(logits):  # keeps the graph whole, so that every process of a run has the same gradients
            bce = dice = prediction.masks.sum() * 0
        else:
            places = points.losses(logits.detach(), points.count)
            sizes = [len(query) for query, _ in pairs]
            wanted_masks = [
                _at(_masks(target), index, part)
                for target, (_, index), part in zip(targets, pairs, torch.split(places, sizes), strict=True)
                if len(index)
            ]
            bce, dice = mask_losses(sample_points(logits, places), torch.cat(wanted_masks))
        return losses | {f"loss_mask_bce{suffix}": bce / count, f"loss_mask_dice{suffix}": dice / count}


def _masks(target: Targets) -> Tensor:
    if target.masks is None:
        raise ValueError("a segmentation target has no masks; give masks, or judge the batch as detection data")
    return target.masks


def _at(masks: Tensor, index: Tensor, places: Tensor) -> Tensor:
    """Values of mask ``index[i]`` at ``places[i]``: [n, H, W], [m], [m, P, 2] -> [m, P].

    Every target has the same number of pairs (one, or one for each denoising group), so its points are sampled
    together, without a copy of the mask for each pair.
    """
    if len(index) % len(masks):  # fewer queries than targets
        return sample_points(masks[index], places)
    copies = len(index) // len(masks)
    order = index.argsort(stable=True)
    grouped = places[order].view(len(masks), copies * places.shape[1], 2)
    return sample_points(masks, grouped).view(len(index), -1)[order.argsort()]


def focal_of(prediction: Prediction, targets: Sequence[Targets], pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Focal loss [B, Q, K] against the matched classes; nothing where an unmatched query isn't known to be wrong."""
    logits = prediction.logits
    one_hot = torch.zeros_like(logits, dtype=torch.float32)
    known = torch.ones_like(one_hot, dtype=torch.bool)
    for b, (target, (query, index)) in enumerate(zip(targets, pairs, strict=True)):
        if target.annotated is not None:
            known[b] = target.annotated
        if target.ignored is not None:
            known[b] &= (share_inside(prediction.boxes[b].detach(), target.ignored) <= MOSTLY)[:, None]
        known[b, query] = True
        one_hot[b, query, target.labels[index]] = 1
    return sigmoid_focal(logits.float(), one_hot) * known


def share_inside(boxes: Tensor, region: Tensor) -> Tensor:
    """How much of each box lies in a region: cxcywh [Q, 4] normalised, 0/1 [H, W] -> [Q] in [0, 1]."""
    height, width = region.shape
    size = boxes.new_tensor([width, height, width, height])
    corners = (xyxy(boxes.float()) * size).round().long()
    x0, y0, x1, y1 = (corners[:, k].clamp(0, (width, height)[k % 2]) for k in range(4))
    sums = torch.nn.functional.pad(region.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return (inside / ((x1 - x0) * (y1 - y0)).clamp(min=1)).float()


def weight_of(name: str, weights: Weights) -> float:
    """The weight of a loss by its name."""
    kind = next(k for k in KINDS if name.startswith(f"loss_{k}_"))
    return {
        "mask_cls": weights.classes,
        "mask_bce": weights.mask_bce,
        "mask_dice": weights.mask_dice,
        "bbox": weights.l1,
        "giou": weights.giou,
    }[kind]
