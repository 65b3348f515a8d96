"""The whole objective of one step: segmentation photos, detection photos and crops, one batch of each (spec 8.1, 8.3).

A module, so that the distributed wrappers see one forward pass for each backward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from openseed_core.conditioning import Context
from openseed_core.model import ImageFeatures, OpenSeeD
from openseed_core.training.conditioned import ConditionedBatch, Objective, conditioned_loss, encoded
from openseed_core.training.criterion import Criterion
from openseed_core.training.dense import Teacher
from openseed_core.training.joint import assisted, predict_sets
from openseed_core.training.matching import Split, Weights
from openseed_core.training.points import random_points
from openseed_core.training.targets import Targets


@dataclass(frozen=True)
class Words:
    """The vocabulary of a batch.

    Attributes:
        features: [K, e], where the text encoder isn't trained; or
        prompts: K texts, embedded with gradient (one template drawn for each class and step).
        things: bool [K].
    """

    things: Tensor
    features: Tensor | None = None
    prompts: tuple[str, ...] = ()


@dataclass(frozen=True)
class PhotoBatch:
    """B whole photos.

    Attributes:
        pixels: float32 [B, 3, H, W], normalised and padded.
        targets: B targets.
        words: what the labels index.
        masked: the targets' masks are annotations (mask losses count); else boxes only.
    """

    pixels: Tensor
    targets: tuple[Targets, ...]
    words: Words
    masked: bool


@dataclass(frozen=True)
class StepBatch:
    """What one step learns from; each part may be missing.

    Attributes:
        step: its number, for the warm-up switches.
        seed: of the step's random numbers.
        crops: box-conditioned crops, with ``crop_text`` [K + 1, e], last row "object".
        segmentation, detection: whole photos.
    """

    step: int
    seed: int
    crops: ConditionedBatch | None = None
    crop_text: Tensor | None = None
    segmentation: PhotoBatch | None = None
    detection: PhotoBatch | None = None

    def __len__(self) -> int:
        """Pictures in the batch."""
        parts = [b.pixels for b in (self.crops, self.segmentation, self.detection) if b is not None]
        return sum(len(p) for p in parts)


@dataclass(frozen=True)
class JointSettings:
    """The joint objective.

    Attributes:
        weights: of the loss terms (spec 8.3).
        budget: denoising queries of a photo at most, 0 = none; noise: share of the box by which they move.
        decoupled: things are matched with foreground queries and stuff with background queries (models that have them).
        online_from: step from which masks of the conditioned decoder help to match detection data; -1 = never.
        assistance_context: what those conditions see of each other.
        segmentation, detection, crops: weights of the three parts.
        dense: weight of what a detector teaches query selection on all pictures, those of photos whose part has the
            weight 0 too; 0 = nothing.
    """

    weights: Weights = field(default_factory=Weights)
    budget: int = 100
    noise: float = 0.4
    decoupled: bool = True
    online_from: int = -1
    assistance_context: str = "joint"
    segmentation: float = 1.0
    detection: float = 1.0
    crops: float = 1.0
    dense: float = 0.0


class JointObjective(nn.Module):
    """Model and losses: ``forward`` gives the weighted losses of a step, ``total`` among them.

    Args:
        teacher: a detector for ``settings.dense``.
    """

    def __init__(
        self, model: OpenSeeD, settings: JointSettings, conditioned: Objective, teacher: Teacher | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.settings = settings
        self.conditioned = conditioned
        self.teacher = teacher

    def forward(self, batch: StepBatch) -> dict[str, Tensor]:
        """Losses by part and kind (``segmentation/mask_bce``, ...), weighted, and ``total``."""
        generator = torch.Generator().manual_seed(batch.seed)
        found: dict[str, Tensor] = {}
        if batch.crops is not None:
            assert batch.crop_text is not None
            image = encoded(self.model, batch.crops.pixels)
            losses = conditioned_loss(
                self.model, batch.crops, batch.crop_text, self.conditioned, generator, image=image
            )
            del losses["total"]
            found |= self._dense("crops", image, batch.crops.pixels)
            found |= {f"crops/{name}": self.settings.crops * value for name, value in losses.items()}
        for part, photos in (("segmentation", batch.segmentation), ("detection", batch.detection)):
            if photos is not None:
                weight: float = getattr(self.settings, part)
                image = encoded(self.model, photos.pixels)
                found |= self._dense(part, image, photos.pixels)
                if weight:
                    summed = self._photos(photos, image, batch.step, generator)
                    found |= {f"{part}/{name}": weight * value for name, value in summed.items()}
        found["total"] = torch.stack(list(found.values())).sum()
        return found

    def _dense(self, part: str, image: ImageFeatures, pixels: Tensor) -> dict[str, Tensor]:
        if self.teacher is None or not self.settings.dense:
            return {}
        return {f"{part}/dense": self.settings.dense * self.teacher.loss(self.model, image.memory, pixels)}

    def _photos(
        self, photos: PhotoBatch, image: ImageFeatures, step: int, generator: torch.Generator
    ) -> dict[str, Tensor]:
        model, settings = self.model, self.settings
        text = photos.words.features
        if text is None:
            text = model.text_encoder.encode_texts(photos.words.prompts)
        device = photos.pixels.device
        online = not photos.masked and 0 <= settings.online_from <= step
        targets = photos.targets
        if online:
            context = Context(settings.assistance_context)
            targets = tuple(assisted(model, image, text, targets, context=context))
        # the decoder's iterative refinement needs fp32 (spec 7.6)
        with torch.autocast(device_type=device.type, enabled=False):
            sets = predict_sets(
                model,
                image,
                text.float(),
                targets,
                draw=lambda rows: torch.rand((rows, 4), generator=generator).to(device),
                detection=not photos.masked,
                masks=photos.masked or online,
                budget=settings.budget,
                noise=settings.noise,
            )
            split = None
            if photos.masked and settings.decoupled and model.config.decoupled:
                foreground = sets.final.logits.shape[1] - model.config.background_queries
                split = Split(foreground, photos.words.things)
            criterion = Criterion(
                settings.weights, masks=photos.masked, masks_in_cost=photos.masked or online, split=split
            )
            points = random_points(model.config.train_points, generator, device)
            losses = criterion(sets, targets, points)
        return by_kind(losses, criterion)


def by_kind(losses: Mapping[str, Tensor], criterion: Criterion) -> dict[str, Tensor]:
    """Weighted losses summed over layers: ``class``, ``mask``, ``box``, and the same for denoising with ``_dn``."""
    summed: dict[str, Tensor] = {}
    for name, value in losses.items():
        kind = "class" if "cls" in name else "mask" if "mask" in name else "box"
        key = kind + ("_dn" if name.endswith("_dn") else "")
        weighted = criterion.total({name: value})
        summed[key] = summed[key] + weighted if key in summed else weighted
    return summed


def to_device(batch: StepBatch, device: torch.device) -> StepBatch:
    """The batch on the device of the model."""
    if device.type == "cpu":
        return batch
    crops = batch.crops
    if crops is not None:
        crops = ConditionedBatch(**{k: v.to(device, non_blocking=True) for k, v in vars(crops).items()})
    text = batch.crop_text.to(device) if batch.crop_text is not None else None
    return replace(
        batch,
        crops=crops,
        crop_text=text,
        segmentation=_photos_to(batch.segmentation, device),
        detection=_photos_to(batch.detection, device),
    )


def _photos_to(photos: PhotoBatch | None, device: torch.device) -> PhotoBatch | None:
    if photos is None:
        return None
    words = photos.words
    features = words.features.to(device) if words.features is not None else None
    return replace(
        photos,
        pixels=photos.pixels.to(device, non_blocking=True),
        targets=tuple(t.to(device) for t in photos.targets),
        words=replace(words, things=words.things.to(device), features=features),
    )
