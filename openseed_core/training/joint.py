"""One training pass over photos: matching and denoising queries through the same decoder (spec 8.3 - 8.6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from openseed_core.conditioning import Context
from openseed_core.decoder import DecoderOutput, predict_all
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.training.criterion import Sets
from openseed_core.training.denoising import denoising
from openseed_core.training.losses import xyxy
from openseed_core.training.targets import Targets

Assistance = Literal["off", "online"]


def predict_sets(
    model: OpenSeeD,
    image: ImageFeatures,
    text: Tensor,
    targets: Sequence[Targets],
    *,
    draw: Callable[[int], Tensor],
    detection: bool,
    masks: bool = True,
    budget: int = 100,
    noise: float = 0.4,
) -> Sets:
    """All prediction sets of a batch.

    Args:
        image: features of B photos, with gradient.
        text: [K, e] of the step's vocabulary.
        targets: B targets; their boxes become denoising queries.
        draw: uniform numbers of the denoising noise (see ``denoising``).
        detection: boxes-only data: background queries take part in self-attention, but are not judged (spec 8.6).
        masks: predict masks; detection batches need them for mask assistance only.
        budget: denoising queries of a photo at most, 0 = no denoising; noise: see ``denoising``.
    """
    memory, heads, scale = image.memory, model.heads, model.logit_scale
    selected = model.query_selection(memory, heads, text, scale)
    content, reference = selected.content.detach(), selected.reference_logits.detach()
    matching = content.shape[1]
    extra = denoising(heads, text, targets, draw, budget=budget, noise=noise) if budget else None
    blocked = None
    if extra is not None:
        content = torch.cat((extra.content, content), dim=1)
        reference = torch.cat((extra.reference, reference), dim=1)
        blocked = extra.blocked(matching)
    slots = extra.slots if extra is not None else 0
    kept = slots + (selected.index.shape[1] if detection else matching)
    decoded = model.decoder(content, reference, memory, heads, blocked=blocked)
    decoded = DecoderOutput(tuple(h[:, :kept] for h in decoded.hidden), tuple(r[:, :kept] for r in decoded.references))
    found = predict_all(content[:, :kept], decoded, heads, text, scale, memory.mask_features, masks=masks)
    interm = heads.predict(
        selected.content,
        selected.reference_logits.sigmoid(),
        text,
        scale,
        memory.mask_features if masks else None,
    )
    final, *aux = [found[-1], *found[:-1]]
    if extra is None:
        return Sets(final, aux, interm)
    return Sets(
        final.rows(slots),
        [p.rows(slots) for p in aux],
        interm,
        [p.rows(0, slots) for p in (final, *aux)],
        extra.used,
        extra.groups,
        extra.matches,
    )


@torch.no_grad()
def assisted(
    model: OpenSeeD,
    image: ImageFeatures,
    text: Tensor,
    targets: Sequence[Targets],
    *,
    context: Context = Context.JOINT,
) -> list[Targets]:
    """Online mask assistance: targets with the masks that the model gives their boxes and names now (spec 6).

    No noise, no gradient, cut at probability 0.5, at mask resolution. For the matching cost only.
    """
    height, width = image.padded
    assisted_targets: list[Targets] = []
    for b, target in enumerate(targets):
        if not len(target):
            assisted_targets.append(target.with_masks(target.boxes.new_zeros(0, 1, 1)))
            continue
        pixels = xyxy(target.boxes) * target.boxes.new_tensor([width, height, width, height])
        found = model.masks_for_boxes(image.image(b), pixels[None], text, target.labels[None], context=context)
        assisted_targets.append(target.with_masks((found.masks[0] > 0).float()))
    return assisted_targets
