"""The names of a data set as the model reads them while it trains (spec section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from app.training.data import PhotoSet
from openseed_core.model import OpenSeeD
from openseed_core.prompts import training_prompt
from openseed_core.training.objective import Words


@dataclass(frozen=True)
class NameSource:
    """Draws the vocabulary of a step: one synonym for each class.

    Attributes:
        synonyms: for each class its texts.
        things: bool [K].
        features: unit vectors of every synonym, where the text encoder isn't trained; else empty, and each step's
            texts (with a random template) are embedded with gradient.
    """

    synonyms: tuple[tuple[str, ...], ...]
    things: Tensor
    features: dict[str, Tensor]

    def draw(self, rng: np.random.Generator) -> Words:
        """The vocabulary of one step."""
        chosen = [texts[int(rng.integers(len(texts)))] for texts in self.synonyms]
        if self.features:
            return Words(self.things, torch.stack([self.features[text] for text in chosen]))
        return Words(self.things, None, tuple(training_prompt(text, rng) for text in chosen))


@torch.no_grad()
def name_source(photos: PhotoSet, model: OpenSeeD, *, frozen: bool) -> NameSource:
    """The names of a data set for a model whose text encoder is frozen, or trained with it."""
    things = torch.zeros(len(photos.names), dtype=torch.bool)
    things[list(photos.things)] = True
    features: dict[str, Tensor] = {}
    if frozen:
        texts = list(dict.fromkeys(text for group in photos.synonyms for text in group))
        features = dict(zip(texts, model.encode_text([[text] for text in texts]).cpu(), strict=True))
    return NameSource(photos.synonyms, things, features)
