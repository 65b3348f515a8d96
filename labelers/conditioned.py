"""The labeling engine: OpenSeeD's conditioned mask decoder behind the ``Labeler`` protocol.

Every tensor has a shape that doesn't depend on how many boxes a photo has: crops are encoded one by one, conditions
decoded in full chunks. Matrix products of another shape may round differently, and then a box could flip a pixel of
its neighbour's mask.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exporters.masks import paste
from labelers import open_vocabulary
from labelers.duplicates import select, suppress
from labelers.protocol import Hint, LabelerSpec
from labelers.quality import quality
from labelers.records import RLE, Boxes, Instances, Photo, Status
from labelers.scene import Scene
from labelers.threshold import fitting_level
from labelers.vocabulary import Entry, Vocabulary
from labelers.windows import touched
from openseed_core.conditioning import Context
from openseed_core.model import Conditioned, ImageFeatures, OpenSeeD
from openseed_core.preprocess import crop_resized, resize, shortest_edge_size
from openseed_core.resample import iterate_windows
from openseed_core.zoom import Window, window_for

CHUNK = 8
"""Conditions decoded in one pass, unless the caller wants another number."""

MASK_MARGIN = 0.05
"""A mask may leave its box by this share of the box's sides; annotators' boxes are a few pixels off."""

KEPT_VIEWS = 8
"""Encoded views that an opened photo keeps for further questions."""


class ConditionedLabeler:
    """Box + class name -> mask.

    Args:
        model: an OpenSeeD model in evaluation mode.
        name, version: for provenance; the version must change with the weights.
        context: what the boxes of a photo see of each other; only ``SOLO`` keeps them independent.
        zoom: decode boxes that are small at network scale from an enlarged crop around them.
        chunk: conditions decoded in one pass of the solo context; another number can change masks by rounding.
        mirror: decode the mirror image too and average the logits: a better mask for more time. None: as the model's
            configuration says.
    """

    def __init__(
        self,
        model: OpenSeeD,
        *,
        name: str,
        version: str,
        context: Context = Context.SOLO,
        zoom: bool = True,
        chunk: int = CHUNK,
        mirror: bool | None = None,
    ) -> None:
        self.model = model.eval()
        self.mirror: bool = model.config.mirror if mirror is None else mirror
        self.context = context
        self.chunk = chunk
        self.zoom = zoom and context is Context.SOLO
        self.spec = LabelerSpec(
            name=name,
            version=f"{version}-{context.value}{'-zoom' if self.zoom else ''}{'-mirror' if self.mirror else ''}",
            needs_boxes=True,
            makes_boxes=True,
            uses_names=True,
        )
        # One view is too little work to share among cores (two threads inside an operation were no faster than one),
        # so each core works on a view of its own; the number of cores doesn't change any result.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = ThreadPoolExecutor(
            cores if model.device.type == "cpu" else 1, "view", initializer=torch.set_num_threads, initargs=(1,)
        )
        self._text: dict[tuple[str, ...], Tensor] = {}
        self._lock = threading.Lock()

    @staticmethod
    def from_model(
        *,
        model_name: str = "nano",
        weights: Path | None = None,
        device: str = "auto",
        context: str = "solo",
        zoom: bool = True,
        chunk: int = CHUNK,
        mirror: bool | None = None,
    ) -> ConditionedLabeler:
        """Load a model by name, or from a weights file.

        Raises:
            openseed_core.weights.WeightsError: there is no such model, or the file doesn't fit.
        """
        from openseed_core.weights.store import load_model, version_of

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        source = str(weights) if weights is not None else model_name
        model = load_model(source, device=device)
        model.to(memory_format=torch.channels_last)
        name = weights.stem if weights is not None else model_name
        return ConditionedLabeler(
            model,
            name=name,
            version=version_of(model),
            context=Context(context),
            zoom=zoom,
            chunk=chunk,
            mirror=mirror,
        )

    def open(self, photo: Photo) -> ConditionedOpened:
        """Decode the photo. Encoding waits for the first question, as the boxes decide what is encoded."""
        return ConditionedOpened(self, photo.pixels())

    @torch.inference_mode()
    def text(self, names: Sequence[str], vocabulary: Vocabulary) -> Tensor:
        """Text features [K, e] of the names, cached by their prompts."""
        wanted = [vocabulary.prompts(name) for name in names]
        with self._lock:
            for prompts in wanted:
                if prompts not in self._text:
                    self._text[prompts] = self.model.encode_text([prompts])[0]
            return torch.stack([self._text[prompts] for prompts in wanted])


class _View(NamedTuple):
    """A part of the photo as the network sees it: an enlarged crop, or the whole photo at its usual size."""

    window: Window
    zoomed: bool


@dataclass(frozen=True)
class _Answer:
    """One box's mask inside a window of the photo: bool [h, w] at (x0, y0), and its quality score."""

    mask: NDArray[np.bool_]
    x0: int
    y0: int
    score: float


