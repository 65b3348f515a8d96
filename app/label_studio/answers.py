"""From masks to what Label Studio takes: regions, the score of a task, the version of all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from app.label_studio.config import MASK_KINDS, Kind, LabelConfig, MaskKind
from app.label_studio.prompts import Prompt
from app.label_studio.settings import Answering
from app.version import version
from exporters.label_studio import TAGS
from exporters.label_studio_regions import regions_of
from labelers.records import RLE


@dataclass(frozen=True)
class Answer:
    """What is known of one task, or of one click.

    Attributes:
        regions: as Label Studio takes them.
        scores: one for each mask.
        problems: what could not be done, one sentence each.
        failed: the photo could not be had, or all broke: nothing is known, as opposed to nothing was found.
        asked: there was a box to fill or a model that finds objects by itself.
    """

    regions: list[dict[str, Any]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failed: bool = False
    asked: bool = True

    @property
    def bytes(self) -> int:
        """About what it takes in memory: small integers are shared, so a list has 8 bytes for each."""
        return 200 + sum(8 * len(region["value"].get("rle", ())) + 2000 for region in self.regions)

    def add(self, regions: list[dict[str, Any]] | str, score: float) -> None:
        """Add the regions of one mask, or the problem that there is instead."""
        if isinstance(regions, str):
            self.problems.append(regions)
        else:
            self.regions.extend(regions)
            self.scores.append(score)

    def to_result(self, model_version: str) -> dict[str, Any]:
        """One element of ``results``.

        The score is that of the worst mask, so that uncertainty sampling, which takes the lowest first, shows first
        what needs a look; 0 where there is no mask. What failed, or had nothing to fill, gets a version of its own:
        Label Studio asks again for tasks that have no prediction of the present one.
        """
        score = round(min(self.scores), 4) if self.scores else 0.0
        suffix = "-failed" if self.failed else "" if self.asked else "-no-boxes"
        return {"result": self.regions, "score": score, "model_version": model_version + suffix}


def model_version(identity: str, answering: Answering, config: LabelConfig) -> str:
    """Another text for other weights, settings, labels, prompts or thresholds; the same after a restart.

    Label Studio asks again only for tasks that have no prediction of the present version.
    """
    controls = [dataclasses.astuple(control) for control in config.controls]
    words = [dataclasses.astuple(entry) for entry in config.vocabulary.entries]
    told = json.dumps([version(), dataclasses.astuple(answering), controls, words], sort_keys=True)
    return f"openseed-{identity}-{hashlib.sha256(told.encode()).hexdigest()[:8]}"


def kinds_for(answering: Answering) -> tuple[MaskKind, ...]:
    """The controls that masks may go to, the preferred one first."""
    return MASK_KINDS if answering.shape == "auto" else (answering.shape,)


def mask_regions(
    rle: RLE,
    prompt: Prompt,
    *,
    config: LabelConfig,
    answering: Answering,
    score: float,
    salt: str = "",
    text: str | None = None,
    limited: bool = True,
) -> list[dict[str, Any]] | str:
    """The mask as regions of the control that can hold it, or a text that says why there are none.

    Args:
        prompt: what was asked; the answer has its label and lies on its image.
        salt: tells several answers to one prompt apart.
        text: what was typed, where that is not the label.
        limited: leave out masks whose score is below the threshold.
    """
    kinds: Sequence[Kind] = kinds_for(answering)
    target = config.target(prompt.label, image=prompt.image, kinds=kinds)
    if target is None:
        tags = " or ".join(TAGS[kind] for kind in kinds_for(answering))
        return f"label {prompt.label!r}: the labeling config has no {tags} for it on image {prompt.image!r}"
    threshold = config.threshold(prompt.label, target) or answering.threshold
    if limited and score < threshold:
        return f"region {prompt.id!r} ({prompt.label}): score {score:.2f} is below the threshold {threshold:g}"
    assert target.kind in MASK_KINDS
    regions = regions_of(
        rle,
        shape=target.kind,
        label=prompt.label,
        from_name=target.name,
        to_name=prompt.image,
        region_id=region_id(prompt.id, target.name, salt),
        score=round(float(score), 4),
        simplify=answering.simplify,
        max_points=answering.max_points,
    )
    for region in regions:
        if "item_index" in prompt.region:
            region["item_index"] = prompt.item
        if text is not None:
            region["meta"] = {"text": [text]}
    return regions


def region_id(*parts: str) -> str:
    """The same for the same question, so that asking twice gives the same answer; as long as Label Studio's own."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"os{digest[:10]}"
