"""Protocol ``boxes``: masks made from given boxes and names, against true masks at the photo's own resolution.

Besides the boxes as they are, each instance is asked with boxes whose edges have moved (jitter), with the
name ``object``, and, where an instance of another class sits in the same place, with that one's name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from app.evaluation.truth import Truth
from labelers.photos import PhotoError
from labelers.protocol import Labeler
from labelers.records import RLE, Boxes
from labelers.vocabulary import Vocabulary

JITTERS = (5, 10, 20)
"""Percent of the box's width (height) by which each vertical (horizontal) edge may move."""

ANY_NAME = "object"
_SEED = 20260


@dataclass(frozen=True)
class Answers:
    """One labeler's answers over all photos, as parallel arrays over N instances.

    Attributes:
        iou: variant -> float64 [N]: ``exact``, ``jitter 5`` ..., ``name object``, ``name neighbour``; NaN where the
            variant was not asked. An instance without a mask has IoU 0.
        score: float64 [N], the labeler's own quality score.
        areas: int64 [N], true pixels.
        category_rows, image_rows: int64 [N].
        part, in_pair: bool [N]; in_pair: an instance of another class is in the same place.
        masks, truths: N RLEs each; an answer may be None.
        photos: how many photos.
        seconds: spent on opening the photos and the exact boxes, decoding included.
        skipped: messages of photos that could not be decoded.
    """

    iou: dict[str, NDArray[np.float64]]
    score: NDArray[np.float64]
    areas: NDArray[np.int64]
    category_rows: NDArray[np.int64]
    image_rows: NDArray[np.int64]
    part: NDArray[np.bool_]
    in_pair: NDArray[np.bool_]
    masks: tuple[RLE | None, ...]
    truths: tuple[RLE, ...]
    photos: int
    seconds: float
    skipped: tuple[str, ...]


def variant_names(*, uses_names: bool, quick: bool) -> tuple[str, ...]:
    """What a labeler is asked besides ``exact``; names only where it looks at them."""
    if quick:
        return ()
    jitters = tuple(f"jitter {percent}" for percent in JITTERS)
    return (*jitters, "name object", "name neighbour") if uses_names else jitters


def ask_all(
    labeler: Labeler,
    photos: Iterable[Truth],
    vocabulary: Vocabulary,
    *,
    quick: bool = False,
    on_photo: Callable[[], None] = lambda: None,
) -> Answers:
    """Ask the labeler about every photo. An exception of the labeler ends the evaluation: it is a finding."""
    extra = variant_names(uses_names=labeler.spec.uses_names, quick=quick)
    iou: dict[str, list[NDArray[np.float64]]] = {name: [] for name in ("exact", *extra)}
    kept: list[Truth] = []
    score: list[NDArray[np.float32]] = []
    given: list[RLE | None] = []
    skipped: list[str] = []
    seconds = 0.0
    for truth in photos:
        start = time.perf_counter()
        try:
            opened = labeler.open(truth.header.photo(str(truth.image_row)))
            exact = opened.masks(truth.boxes, vocabulary)
        except PhotoError as error:
            skipped.append(str(error))
            continue
        seconds += time.perf_counter() - start
        kept.append(truth)
        score.append(exact.scores)
        given.extend(exact.masks)
        iou["exact"].append(mask_ious(exact.masks, truth.masks))
        if extra:
            asked = [_variant(truth, name) for name in extra]
            rows = [np.flatnonzero(wanted) for _, wanted in asked]
            joined = Boxes(
                np.concatenate([boxes.xyxy[k] for (boxes, _), k in zip(asked, rows, strict=True)]),
                tuple(boxes.names[int(i)] for (boxes, _), k in zip(asked, rows, strict=True) for i in k),
            )
            answers = iter(opened.masks(joined, vocabulary).masks)
            for name, k in zip(extra, rows, strict=True):
                column = np.full(len(truth), np.nan)
                column[k] = mask_ious([next(answers) for _ in k], [truth.masks[int(i)] for i in k])
                iou[name].append(column)
        on_photo()
    return Answers(
        iou={name: _joined(columns, np.float64) for name, columns in iou.items()},
        score=_joined(score, np.float64),
        areas=_joined([t.areas for t in kept], np.int64),
        category_rows=_joined([t.category_rows for t in kept], np.int64),
        image_rows=_joined([np.full(len(t), t.image_row) for t in kept], np.int64),
        part=_joined([t.part for t in kept], np.bool_),
        in_pair=np.array([n is not None for t in kept for n in t.neighbours], bool),
        masks=tuple(given),
        truths=tuple(mask for t in kept for mask in t.masks),
        photos=len(kept),
        seconds=seconds,
        skipped=tuple(skipped),
    )


def jittered(xyxy: NDArray[np.float32], rows: NDArray[np.int64], percent: int) -> NDArray[np.float32]:
    """Move each edge by a uniform share of up to +-``percent`` of the box's side; the same for the same annotation row.

    Args:
        xyxy: float32 [N, 4].
        rows: int64 [N], seeds, so that the boxes don't depend on which photos are evaluated.
    """
    if not len(xyxy):
        return xyxy
    moves = np.stack([np.random.default_rng([_SEED, percent, row]).uniform(-1, 1, 4) for row in rows.tolist()])
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    return (xyxy + moves * sides * percent / 100).astype(np.float32)


def mask_ious(answers: Iterable[RLE | None], truths: Iterable[RLE]) -> NDArray[np.float64]:
    """IoU of each pair, 0 where there is no answer."""
    pairs = zip(answers, truths, strict=True)
    return np.array([0.0 if a is None else float(coco_mask.iou([a], [t], [0])[0, 0]) for a, t in pairs], np.float64)


def _variant(truth: Truth, name: str) -> tuple[Boxes, NDArray[np.bool_]]:
    """The boxes of a variant, and for which instances it is asked."""
    everyone = np.ones(len(truth), bool)
    kind, _, value = name.partition(" ")
    if kind == "jitter":
        return Boxes(jittered(truth.boxes.xyxy, truth.rows, int(value)), truth.boxes.names), everyone
    if value == "object":
        return Boxes(truth.boxes.xyxy, (ANY_NAME,) * len(truth)), everyone
    names = tuple(other or ANY_NAME for other in truth.neighbours)
    return Boxes(truth.boxes.xyxy, names), np.array([n is not None for n in truth.neighbours], bool)


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate(parts).astype(kind) if parts else np.zeros(0, kind)
