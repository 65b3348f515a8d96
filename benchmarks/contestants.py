"""Who is compared: specifications as data, built inside the worker that measures them. Imports no torch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from benchmarks.photos import SpeedPhoto


@dataclass(frozen=True)
class Spec:
    """One contestant.

    Attributes:
        name: in the tables.
        kind: ``openseed`` (our model), ``labeler`` (a labeler without a model), ``sam``, ``sam2`` (transformers),
            ``tinyvit`` (timm, the encoder alone).
        preset: of ``openseed``: the configuration; of ``labeler``: its name.
        weights: ``openseed``: a weights file instead of the packaged ones.
        random_weights: a model that was never trained; as fast as a trained one, its masks mean nothing.
        runtime: ``openseed``: who computes, as ``--runtime`` has it.
        sizes: overrides of the configuration, for tests.
    """

    name: str
    kind: str
    preset: str = ""
    weights: str | None = None
    random_weights: bool = True
    runtime: str = "torch"
    sizes: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Contestant(Protocol):
    """What a worker measures."""

    def facts(self) -> dict[str, Any]:
        """Parameters, input size, weights, version."""
        ...

    def label(self, photo: SpeedPhoto, stages: Stages, *, zoom: bool = True) -> list[Any]:
        """From file to COCO RLEs, one for each box. Models without zoom ignore ``zoom``."""
        ...

    def click(self, photo: SpeedPhoto, *, new_crop: bool) -> list[float]:
        """Seconds from one box to its RLE on an opened photo, for each box of the photo."""
        ...


class Stages:
    """Seconds and calls by stage. A stage inside another one is taken out of the outer's time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._inner: list[float] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inner.pop()
            self.calls[name] = self.calls.get(name, 0) + 1
            if self._inner:
                self._inner[-1] += spent


def standard(*, random_weights: bool = False, weights: str | None = None) -> tuple[Spec, ...]:
    """The contestants of the published table."""
    return (
        Spec("nano", "openseed", preset="nano", weights=weights, random_weights=random_weights),
        *(
            Spec(
                f"nano-{name}", "openseed", preset="nano", weights=weights, random_weights=random_weights, runtime=name
            )
            for name in ("openvino", "openvino-int8")
        ),
        Spec("swin-t", "openseed", preset="swin-t"),
        Spec("sam-vit-b", "sam"),
        Spec("sam2-tiny", "sam2"),
        Spec("tinyvit-5m", "tinyvit"),
        Spec("rectangle", "labeler", preset="rectangle", random_weights=False),
    )


def build(spec: Spec) -> Contestant:
    """Load the contestant. Raises ValueError for a kind that isn't known, and whatever loading a model raises."""
    if spec.kind in ("openseed", "labeler"):
        from benchmarks.ours import LabelerContestant

        return LabelerContestant.of(spec)
    if spec.kind in ("sam", "sam2"):
        from benchmarks.sam import SamContestant

        return SamContestant.of(spec)
    if spec.kind == "tinyvit":
        from benchmarks.tinyvit import TinyViTContestant

        return TinyViTContestant.of(spec)
    kinds = "openseed, labeler, sam, sam2 or tinyvit"
    raise ValueError(f"contestant {spec.name}: there is no kind {spec.kind!r}; use {kinds}")
