"""Is a model better than it was? Both on the same photos, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.convert.progress import bar
from app.evaluation.boxes import mask_ious
from app.evaluation.measures import SIZES, size_bins
from app.evaluation.precision import Object, average_precision
from app.training.data.photo_set import PhotoSet
from exporters import masks as codes
from labelers.protocol import Labeler, SceneOpened
from labelers.records import RLE, Boxes, Photo
from labelers.vocabulary import Entry, Vocabulary
from openseed_core.training.photos import PhotoRecord

FEWEST = 6
"""Measured photos below which no difference is called real: the bootstrap can't see more than there is."""

_RESAMPLES = 4000


@dataclass(frozen=True)
class Measured:
    """One model on N objects of P photos.

    Attributes:
        iou: float64 [N], of the mask made from box and name with the true mask; 0 without a mask.
        areas: int64 [N], true pixels; photo: int64 [N], which photo.
        boxes: ``AP``, ``AP50``, ``AR 100`` of boxes found without being given any; None where no thing is there.
    """

    iou: NDArray[np.float64]
    areas: NDArray[np.int64]
    photo: NDArray[np.int64]
    boxes: dict[str, float | None]


def measure(labeler: Labeler, photos: PhotoSet, *, what: str, quiet: bool = False) -> Measured:
    """Ask for the mask of every annotated object, and for the boxes of everything the data set's classes name."""
    vocabulary = Vocabulary(
        tuple(
            Entry(name, prompts, stuff=k not in photos.things)
            for k, (name, prompts) in enumerate(zip(photos.names, photos.synonyms, strict=True))
        )
    )
    iou: list[NDArray[np.float64]] = []
    areas: list[int] = []
    owner: list[int] = []
    scenes = _Scenes(photos)
    with bar(total=len(photos.records), unit="photos", what=what, quiet=quiet, delay=1) as progress:
        for number, record in enumerate(photos.records):
            pixels = record.pixels()
            height, width = pixels.shape[:2]
            opened = labeler.open(Photo(record.key, record.key, height, width, record.pixels))
            truths = _truths(record)
            boxes = Boxes(record.boxes, tuple(photos.names[k] for k in record.labels.tolist()))
            iou.append(mask_ious(opened.masks(boxes, vocabulary).masks, truths))
            areas += [codes.area(truth) for truth in truths]
            owner += [number] * len(truths)
            if isinstance(opened, SceneOpened) and photos.things:
                scenes.add(number, record, truths, *opened.detections(vocabulary, top=100), size=(height, width))
            progress.update()
    return Measured(np.concatenate(iou), np.array(areas, np.int64), np.array(owner, np.int64), scenes.numbers())


class _Scenes:
    """Collects true and found boxes."""

    def __init__(self, photos: PhotoSet) -> None:
        self._photos = photos
        self._places = {name: k for k, name in enumerate(photos.names)}
        self._true: list[Object] = []
        self._found: list[Object] = []
        self._sizes: dict[int, tuple[int, int]] = {}
        self._incomplete: set[tuple[int, int]] = set()

    def add(
        self,
        number: int,
        record: PhotoRecord,
        truths: Sequence[RLE],
        boxes: Boxes,
        scores: NDArray[np.float32],
        *,
        size: tuple[int, int],
    ) -> None:
        self._sizes[number] = size
        for label, box, truth in zip(record.labels.tolist(), record.boxes, truths, strict=True):
            if label in self._photos.things:
                self._true.append(Object(number, label, _xywh(box), area=float(codes.area(truth))))
        for name, box, score in zip(boxes.names, boxes.xyxy, scores.tolist(), strict=True):
            area = float(np.prod((box[2:] - box[:2]).clip(0)))
            self._found.append(Object(number, self._places[name], _xywh(box), area=area, score=score))
        # where something waits for a decision, what was found besides the annotated objects may be right
        whole = set() if record.ignored is not None else self._whole(record)
        self._incomplete |= {(number, label) for label in self._photos.things - whole}

    def _whole(self, record: PhotoRecord) -> set[int]:
        return set(self._photos.things if record.annotated is None else record.annotated.tolist())

    def numbers(self) -> dict[str, float | None]:
        if not self._true:
            return {}
        found = average_precision(
            self._true, self._found, kind="boxes", photos=self._sizes, incomplete=frozenset(self._incomplete)
        )
        return {name: found.numbers[name] for name in ("AP", "AP50", "AR 100")}


