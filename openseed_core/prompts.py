"""Prompt templates and the cleaning of class names (spec section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def evaluation_name(name: str) -> str:
    """The name as evaluation prompts use it: the dataset suffixes are cut, ``floor-wood`` stays."""
    for suffix in ("-other", "-merged", "-stuff"):
        name = name.replace(suffix, "")
    return name


def evaluation_prompts(name: str, templates: Sequence[str] | None = None) -> list[str]:
    """``name``, cleaned, in each template; all 81 when ``templates`` is None."""
    cleaned = evaluation_name(name)
    return [template.format(cleaned) for template in (TEMPLATES if templates is None else templates)]


def training_prompt(name: str, random: np.random.Generator) -> str:
    """``name`` in one template drawn uniformly, drawn anew for each class and step."""
    cleaned = evaluation_name(name).replace(",", "").replace("+", " ")
    return TEMPLATES[random.integers(len(TEMPLATES))].format(cleaned)


def coco_training_name(name: str) -> str:
    """COCO panoptic names while training: suffixes cut, then ``floor-wood`` reads ``wood floor``."""
    for suffix in ("-merged", "-other", "-stuff"):
        name = name.replace(suffix, "")
    return " ".join(reversed(name.split("-")))


def objects365_synonyms(name: str) -> list[str]:
    """Objects365 names while training: lower-cased, split at ``/``; one is drawn for each class and step."""
    return [part.strip() for part in name.lower().split("/")]


BARE_NAME: tuple[str, ...] = ("{}",)

TEMPLATES: tuple[str, ...] = (
    "{}.",
    "a photo of a {}.",
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
