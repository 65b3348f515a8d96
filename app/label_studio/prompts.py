"""What is asked: the boxes of a task, or the newest region of an annotator's context.

Regions come from outside, so nothing in them is taken for granted; what can't be used is told, not raised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.label_studio.config import Control, LabelConfig

Region = Mapping[str, Any]


@dataclass(frozen=True)
class Prompt:
    """A region that asks for something.

    Attributes:
        region: as Label Studio sent it.
        control: what it was made with.
        label: its class; empty for a text.
        image: name of the image tag that it lies on.
        item: which picture of a list.
    """

    region: Region
    control: Control
    label: str
    image: str
    item: int = 0

    @property
    def id(self) -> str:
        return str(self.region.get("id", ""))


def boxes_of_task(task: Mapping[str, Any], config: LabelConfig) -> tuple[list[Prompt], list[str]]:
    """The rectangles of a task that masks are wanted for, and what could not be used.

    Those of the annotation that counts (the ground truth, else the one changed last); without any, those of the drafts;
    without any, those of the newest prediction that has some.
    """
    problems: list[str] = []
    for source in (_annotation(task), _drafts(task), _predictions(task)):
        for result in source:
            found = prompts_of(result, config, kinds=("rectangle",), problems=problems)
            if found:
                return found, problems
    return [], problems


def prompts_of(
    result: Iterable[Any], config: LabelConfig, *, kinds: Sequence[str], problems: list[str]
) -> list[Prompt]:
    """The regions of these kinds that the config knows, in order; what it doesn't know is added to ``problems``."""
    found: list[Prompt] = []
    for region in result:
        prompt = prompt_of(region, config)
        if isinstance(prompt, Prompt):
            if prompt.control.kind in kinds:
                found.append(prompt)
        elif prompt is not None and str(region.get("type", "")).removesuffix("labels") in kinds:
            problems.append(prompt)
    return found


def prompt_of(region: Any, config: LabelConfig) -> Prompt | str | None:
    """The region as a prompt; a text that says why not; None for what is no region of an image."""
    if not isinstance(region, Mapping) or not isinstance(region.get("value"), Mapping):
        return None
    name = region.get("from_name")
    control = config.control(str(name))
    named = f"region {str(region.get('id', ''))[:40]!r}"
    if control is None:
        return f"{named}: the labeling config has no control {str(name)[:80]!r} on an image"
    image = region.get("to_name")
    if image not in control.images:
        return f"{named}: control {control.name!r} does not draw on {str(image)[:80]!r}"
    item = region.get("item_index", 0)
    item = item if isinstance(item, int) and not isinstance(item, bool) else 0
    if control.kind == "textarea":
        return Prompt(region, control, "", str(image), item)
    labels = _labels(region)
    if not labels:
        return f"{named}: it has no label; give it one"
    known = [label for label in labels if label in control.labels]
    if not known:
        return f"{named}: label {labels[0][:80]!r} is not in the labeling config"
    return Prompt(region, control, known[0], str(image), item)


def newest(context: Any, config: LabelConfig) -> tuple[Prompt | None, list[Prompt], str]:
    """The region that an annotator has just made, all that can be used, and what is wrong where there is none.

    Label Studio sends every region of the control, the new one last and marked as made by hand.
    """
    result = context.get("result") if isinstance(context, Mapping) else None
    if not isinstance(result, list) or not result:
        return None, [], "the request has no region"
    prompts = [prompt for region in result if isinstance(prompt := prompt_of(region, config), Prompt)]
    by_hand = [region for region in result if isinstance(region, Mapping) and region.get("origin") == "manual"]
    last = (by_hand or result)[-1]
    found = prompt_of(last, config)
    if isinstance(found, Prompt):
        return found, prompts, ""
    return None, prompts, found or "the newest region is no region of an image"


def text_of(region: Region) -> str:
    """What was typed into a text area; empty where nothing was."""
    text = region["value"].get("text", "")
    parts = text if isinstance(text, list) else [text]
    return " ".join(str(part) for part in parts if isinstance(part, str)).strip()[:1000]


def _labels(region: Region) -> list[str]:
    value = region["value"]
    for key in (str(region.get("type", "")), "labels"):
        found = value.get(key)
        if isinstance(found, list):
            return [label for label in found if isinstance(label, str) and label.strip()]
    return []


def _annotation(task: Mapping[str, Any]) -> list[list[Any]]:
    usable = [one for one in _dicts(task.get("annotations")) if not one.get("was_cancelled")]
    usable.sort(key=lambda one: (bool(one.get("ground_truth")), str(one.get("updated_at") or "")))
    return [_result(usable[-1])] if usable else []


def _drafts(task: Mapping[str, Any]) -> list[list[Any]]:
    drafts = sorted(_dicts(task.get("drafts")), key=lambda one: str(one.get("updated_at") or ""))
    return [_result(one) for one in reversed(drafts)]


def _predictions(task: Mapping[str, Any]) -> list[list[Any]]:
    found = sorted(_dicts(task.get("predictions")), key=lambda one: str(one.get("created_at") or ""))
    return [_result(one) for one in reversed(found)]


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _result(holder: Mapping[str, Any]) -> list[Any]:
    result = holder.get("result")
    return result if isinstance(result, list) else []
