"""The size at which a suite shows photos to the model."""

from __future__ import annotations

from app.evaluation.suites.suite import Resize
from labelers.protocol import Labeler

OFFICIAL_SHORT_SIDE = 800
"""Of models that were trained like the released ones; others (``nano``) know photos of their own size only."""


def resize_as(labeler: Labeler, resize: Resize) -> str:
    """Let a model that was trained like the released ones use the suite's rule. Returns a line on what is used."""
    from labelers.conditioned import ConditionedLabeler

    if not isinstance(labeler, ConditionedLabeler):
        return f"photos as they are (published rows: {resize})"
    config = labeler.model.config
    if config.image_short_side != OFFICIAL_SHORT_SIDE:
        own = Resize(config.image_short_side, config.image_long_side)
        return f"photos resized as {labeler.spec.name} was trained: {own} (published rows: {resize})"
    config.image_short_side, config.image_long_side = resize.short, resize.long
    used = Resize(resize.short, resize.long)
    return f"photos resized: {used}" + (f" (published rows: {resize})" if resize.bicubic else "")