@dataclass(frozen=True)
class Comparison:
    """Two models on the same objects.

    Attributes:
        before, after: cut (``all`` and sizes) -> mean IoU in [0, 1], None without objects.
        counts: cut -> objects; photos: how many.
        boxes_before, boxes_after: see ``Measured.boxes``.
        change: of the mean IoU over all objects; low, high: its 95 % interval, photos resampled.
        verdict: ``better``, ``worse`` or ``undecided``.
    """

    before: dict[str, float | None]
    after: dict[str, float | None]
    counts: dict[str, int]
    photos: int
    boxes_before: dict[str, float | None]
    boxes_after: dict[str, float | None]
    change: float
    low: float
    high: float
    verdict: str


def compare(before: Measured, after: Measured) -> Comparison:
    """Both must be of the same photos."""
    cuts = {"all": np.ones(len(before.iou), bool), **dict(zip(SIZES, size_bins(before.areas), strict=True))}
    photos = len(np.unique(before.photo))
    low, high = interval(after.iou - before.iou, before.photo)
    verdict = "undecided"
    if photos >= FEWEST and (low > 0 or high < 0):
        verdict = "better" if low > 0 else "worse"
    return Comparison(
        before={name: _mean(before.iou[cut]) for name, cut in cuts.items()},
        after={name: _mean(after.iou[cut]) for name, cut in cuts.items()},
        counts={name: int(cut.sum()) for name, cut in cuts.items()},
        photos=photos,
        boxes_before=before.boxes,
        boxes_after=after.boxes,
        change=float(np.mean(after.iou - before.iou)),
        low=low,
        high=high,
        verdict=verdict,
    )


def interval(values: NDArray[np.float64], photo: NDArray[np.int64], *, seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of ``values`` [N]. Photos are resampled: objects of one are alike."""
    _, row = np.unique(photo, return_inverse=True)
    sums, counts = np.bincount(row, weights=values), np.bincount(row)
    picks = np.random.default_rng(seed).integers(len(counts), size=(_RESAMPLES, len(counts)))
    means = sums[picks].sum(axis=1) / counts[picks].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def as_text(found: Comparison) -> str:
    """A table in percent, and a sentence that says what it means."""
    rows: list[tuple[str, float | None, float | None, str]] = []
    for cut in ("all", *SIZES):
        name = "masks from boxes: mean IoU" if cut == "all" else f"  {cut} objects"
        rows.append((name, found.before[cut], found.after[cut], f"{found.counts[cut]:,} objects"))
    for key, name in (("AP", "found without boxes: box AP"), ("AP50", "  AP at IoU 0.5"), ("AR 100", "  recall")):
        if found.boxes_before:
            rows.append((name, found.boxes_before.get(key), found.boxes_after.get(key), ""))
    lines = [f"{'':28}{'before':>8}{'after':>8}{'change':>8}"]
    for name, old, new, note in rows:
        change = f"{100 * (new - old):+.1f}" if old is not None and new is not None else "-"
        lines.append(f"{name:28}{_percent(old):>8}{_percent(new):>8}{change:>8}  {note}".rstrip())
    return "\n".join([*lines, "", _sentence(found)])


def as_json(found: Comparison) -> dict[str, Any]:
    """All numbers, for a report."""
    return vars(found) | {key: round(getattr(found, key), 5) for key in ("change", "low", "high")}


def _sentence(found: Comparison) -> str:
    points = (
        f"{100 * found.change:+.1f} points of mean IoU on {found.photos} measured photos, 95 % interval "
        f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
    )
    if found.verdict == "better":
        return f"Better: {points}."
    if found.verdict == "worse":
        return f"Worse: {points}. Keep the old model; accept more photos, or train with fewer steps or a lower lr."
    if found.photos < FEWEST:
        return f"Undecided: {points}. So few photos can't decide it; accept annotations in more, or raise --share."
    return f"Undecided: {points}. The interval holds zero, so it may be chance; more accepted photos decide it."


def _truths(record: PhotoRecord) -> list[RLE]:
    assert record.mask is not None
    return [codes.encode(record.mask(k).astype(bool)) for k in range(len(record.labels))]


def _xywh(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1 - x0, y1 - y0


def _mean(values: NDArray[np.float64]) -> float | None:
    return round(float(values.mean()), 5) if len(values) else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
