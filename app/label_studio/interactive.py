"""One annotator's click: the newest region asks, and the answer is its mask.

* a rectangle: the mask of that box, asked for by its label, or by the text that was last typed for this task;
* a key point: the mask of what all key points of this label point at, positive and negative;
* a brush stroke, polygon or ellipse: the mask of the box around it;
* a text: remembered for the boxes drawn after it; a model that finds objects by itself answers with those.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.label_studio.answers import Answer, kinds_for, mask_regions
from app.label_studio.config import Kind, LabelConfig
from app.label_studio.engine import Engine, OpenedPhoto, Question
from app.label_studio.prompts import Prompt, newest, text_of
from app.serving.loading import ModelFailed, NotReady
from exporters.label_studio_regions import RegionError, box_of, mask_of
from exporters.masks import box_xyxy
from labelers.photos import PhotoError
from labelers.points import Point, mask_from_points
from labelers.records import Boxes, Instances
from labelers.rows import describe
from labelers.vocabulary import Entry, Vocabulary

_log = logging.getLogger(__name__)


def answer_click(question: Question, context: Any, engine: Engine) -> Answer:
    """The answer to one interactive request; "nothing found" is an answer without regions.

    Raises NotReady, ModelFailed. Everything else that goes wrong is told in the answer.
    """
    prompt, others, problem = newest(context, question.config)
    if prompt is None:
        return Answer(problems=[problem])
    try:
        if prompt.control.kind == "textarea":
            return _of_text(question, prompt, engine)
        photo = engine.open(question, image=prompt.image, item=prompt.item)
        words = _words(question, prompt, engine)
        if prompt.control.kind == "keypoint":
            found = _of_points(prompt, others, photo, words)
        else:
            box = _box(prompt, photo)
            found = photo.opened.masks(Boxes(np.array([box], np.float32), (prompt.label,)), words)
        mask, score = found.masks[0], float(found.scores[0])
        if mask is None:
            return Answer(problems=[f"region {prompt.id!r} ({prompt.label}): {found.reasons[0]}"])
        # an annotator who clicks wants to see what there is, however doubtful
        answering = engine.settings.answering
        regions = mask_regions(mask, prompt, config=question.config, answering=answering, score=score, limited=False)
        answer = Answer()
        answer.add(regions, score)
        return answer
    except (PhotoError, RegionError) as error:
        return Answer(problems=[str(error)], failed=True)
    except (NotReady, ModelFailed):
        raise
    except Exception as error:
        _log.exception("task %s: the click failed", question.task_id)
        return Answer(problems=[f"failed: {describe(error)}"], failed=True)


def _of_points(prompt: Prompt, others: Sequence[Prompt], photo: OpenedPhoto, words: Vocabulary) -> Instances:
    """All key points of the same label on the same picture count; the newest one may be anywhere among them."""
    same = [
        other
        for other in others
        if (other.control.name, other.label, other.image, other.item)
        == (prompt.control.name, prompt.label, prompt.image, prompt.item)
    ]
    points = [_point(other, photo) for other in same]
    return mask_from_points(
        photo.opened, words, points=points, name=prompt.label, height=photo.height, width=photo.width
    )


def _point(prompt: Prompt, photo: OpenedPhoto) -> Point:
    """Percent of the picture to pixels. Raises RegionError."""
    value = prompt.region["value"]
    x, y = value.get("x"), value.get("y")
    if not all(isinstance(v, int | float) and 0 <= v <= 100 for v in (x, y)):
        raise RegionError(f"region {prompt.id!r}: x and y must be numbers from 0 to 100; draw the point again")
    # the right and lower edge belong to the last pixel
    column = min(x / 100 * photo.width, np.nextafter(np.float64(photo.width), 0))
    row = min(y / 100 * photo.height, np.nextafter(np.float64(photo.height), 0))
    return Point(float(column), float(row), prompt.region.get("is_positive", True) is not False)


def _box(prompt: Prompt, photo: OpenedPhoto) -> tuple[float, float, float, float]:
    """xyxy pixels of the upright photo. Raises RegionError."""
    if prompt.control.kind == "rectangle":
        return box_of(prompt.region, height=photo.height, width=photo.width)
    mask = mask_of(prompt.region, height=photo.height, width=photo.width)
    if mask is None:
        raise RegionError(f"region {prompt.id!r}: it covers no pixel; draw it again")
    x0, y0, x1, y1 = (float(v) for v in box_xyxy(mask))
    return x0, y0, x1, y1


def _words(question: Question, prompt: Prompt, engine: Engine) -> Vocabulary:
    """What the label means to the model: the text last typed for this task, else as the labeling config says."""
    text = engine.texts.recall((question.project, question.task_id))
    if not text:
        return question.config.vocabulary
    rest = tuple(entry for entry in question.config.vocabulary.entries if entry.name != prompt.label)
    return Vocabulary((*rest, Entry(prompt.label, (text,))))


def _of_text(question: Question, prompt: Prompt, engine: Engine) -> Answer:
    text = text_of(prompt.region)
    key = (question.project, question.task_id)
    if not text:
        engine.texts.forget(key)
        return Answer()
    engine.texts.tell(key, text)
    if not engine.model.get().spec.makes_boxes:
        return Answer(problems=["this model finds nothing by itself; the text is kept for the boxes drawn next"])
    names = [name for part in text.split(",") if (name := part.strip())]
    photo = engine.open(question, image=prompt.image, item=prompt.item)
    config, answering = question.config, engine.settings.answering
    labels = {name: _label_for(name, prompt.image, config, kinds_for(answering)) for name in names}
    found = photo.opened.propose(Vocabulary(tuple(Entry(name, (name,)) for name in labels)))
    answer = Answer()
    rows = zip(found.boxes.names, found.masks, found.scores.tolist(), strict=True)
    for number, (name, mask, score) in enumerate(rows):
        label = labels.get(name)
        if mask is not None and label is not None:
            asked, salt = dataclasses.replace(prompt, label=label), f"{name} {number}"
            answer.add(
                mask_regions(mask, asked, config=config, answering=answering, score=score, salt=salt, text=name), score
            )
    return answer


def _label_for(text: str, image: str, config: LabelConfig, kinds: Sequence[Kind]) -> str | None:
    """The label that a typed text means: its name or one of its prompts, else the first label there is."""
    usable = [name for name in config.vocabulary.names if config.target(name, image=image, kinds=kinds) is not None]
    for name in usable:
        if text.casefold() in {word.casefold() for word in (name, *config.vocabulary.prompts(name))}:
            return name
    return usable[0] if usable else None
