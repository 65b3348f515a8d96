"""What a project's labeling config asks for: controls, labels, prompts, thresholds.

Read with label-studio-sdk; the attributes that steer a model have the names that the YOLO example made known:
``predicted_values`` on a label, ``model_score_threshold`` and ``model_skip`` on a control. Of our own are
``model_stuff`` on a label, or on a control for all its labels: regions without instances; and thresholds of labels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

from labelers.vocabulary import Entry, Vocabulary

Kind = Literal["brush", "bitmask", "polygon", "rectangle", "keypoint", "textarea"]
MaskKind = Literal["brush", "bitmask", "polygon"]
MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)
"""Controls that hold masks, the most faithful first: of several the first one that knows the label is used."""

_KINDS: Mapping[str, Kind] = {
    "BrushLabels": "brush",
    "BitmaskLabels": "bitmask",
    "PolygonLabels": "polygon",
    "RectangleLabels": "rectangle",
    "KeyPointLabels": "keypoint",
    "TextArea": "textarea",
}
_DOCTYPE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_LONGEST = 1_000_000


class ConfigError(ValueError):
    """The labeling config can't be used; the message says what to change in the project's settings."""


@dataclass(frozen=True)
class Control:
    """One tag that annotators (or models) make regions with.

    Attributes:
        name: what regions call it (``from_name``).
        images: names of the image tags that it draws on (``toName``).
        kind: what its regions are.
        labels: label values as regions hold them, in the config's order; none for a text area.
        smart: annotators can ask the model with it.
        threshold: regions with a lower score are left out.
        skip: the model may not make regions of this control.
    """

    name: str
    images: tuple[str, ...]
    kind: Kind
    labels: tuple[str, ...] = ()
    smart: bool = False
    threshold: float = 0.0
    skip: bool = False


@dataclass(frozen=True)
class LabelConfig:
    """A parsed labeling config.

    Attributes:
        xml: as it was given.
        controls: those that this backend understands, in the config's order.
        sources: for each image tag the key of ``task["data"]`` that holds its URL (or a list of URLs).
        vocabulary: every label of the image controls, with its prompts; stuff and threshold where the label has them.
    """

    xml: str
    controls: tuple[Control, ...]
    sources: Mapping[str, str]
    vocabulary: Vocabulary

    def control(self, name: str) -> Control | None:
        """The control that a region's ``from_name`` means."""
        return next((control for control in self.controls if control.name == name), None)

    def of_kind(self, *kinds: Kind) -> tuple[Control, ...]:
        """The controls of these kinds, in the order of the kinds, then of the config."""
        return tuple(control for kind in kinds for control in self.controls if control.kind == kind)

    def threshold(self, label: str, target: Control) -> float:
        """Lowest score of a region with this label on this control: the label's own, else the control's; 0 for none."""
        entry = self.vocabulary.get(label)
        return target.threshold if entry is None or entry.threshold is None else entry.threshold

    def target(self, label: str, *, image: str, kinds: Sequence[Kind]) -> Control | None:
        """Where a region with this label on this image goes: the first kind that has a control for it."""
        for control in self.of_kind(*kinds):
            if label in control.labels and image in control.images and not control.skip:
                return control
        return None


@lru_cache(maxsize=64)
def parse_config(xml: str) -> LabelConfig:
    """Read a labeling config.

    Raises:
        ConfigError: no XML, no image tag, or an attribute of ours that can't be read.
    """
    from label_studio_sdk.label_interface import LabelInterface

    if len(xml) > _LONGEST or _DOCTYPE.search(xml):
        raise ConfigError("the labeling config is too long or defines entities; use plain tags")
    try:
        parsed = LabelInterface(xml)
        controls, objects = list(parsed.controls), list(parsed.objects)
    except Exception as error:  # the SDK raises many kinds for configs that are no XML or refer to nothing
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigError(f"the labeling config can't be read ({said}); open it in the project's settings") from error
    sources = {tag.name: str(tag.value or "").removeprefix("$") for tag in objects if tag.tag == "Image"}
    if not sources:
        raise ConfigError("the labeling config has no <Image> tag; this backend labels photos")
    found: list[Control] = []
    prompts: dict[str, tuple[str, ...]] = {}
    stuff: set[str] = set()
    thresholds: dict[str, float] = {}
    for tag in controls:
        kind = _KINDS.get(tag.tag)
        images = tuple(name for name in tag.to_name if name in sources)
        if kind is None or not images:
            continue
        labels = () if kind == "textarea" else tuple(tag.labels)
        for label in labels:
            attributes = tag.labels_attrs[label].attr
            if _is_true(attributes.get("model_stuff", tag.attr.get("model_stuff"))):
                stuff.add(label)
            if attributes.get("model_score_threshold") is not None:
                thresholds[label] = _threshold(f'label "{label}"', attributes["model_score_threshold"])
            # an own wording of any control wins over the bare value of another
            asked = _prompts(label, attributes)
            if asked != (label,) or label not in prompts:
                prompts[label] = asked
        found.append(
            Control(
                name=tag.name,
                images=images,
                kind=kind,
                labels=labels,
                smart=_is_true(tag.attr.get("smart")),
                threshold=_threshold(f'control "{tag.name}"', tag.attr.get("model_score_threshold")),
                skip=_is_true(tag.attr.get("model_skip")),
            )
        )
    entries = tuple(
        Entry(label, texts, stuff=label in stuff, threshold=thresholds.get(label))
        for label, texts in prompts.items()
        if label.strip()
    )
    return LabelConfig(xml, tuple(found), sources, Vocabulary(entries))


def _prompts(label: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """What the model is asked for: ``predicted_values="a, b"``, else the text that annotators see."""
    given = tuple(part.strip() for part in str(attributes.get("predicted_values") or "").split(",") if part.strip())
    shown = str(attributes.get("value") or "").strip()  # with an alias, regions hold the alias instead
    return given or ((shown,) if shown else (label,))


def _is_true(value: object) -> bool:
    return str(value).strip().lower() in ("true", "1", "yes")


def _threshold(where: str, value: Any) -> float:
    if value is None:
        return 0.0
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= 1:
        raise ConfigError(f"{where}: model_score_threshold is {value!r}; write a number from 0 to 1")
    return number
