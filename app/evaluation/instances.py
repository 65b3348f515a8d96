"""Protocols ``instance`` and ``detection``: what was found without any box given, against true masks or boxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from app.evaluation.precision import Kind, Object, average_precision
from app.evaluation.task import Answer, Need, PhotoAt, Result, Source
from app.training.data.annotated import Exhaustive
from exporters import masks
from exporters.coco import CocoDocument
from exporters.coco_columns import Problems
from labelers.frames import ExifMode, decide
from labelers.photos import PhotoError, PhotoHeader
from labelers.records import RLE
from labelers.vocabulary import Vocabulary

MATCH = 0.5
"""IoU from which an object found in a partly marked photo is taken for a marked one."""


@dataclass(frozen=True)
class InstanceTruth:
    """The N true objects of one photo, in the upright frame.

    Attributes:
        labels: int64 [N], places in the vocabulary.
        xyxy: float64 [N, 4].
        masks: N masks; None where there is none.
        areas: float64 [N], pixels.
        crowd: bool [N].
        complete: labels that are marked completely; None for all.
        looked_for: labels that count at all (LVIS); None for all.
        open: labels that are there but marked incompletely (LVIS).
    """

    labels: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    masks: tuple[RLE | None, ...]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    complete: frozenset[int] | None = None
    looked_for: frozenset[int] | None = None
    open: frozenset[int] = frozenset()


@dataclass
class InstanceTask:
    """AP and AR.

    ``top``: objects of a photo that are asked for, None for the model's own number; ``max_detections``: of one class
    that count. ``boxes_of``: where found boxes come from: the box-only detections, or the instances of the scene, whose
    scores know of the masks (the published box AP of a segmentation model). ``truths``, ``found``,
    ``sizes``: objects and (height, width) of the photos that were added.
    """

    name: str
    source: Source[InstanceTruth]
    vocabulary: Vocabulary
    kind: Kind = "masks"
    boxes_of: str = "detections"
    top: int | None = None
    max_detections: int = 100
    groups: Mapping[str, frozenset[int]] | None = None
    notes: tuple[str, ...] = ()
    truths: list[Object] = field(default_factory=list)
    found: list[Object] = field(default_factory=list)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    _open: set[tuple[int, int]] = field(default_factory=set)

    @property
    def needs(self) -> frozenset[Need]:
        plain = self.kind == "boxes" and self.boxes_of == "detections"
        return frozenset({"detections"} if plain else {"instances"})

    @property
    def photos(self) -> tuple[PhotoAt, ...]:
        return self.source.photos

    def add(self, index: int, header: PhotoHeader, answer: Answer) -> None:
        truth = self.source.read(index, header)
        true = _objects(index, truth.labels, truth.xyxy, truth.masks, truth.areas, crowd=truth.crowd, kind=self.kind)
        found = self._answer(index, answer)
        if truth.looked_for is not None:
            found = [one for one in found if one.label in truth.looked_for]
        if truth.complete is not None:
            found = matched(found, true, kind=self.kind, complete=truth.complete)
        self._open |= {(index, label) for label in truth.open}
        self.truths += true
        self.found += found
        self.sizes[index] = (header.height, header.width)

    def _answer(self, index: int, answer: Answer) -> list[Object]:
        places = {name: k for k, name in enumerate(self.vocabulary.names)}
        if "detections" in self.needs:
            assert answer.boxes is not None
            assert answer.scores is not None
            boxes, scores = answer.boxes, answer.scores
            given: Sequence[RLE | None] = (None,) * len(boxes)
        else:
            assert answer.scene is not None
            boxes, scores = answer.scene.instances.boxes, answer.scene.instances.scores
            given = answer.scene.instances.masks
        kept = np.array(
            [k for k, (name, mask) in enumerate(zip(boxes.names, given, strict=True))
             if name in places and (mask is not None or self.kind == "boxes")], np.intp
        )[: self.top]  # fmt: skip
        labels = np.array([places[boxes.names[int(k)]] for k in kept], np.int64)
        shapes = tuple(given[int(k)] for k in kept)
        xyxy = boxes.xyxy[kept].astype(np.float64)
        if self.kind == "masks":
            areas = np.array([masks.area(mask) for mask in shapes if mask is not None], np.float64)
        else:
            areas = (xyxy[:, 2:] - xyxy[:, :2]).clip(0).prod(axis=1)
        return _objects(index, labels, xyxy, shapes, areas, scores=scores[kept], kind=self.kind)

    def result(self) -> Result:
        measured = average_precision(
            self.truths,
            self.found,
            kind=self.kind,
            photos=self.sizes,
            max_detections=self.max_detections,
            incomplete=frozenset(self._open),
            groups=self.groups,
        )
        names = self.vocabulary.names
        ordered = sorted(measured.by_class.items(), key=lambda item: (-item[1][1], item[0]))
        by_class: dict[str, dict[str, float | None]] = {
            names[label]: {"AP": precision, "count": float(count)} for label, (precision, count) in ordered
        }
        return Result(self.name, len(self.sizes), measured.numbers, by_class, self.notes)


def _objects(
    index: int,
    labels: NDArray[np.int64],
    xyxy: NDArray[np.float64],
    shapes: Sequence[RLE | None],
    areas: NDArray[np.float64],
    *,
    kind: Kind,
    scores: NDArray[np.float32] | None = None,
    crowd: NDArray[np.bool_] | None = None,
) -> list[Object]:
    found = []
    for k, label in enumerate(labels.tolist()):
        x0, y0, x1, y1 = xyxy[k].tolist()
        if label < 0 or (kind == "masks" and shapes[k] is None) or not np.isfinite(xyxy[k]).all():
            continue
        found.append(
            Object(
                photo=index,
                label=label,
                xywh=(x0, y0, x1 - x0, y1 - y0),
                mask=shapes[k] if kind == "masks" else None,
                area=float(areas[k]),
                score=float(scores[k]) if scores is not None else 0.0,
                crowd=bool(crowd[k]) if crowd is not None else False,
            )
        )
    return found


def matched(found: list[Object], true: list[Object], *, kind: Kind, complete: frozenset[int]) -> list[Object]:
    """Of one photo, what was found of the ``complete`` labels, or lies on a true object of its class (IoU >= MATCH).

    The others may be right: not everything in the photo is marked.
    """
    kept = []
    for one in found:
        same = [truth for truth in true if truth.label == one.label]
        if one.label in complete:
            kept.append(one)
        elif same:
            shape = [one.mask if kind == "masks" else list(one.xywh)]
            others = [truth.mask if kind == "masks" else list(truth.xywh) for truth in same]
            if float(np.max(coco_mask.iou(shape, others, [int(truth.crowd) for truth in same]))) >= MATCH:
                kept.append(one)
    return kept


def coco_instances(
    document: CocoDocument,
    images: Path,
    *,
    labels: Sequence[int],
    exif: ExifMode = "auto",
    with_masks: bool = True,
    stuff: bool = False,
    photo_of: Callable[[CocoDocument, int], str] = lambda document, row: document.images[row].file_name,
    lvis: bool = False,
) -> Source[InstanceTruth]:
    """The truth in a COCO file.

    Args:
        document: the file; its images without annotations count too (what is found there is wrong).
        images: folder of the photos.
        labels: place in the vocabulary of each category row, -1 to leave it out.
        with_masks: read the masks; for boxes they aren't needed.
        stuff: the file is one of stuff; see ``Exhaustive`` for what that means for partly marked photos.
        photo_of: file name of an image row.
        lvis: obey ``neg_category_ids`` and ``not_exhaustive_category_ids`` of the images.
    """
    exhaustive = Exhaustive(document, dict(enumerate(labels)), stuff=stuff, problems=Problems())
    known = frozenset(label for label in labels if label >= 0)
    row_of = {category.id: category.row for category in document.categories}
    photos = tuple(PhotoAt(images, photo_of(document, image.row)) for image in document.images)

    def read(index: int, header: PhotoHeader) -> InstanceTruth:
        image = document.images[index]
        frame = decide(header, image.width, image.height, exif)
        rows = document.annotations(index)
        shapes: list[RLE | None] = []
        areas = []
        for k, row in enumerate(rows.rows.tolist()):
            raw = document.raw_annotation(row)
            shape = (
                _mask(raw.get("segmentation"), frame.height, frame.width, header, rows.keys[k]) if with_masks else None
            )
            shapes.append(frame.mask_to_upright(shape) if shape is not None else None)
            areas.append(_area(raw.get("area"), shape, rows.xywh[k]))
        xywh = rows.xywh
        boxes = frame.boxes_to_upright(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))
        found = np.array([labels[row] if row >= 0 else -1 for row in rows.category_rows.tolist()], np.int64)
        complete = exhaustive.classes(index)
        return InstanceTruth(
            labels=found,
            xyxy=_boxes(boxes.astype(np.float64), shapes),
            masks=tuple(shapes),
            areas=np.array(areas, np.float64),
            crowd=rows.iscrowd,
            complete=None if complete >= known else complete,
            **(_lvis(json.loads(document.image_text(index)), found, row_of, labels) if lvis else {}),
        )

    return Source(photos, read)


def _lvis(
    fields: Mapping[str, object], found: NDArray[np.int64], row_of: Mapping[object, int], labels: Sequence[int]
) -> dict[str, frozenset[int]]:
    def known(key: str) -> frozenset[int]:
        ids = fields.get(key, [])
        return frozenset(labels[row_of[i]] for i in ids if i in row_of) if isinstance(ids, list) else frozenset()

    return {
        "looked_for": frozenset(found.tolist()) | known("neg_category_ids"),
        "open": known("not_exhaustive_category_ids"),
    }


def _mask(value: object, height: int, width: int, header: PhotoHeader, key: str) -> RLE | None:
    try:
        return masks.from_coco(value, height, width)
    except masks.MaskError as error:
        raise PhotoError(str(header.source), f"annotation {key}: {error}", "mend the mask") from error


def _area(value: object, shape: RLE | None, xywh: NDArray[np.float64]) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value) and value > 0:
        return float(value)
    return float(masks.area(shape)) if shape is not None else float(xywh[2] * xywh[3])


def _boxes(xyxy: NDArray[np.float64], shapes: Sequence[RLE | None]) -> NDArray[np.float64]:
    """The boxes; where the file has none, the mask's."""
    made = xyxy.copy()
    for k, shape in enumerate(shapes):
        if shape is not None and not np.isfinite(made[k]).all():
            made[k] = masks.box_xyxy(shape)
    return made