@dataclass
class ConditionedOpened:
    """A decoded photo with the crops of it that were encoded last."""

    labeler: ConditionedLabeler
    pixels: NDArray[np.uint8] = field(repr=False)
    _encoded: OrderedDict[_View, ImageFeatures] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        """One mask for each box; see ``labelers.protocol`` for the contract."""
        height, width = self.pixels.shape[:2]
        problems = boxes.problems(height=height, width=width)
        usable = [k for k, problem in enumerate(problems) if problem is None]
        cut = boxes.clamped(height=height, width=width)
        names = list(dict.fromkeys(boxes.names[k] for k in usable))
        answers: dict[int, _Answer] = {}
        if usable:
            text = self.labeler.text(names, vocabulary)
            label = {name: i for i, name in enumerate(names)}
            views = self._by_view(cut, usable)

            def ask(view: _View) -> list[_Answer]:
                rows = views[view]
                return self._decode(view, cut.xyxy[rows], text, [label[boxes.names[k]] for k in rows])

            for rows, found in zip(views.values(), self.labeler.workers.map(ask, views), strict=True):
                answers.update(zip(rows, found, strict=True))
        return _instances(boxes, problems, answers, height=height, width=width)

    def hint(
        self, box: NDArray[np.float32], name: str, vocabulary: Vocabulary, *, at: tuple[float, float]
    ) -> Hint | None:
        """What the model thinks around one box; see ``labelers.protocol.Hinting``."""
        height, width = self.pixels.shape[:2]
        asked = Boxes(box[None], (name,))
        if asked.problems(height=height, width=width)[0] is not None:
            return None
        cut = asked.clamped(height=height, width=width)
        [view] = self._by_view(cut, [0])
        text = self.labeler.text([name], vocabulary)
        return self.labeler.workers.submit(self._hint, view, cut.xyxy, text, at).result()

    @torch.inference_mode()
    def _hint(self, view: _View, box: NDArray[np.float32], text: Tensor, at: tuple[float, float]) -> Hint:
        features, window = self._encode(view), view.window
        step = self.labeler.chunk if self.labeler.context is Context.SOLO else 1
        logits = self._logits(features, window, box, text, [0], step)[0, 0]
        stride = features.padded[0] // logits.shape[0]
        rows, columns = (-(-side // stride) for side in features.sizes[0])
        # cells of the maps in photo pixels
        cell_y = stride * (window.y1 - window.y0) / features.sizes[0][0]
        cell_x = stride * (window.x1 - window.x0) / features.sizes[0][1]
        row = min(max(int((at[1] - window.y0) / cell_y), 0), rows - 1)
        column = min(max(int((at[0] - window.x0) / cell_x), 0), columns - 1)
        alike = _likeness(features.memory.mask_features[0, :, :rows, :columns], row, column)
        return Hint(
            logits[:rows, :columns].float().cpu().numpy(),
            alike.float().cpu().numpy(),
            (window.x0, window.y0, window.x0 + columns * cell_x, window.y0 + rows * cell_y),
        )

    def propose(self, vocabulary: Vocabulary) -> Instances:
        """Objects and stuff above their thresholds; see ``labelers.protocol.SceneOpened``.

        The masks of objects come from the conditioned decoder, asked with the box and name just found: it looks at an
        enlarged crop, so its masks are better than those made on the whole photo.
        """
        if not vocabulary.entries:
            return _nothing()
        seen = self._see(vocabulary)
        least = open_vocabulary.thresholds_of(vocabulary)
        rough = open_vocabulary.objects_above(seen, least)
        rough = select(rough, suppress(rough, _nothing(), vocabulary=vocabulary))
        fine = self.masks(rough.boxes, vocabulary)
        masks = tuple(one or other for one, other in zip(fine.masks, rough.masks, strict=True))
        status = tuple(Status.OK if mask is not None else Status.EMPTY for mask in masks)
        objects = Instances(rough.boxes, masks, rough.scores, status, rough.reasons)
        return open_vocabulary.joined(objects, open_vocabulary.stuff_above(seen, least))

    def scene(
        self, vocabulary: Vocabulary, *, panoptic: bool = False, semantic: bool = False, top: int | None = None
    ) -> Scene:
        """Everything, unthresholded; see ``labelers.protocol.SceneOpened``."""
        with torch.inference_mode():
            seen = self._see(vocabulary)
            return open_vocabulary.scene_of(seen, want_panoptic=panoptic, want_semantic=semantic, top=top)

    def detections(self, vocabulary: Vocabulary, *, top: int | None = None) -> tuple[Boxes, NDArray[np.float32]]:
        """Boxes and scores of things, without masks."""
        with torch.inference_mode():
            return open_vocabulary.detections_of(self._see(vocabulary), top=top)

    def rank_names(self, boxes: Boxes, vocabulary: Vocabulary) -> NDArray[np.float32]:
        """The class head on each box's query, its content the word "object": [N, K]."""
        height, width = self.pixels.shape[:2]
        found = np.full((len(boxes), len(vocabulary.entries)), np.nan, np.float32)
        usable = [k for k, problem in enumerate(boxes.problems(height=height, width=width)) if problem is None]
        if not usable or not vocabulary.entries:
            return found
        cut = boxes.clamped(height=height, width=width)
        asked = Vocabulary((*vocabulary.entries, Entry(_asked_name(vocabulary), (open_vocabulary.ANY_NAME,))))
        text = self.labeler.text(asked.names, asked)
        views = self._by_view(cut, usable)

        def ask(view: _View) -> NDArray[np.float32]:
            rows = views[view]
            return self._class_scores(view, cut.xyxy[rows], text)

        for rows, scores in zip(views.values(), self.labeler.workers.map(ask, views), strict=True):
            found[rows] = scores
        return found

    @torch.inference_mode()
    def _class_scores(self, view: _View, boxes: NDArray[np.float32], text: Tensor) -> NDArray[np.float32]:
        """Class probabilities [n, K] of boxes whose content is the last row of ``text`` [K + 1, e]."""
        features, model = self._encode(view).image(0), self.labeler.model
        rows = torch.from_numpy(_network_boxes(boxes, view.window, features.sizes[0])).to(model.device)
        labels = torch.full((1, len(boxes)), len(text) - 1, device=model.device)
        out = model.masks_for_boxes(features, rows[None], text, labels, context=self.labeler.context)
        scores: NDArray[np.float32] = out.logits[0, :, :-1].float().sigmoid().cpu().numpy()
        return scores

    @torch.inference_mode()
    def _see(self, vocabulary: Vocabulary) -> open_vocabulary.Seen:
        height, width = self.pixels.shape[:2]
        features = self._encode(_View(Window(0, 0, width, height), False)).image(0)
        text = self.labeler.text(vocabulary.names, vocabulary)
        return open_vocabulary.see(self.labeler.model, features, text, vocabulary, output=(height, width))

    def _by_view(self, boxes: Boxes, rows: Sequence[int]) -> dict[_View, list[int]]:
        """Which rows are decoded from which view of the photo, in order of first use."""
        height, width = self.pixels.shape[:2]
        scale = _base_size(self.labeler.model, height, width)[0] / height
        groups: dict[_View, list[int]] = {}
        for k in rows:
            x0, y0, x1, y1 = (float(value) for value in boxes.xyxy[k])
            small = max(x1 - x0, y1 - y0) * scale < self.labeler.model.config.zoom_below
            zoomed = self.labeler.zoom and small
            window = window_for((x0, y0, x1, y1), height=height, width=width) if zoomed else Window(0, 0, width, height)
            groups.setdefault(_View(window, zoomed), []).append(k)
        return groups

    def _encode(self, view: _View) -> ImageFeatures:
        """Features of one view, kept for the next question."""
        with self._lock:
            if view in self._encoded:
                self._encoded.move_to_end(view)
                return self._encoded[view]
        model = self.labeler.model
        height, width = self.pixels.shape[:2]
        if view.zoomed:
            image, size = crop_resized(self.pixels, view.window, model.config.zoom_side)
        else:
            size = _base_size(model, height, width)
            image = resize(self.pixels, size)
        images = [image, _mirrored(image, size)] if self.labeler.mirror else [image]
        features: ImageFeatures = model.encode_image(images, sizes=[size] * len(images))
        with self._lock:
            self._encoded[view] = features
            while len(self._encoded) > KEPT_VIEWS:
                self._encoded.popitem(last=False)
        return features

    @torch.inference_mode()
    def _decode(self, view: _View, boxes: NDArray[np.float32], text: Tensor, labels: Sequence[int]) -> list[_Answer]:
        """Answers for boxes (xyxy photo pixels) from one view."""
        features, window = self._encode(view), view.window
        step = self.labeler.chunk if self.labeler.context is Context.SOLO else len(labels)
        answers: list[_Answer] = []
        for start in range(0, len(labels), step):
            part = boxes[start : start + step]
            logits = self._logits(features, window, part, text, labels[start : start + step], step)
            answers += self._answers(features, window, part, logits)
        return answers

    def _logits(
        self,
        features: ImageFeatures,
        window: Window,
        boxes: NDArray[np.float32],
        text: Tensor,
        labels: Sequence[int],
        step: int,
    ) -> Tensor:
        """Mask logits [1 or 2, n, h, w] on the stride-4 grid of the window, and of its mirror image if wanted."""
        model = self.labeler.model
        size = features.sizes[0]
        network = _network_boxes(boxes, window, size)
        spare = step - len(boxes)
        network = np.pad(network, ((0, spare), (0, 0)), mode="edge")
        sides = [network, _mirrored_boxes(network, size[1])] if self.labeler.mirror else [network]
        rows = torch.from_numpy(np.stack(sides)).to(model.device)
        index = torch.tensor([*labels, *[labels[-1]] * spare], device=model.device)
        # one row of text for each condition, so that the shapes don't tell how many names the photo has
        solo = self.labeler.context is Context.SOLO
        rows_text, index = (text[index], torch.arange(step, device=model.device)) if solo else (text, index)
        index = index.expand(len(sides), -1)
        out: Conditioned = model.masks_for_boxes(features, rows, rows_text, index, context=self.labeler.context)
        return out.masks[:, : len(boxes)]

    def _answers(
        self, features: ImageFeatures, window: Window, boxes: NDArray[np.float32], logits: Tensor
    ) -> list[_Answer]:
        """Threshold each mask at photo resolution, inside its box and margin only."""
        height, width = self.pixels.shape[:2]
        places = [touched(box, height=height, width=width, margin=MASK_MARGIN) for box in boxes]
        output = (window.y1 - window.y0, window.x1 - window.x0)
        local = np.array(places, np.int64) - np.array([window.x0, window.y0] * 2)
        local = np.clip(local, 0, np.array([output[1], output[0]] * 2))
        maps = partial(iterate_windows, padded=features.padded, size=features.sizes[0], output=output)
        sides = [maps(logits[0], boxes=local)]
        if self.labeler.mirror:
            mirrored = _mirrored_boxes(local, output[1])
            sides.append(part.flip(-1) for part in maps(logits[1], boxes=mirrored))
        answers: list[_Answer] = []
        for *parts, (x0, y0, _, _), box in zip(*sides, local.tolist(), boxes, strict=True):
            # each pass over a large box costs tens of milliseconds, so a single side is neither copied nor averaged
            mean = parts[0] if len(parts) == 1 else torch.stack(parts).mean(dim=0)
            probability = mean.sigmoid_().float().cpu().numpy()
            left, top = x0 + window.x0, y0 + window.y0
            mask = probability > fitting_level(probability, box, left, top)
            answers.append(_Answer(mask, left, top, quality(probability, mask, box, left, top)))
        return answers


def _network_boxes(boxes: NDArray[np.float32], window: Window, size: tuple[int, int]) -> NDArray[np.float32]:
    """Boxes [N, 4] in photo pixels -> pixels of a window that the network sees at ``size`` (height, width)."""
    scale = np.array([size[1] / (window.x1 - window.x0), size[0] / (window.y1 - window.y0)] * 2, np.float32)
    moved: NDArray[np.float32] = (boxes - np.array([window.x0, window.y0] * 2, np.float32)) * scale
    return moved


def _asked_name(vocabulary: Vocabulary) -> str:
    """A name for the question that no class of the vocabulary has."""
    name = open_vocabulary.ANY_NAME
    while vocabulary.get(name) is not None:
        name += "?"
    return name


def _nothing() -> Instances:
    return Instances.none_of(Boxes(np.zeros((0, 4), np.float32), ()), Status.OK, "")


def _likeness(features: Tensor, row: int, column: int) -> Tensor:
    """Cosine between the features [d, h, w] of every place and those of one, each channel standardised: [h, w]."""
    spread, mean = torch.std_mean(features, dim=(1, 2), keepdim=True)
    unit = torch.nn.functional.normalize((features - mean) / (spread + 1e-6), dim=0)
    return torch.einsum("dhw,d->hw", unit, unit[:, row, column])


def _mirrored(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The part of a network input that shows the photo, left and right exchanged; padding stays where it is."""
    out = image.copy()
    out[:, : size[1]] = image[:, : size[1]][:, ::-1]
    return out


def _mirrored_boxes(xyxy: NDArray[Any], width: int) -> NDArray[Any]:
    """Boxes [N, 4] in the mirror image."""
    return np.stack((width - xyxy[:, 2], xyxy[:, 1], width - xyxy[:, 0], xyxy[:, 3]), axis=1)


def _base_size(model: OpenSeeD, height: int, width: int) -> tuple[int, int]:
    """Network size of the whole photo."""
    config = model.config
    return shortest_edge_size(height, width, short=config.image_short_side, long=config.image_long_side)


def _instances(
    boxes: Boxes,
    problems: Sequence[tuple[Status, str] | None],
    answers: dict[int, _Answer],
    *,
    height: int,
    width: int,
) -> Instances:
    masks: list[RLE | None] = []
    status: list[Status] = []
    reasons: list[str] = []
    scores = np.zeros(len(boxes), np.float32)
    for k, problem in enumerate(problems):
        mask: RLE | None = None
        state, reason = problem or (Status.OK, "")
        if problem is None:
            answer = answers[k]
            if answer.mask.any():
                mask, scores[k] = paste(answer.mask, answer.x0, answer.y0, height, width), answer.score
            else:
                state, reason = Status.EMPTY, "the model found no pixel of this class in the box"
        masks.append(mask)
        status.append(state)
        reasons.append(reason)
    return Instances(boxes, tuple(masks), scores, tuple(status), tuple(reasons))
