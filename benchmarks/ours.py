"""Our labelers as contestants, measured through the same protocol that convert-boxes uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants import Spec, Stages
from benchmarks.photos import NAMES, SpeedPhoto
from labelers.photos import open_photo
from labelers.protocol import Labeler
from labelers.records import Boxes, Photo
from labelers.vocabulary import Vocabulary

VOCABULARY = Vocabulary()


class LabelerContestant:
    """A labeler, and for models the same model once more without zoom."""

    def __init__(self, labeler: Labeler, plain: Labeler, facts: dict[str, Any]) -> None:
        self.labeler = labeler
        self.plain = plain
        self._facts = facts
        self._stages = Stages()

    @staticmethod
    def of(spec: Spec) -> LabelerContestant:
        """Build the labeler and, for a model, encode the class names: a dataset's names are encoded once."""
        if spec.kind == "labeler":
            from labelers.build import build_labeler

            labeler = build_labeler(spec.preset)
            facts = {"weights": "none", "version": labeler.spec.version, "parameters": 0, "input": "none"}
            return LabelerContestant(labeler, labeler, facts)
        from labelers.conditioned import ConditionedLabeler

        conditioned = _random(spec) if spec.random_weights else _trained(spec)
        model = conditioned.model
        plain = ConditionedLabeler(model, name=spec.name, version="plain", zoom=False)  # torch's, whatever the other is
        start = time.perf_counter()
        features = conditioned.text(NAMES, VOCABULARY)
        seconds = time.perf_counter() - start
        plain._text.update(zip(((name,) for name in NAMES), features, strict=True))
        config = model.config
        whole = f"{config.image_short_side}-{config.image_long_side}"
        crops = f"{config.zoom_side}x{config.zoom_side}"
        always = config.zoom_below >= 1e5
        facts = {
            "weights": "random" if spec.random_weights else (spec.weights or "shipped"),
            "version": conditioned.spec.version,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "input": f"crops {crops}" if always else f"{whole} and crops {crops}",
            "seconds_per_new_name": seconds / len(NAMES),
        }
        contestant = LabelerContestant(conditioned, plain, facts)
        contestant._watch(conditioned.runtime)
        contestant._watch(plain.runtime)
        return contestant

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def label(self, photo: SpeedPhoto, stages: Stages, *, zoom: bool = True) -> list[Any]:
        """From file to RLEs through ``open`` and ``masks``."""
        self._stages = stages
        labeler = self.labeler if zoom else self.plain
        with stages("read"):
            opened = labeler.open(_photo(photo))
        with stages("finish"):  # what the two watched stages leave: cutting crops, thresholds, scores, RLE
            return list(opened.masks(_boxes(photo), VOCABULARY).masks)

    @contextmanager
    def in_one_thread(self) -> Iterator[None]:
        """Views one after the other in the caller's thread, where an operation counter can see them."""
        models = [labeler for labeler in (self.labeler, self.plain) if hasattr(labeler, "workers")]
        kept = [labeler.workers for labeler in models]
        for labeler in models:
            labeler.workers = _Inline()
        try:
            yield
        finally:
            for labeler, workers in zip(models, kept, strict=True):
                labeler.workers = workers

    def click(self, photo: SpeedPhoto, *, new_crop: bool) -> list[float]:
        """One box at a time; ``new_crop``: on a photo of which nothing is encoded yet."""
        boxes = _boxes(photo)
        opened = self.labeler.open(_photo(photo))
        seconds = []
        for k in range(len(boxes)):
            if new_crop:
                opened = self.labeler.open(_photo(photo))
            else:
                opened.masks(boxes[[k]], VOCABULARY)
            start = time.perf_counter()
            opened.masks(boxes[[k]], VOCABULARY)
            seconds.append(time.perf_counter() - start)
        return seconds

    def _watch(self, runtime: Any) -> None:
        """Let the two steps report to the stages of the photo at hand."""

        def watched(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def timed(*args: Any, **kwargs: Any) -> Any:
                with self._stages(name):
                    return call(*args, **kwargs)

            return timed

        runtime.encode = watched("encode", runtime.encode)
        runtime.masks = watched("decode", runtime.masks)


class _Inline:
    """As much of an executor as the labeler uses, without threads."""

    map = staticmethod(map)


def _photo(photo: SpeedPhoto) -> Photo:
    path = Path(photo.path)
    return open_photo(path.parent, path.name, key=path.name)


def _boxes(photo: SpeedPhoto) -> Boxes:
    return Boxes(np.array(photo.boxes, np.float32), photo.names)


def _trained(spec: Spec) -> Any:
    from app.examples import PHOTOS
    from labelers.conditioned import ConditionedLabeler

    weights = Path(spec.weights) if spec.weights else None
    return ConditionedLabeler.from_model(
        model_name=spec.preset, weights=weights, device="cpu", runtime=spec.runtime, calibration=PHOTOS
    )


def _random(spec: Spec) -> Any:
    import torch

    from app.examples import PHOTOS
    from labelers.conditioned import ConditionedLabeler, compiled
    from openseed_core.config import PRESETS
    from openseed_core.model import OpenSeeD

    torch.manual_seed(0)
    model: Any = OpenSeeD(PRESETS[spec.preset](**spec.sizes))
    model = model.eval().to(memory_format=torch.channels_last)
    runtime = None if spec.runtime == "torch" else compiled(model, spec.runtime, calibration=PHOTOS)
    return ConditionedLabeler(model, name=spec.name, version="random", runtime=runtime)
