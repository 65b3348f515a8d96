"""Protocol ``panoptic``: PQ = SQ x RQ by the definition of COCO (Kirillov et al., 2019).

A true and a found segment of one class match where their IoU is over 0.5; at most one pair can. Pixels that nobody
marked (void) don't count in the union. A found segment without a match is no error where more than half of it lies
on void or on a crowd of its class; an unmatched crowd is no miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.evaluation.instances import InstanceTruth
from app.evaluation.task import Answer, Need, PhotoAt, Result, Source
from exporters import masks
from exporters.coco_panoptic import PanopticError, PanopticFile, read_ids
from labelers.frames import ExifMode, decide
from labelers.orientation import array_to_upright
from labelers.paths import find_photo
from labelers.photos import PhotoError, PhotoHeader
from labelers.vocabulary import Vocabulary


@dataclass(frozen=True)
class Segmented:
    """A photo cut into segments, true or found.

    Attributes:
        ids: int32 [H, W] of the upright photo, 0 where there is none.
        labels: id -> place in the vocabulary.
        crowd: ids of crowds.
        complete: labels that are marked completely; None for all.
    """

    ids: NDArray[np.int32]
    labels: Mapping[int, int]
    crowd: frozenset[int] = frozenset()
    complete: frozenset[int] | None = None


@dataclass
class PanopticCounts:
    """Per label: sum of the IoU of matches, matches, found without a match, true without a match."""

    classes: int
    iou: NDArray[np.float64] = field(init=False)
    right: NDArray[np.int64] = field(init=False)
    wrong: NDArray[np.int64] = field(init=False)
    missed: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.iou = np.zeros(self.classes)
        self.right, self.wrong, self.missed = (np.zeros(self.classes, np.int64) for _ in range(3))

    def add(self, true: Segmented, found: Segmented) -> None:
        """Count one photo. Raises ValueError: the maps have different sizes, or hold an id without a label."""
        if true.ids.shape != found.ids.shape:
            raise ValueError(f"the true map is {true.ids.shape}, the found one {found.ids.shape}")
        codes, sizes = np.unique(true.ids.astype(np.int64) << 32 | found.ids, return_counts=True)
        shared = {(code >> 32, code & 0xFFFFFFFF): n for code, n in zip(codes.tolist(), sizes.tolist(), strict=True)}
        true_area, found_area = _areas(shared, 0, true.labels), _areas(shared, 1, found.labels)
        matched_true, matched_found = set(), set()
        for (t, f), both in shared.items():
            if t == 0 or f == 0 or t in true.crowd or true.labels[t] != found.labels[f]:
                continue
            union = true_area[t] + found_area[f] - both - shared.get((0, f), 0)
            if both / union > 0.5:
                self.iou[true.labels[t]] += both / union
                self.right[true.labels[t]] += 1
                matched_true.add(t)
                matched_found.add(f)
        for t in true_area.keys() - matched_true - true.crowd:
            self.missed[true.labels[t]] += 1
        for f in found_area.keys() - matched_found:
            label = found.labels[f]
            excused = shared.get((0, f), 0) + sum(
                shared.get((t, f), 0) for t in true.crowd if true.labels.get(t) == label
            )
            unmarked = true.complete is not None and label not in true.complete
            if excused / found_area[f] <= 0.5 and not unmarked:
                self.wrong[label] += 1

    def quality(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """PQ, SQ, RQ of each label, float64 [classes]; NaN for a label that was neither there nor found."""
        there = self.right + self.wrong + self.missed > 0
        recognition = np.full(self.classes, np.nan)
        recognition[there] = (self.right / (self.right + 0.5 * self.wrong + 0.5 * self.missed + ~there))[there]
        segmentation = np.where(there, self.iou / np.maximum(self.right, 1), np.nan)
        return segmentation * recognition, segmentation, recognition


def _areas(shared: Mapping[tuple[int, int], int], side: int, labels: Mapping[int, int]) -> dict[int, int]:
    areas: dict[int, int] = {}
    for pair, size in shared.items():
        if pair[side]:
            areas[pair[side]] = areas.get(pair[side], 0) + size
    if unknown := areas.keys() - labels.keys():
        raise ValueError(f"the map has segment {min(unknown)}, which the list of segments lacks")
    return areas


@dataclass
class PanopticTask:
    """PQ, SQ and RQ over all classes, things and stuff (``Entry.stuff`` of the vocabulary)."""

    source: Source[Segmented]
    vocabulary: Vocabulary
    name: str = "panoptic"
    notes: tuple[str, ...] = ()
    _counts: PanopticCounts = field(init=False)
    _photos: int = 0

    needs = frozenset[Need]({"panoptic"})
    top = 1

    def __post_init__(self) -> None:
        self._counts = PanopticCounts(len(self.vocabulary.entries))

    @property
    def photos(self) -> tuple[PhotoAt, ...]:
        return self.source.photos

    def add(self, index: int, header: PhotoHeader, answer: Answer) -> None:
        true = self.source.read(index, header)
        assert answer.scene is not None
        panoptic = answer.scene.panoptic
        assert panoptic is not None
        places = {name: k for k, name in enumerate(self.vocabulary.names)}
        labels = {segment.id: places[segment.name] for segment in panoptic.segments}
        try:
            self._counts.add(true, Segmented(panoptic.ids, labels))
        except ValueError as error:
            raise PhotoError(header.source, str(error), "mend the panoptic file") from error
        self._photos += 1

    def result(self) -> Result:
        pq, sq, rq = self._counts.quality()
        stuff = np.array([entry.stuff for entry in self.vocabulary.entries], bool)
        numbers: dict[str, float | None] = {}
        for suffix, cut in (("", np.ones_like(stuff)), (" things", ~stuff), (" stuff", stuff)):
            for name, values in (("PQ", pq), ("SQ", sq), ("RQ", rq)):
                defined = values[cut & ~np.isnan(values)]
                numbers[name + suffix] = float(defined.mean()) if len(defined) else None
        true = self._counts.right + self._counts.missed
        order = [k for k in np.argsort(-true, kind="stable").tolist() if not np.isnan(pq[k])]
        by_class: dict[str, dict[str, float | None]] = {
            self.vocabulary.names[k]: {
                "PQ": float(pq[k]), "SQ": float(sq[k]), "RQ": float(rq[k]), "count": float(true[k])
            }
            for k in order
        }  # fmt: skip
        return Result(self.name, self._photos, numbers, by_class, self.notes)


def panoptic_file(
    file: PanopticFile,
    pngs: Path,
    images: Path,
    *,
    labels: Mapping[int, int],
    exif: ExifMode = "auto",
    photo_names: Sequence[str] | None = None,
) -> Source[Segmented]:
    """The truth in a COCO panoptic file.

    Args:
        file: the JSON.
        pngs, images: folders of the PNGs and of the photos.
        labels: category id -> place in the vocabulary; segments of other classes count as void.
        photo_names: file names of the photos, where they are not those of the JSON.
    """
    names = photo_names or [image.file_name for image in file.images]
    ids = {category.name: category.id for category in file.categories}

    def read(index: int, header: PhotoHeader) -> Segmented:
        image = file.images[index]
        frame = decide(header, image.width, image.height, exif)
        found = read_ids(png_in(pngs, image.png), height=image.height, width=image.width)
        if found.shape != (frame.height, frame.width):
            raise PhotoError(
                header.source,
                f"the photo is {frame.width} x {frame.height}, its PNG {image.width} x {image.height}",
                "give the photo that was annotated",
            )
        listed = {segment.id: segment for segment in image.segments}
        if unknown := set(np.unique(found).tolist()) - {0} - listed.keys():
            raise PanopticError(f"{image.png}: it has segment {min(unknown)}, which segments_info of {file.path} lacks")
        kept = {key: labels[one.category_id] for key, one in listed.items() if one.category_id in labels}
        if len(kept) < len(listed):
            found = np.where(np.isin(found, list(kept)), found, 0).astype(np.int32)
        return Segmented(
            np.ascontiguousarray(array_to_upright(found, frame.orientation)),
            kept,
            frozenset(key for key in kept if listed[key].iscrowd),
            _complete(image.partial, image.annotated, list(ids), [labels.get(number, -1) for number in ids.values()]),
        )

    return Source(tuple(PhotoAt(images, name) for name in names), read)


def _complete(partial: object, annotated: object, names: Sequence[str], labels: Sequence[int]) -> frozenset[int] | None:
    """Which labels are marked completely, from the image fields ``partial`` and ``annotated``; None for all."""
    if isinstance(annotated, list | tuple):
        listed = set(map(str, annotated))
        return frozenset(label for name, label in zip(names, labels, strict=True) if name in listed)
    return frozenset() if partial else None


def png_in(folder: Path, name: str) -> Path:
    """The PNG that a JSON names inside ``folder``. Raises PanopticError."""
    try:
        return find_photo(folder, name)
    except PhotoError as error:
        raise PanopticError(f"PNG {name!r}: {error.reason}; give the folder of the PNGs with --panoptic-dir") from error


def instances_of(source: Source[Segmented], vocabulary: Vocabulary) -> Source[InstanceTruth]:
    """The thing segments of a panoptic truth as objects."""
    stuff = [entry.stuff for entry in vocabulary.entries]

    def read(index: int, header: PhotoHeader) -> InstanceTruth:
        true = source.read(index, header)
        there = [key for key in np.unique(true.ids).tolist() if key and not stuff[true.labels[key]]]
        shapes = tuple(masks.encode(true.ids == key) for key in there)
        return InstanceTruth(
            labels=np.array([true.labels[key] for key in there], np.int64),
            xyxy=np.array([masks.box_xyxy(shape) for shape in shapes], np.float64).reshape(-1, 4),
            masks=shapes,
            areas=np.array([masks.area(shape) for shape in shapes], np.float64),
            crowd=np.array([key in true.crowd for key in there], bool),
            complete=true.complete,
        )

    return Source(source.photos, read)


def painted(
    things: Source[InstanceTruth], stuff: Source[InstanceTruth] | None, vocabulary: Vocabulary
) -> Source[Segmented]:
    """Masks of COCO files as segments: crowds at the bottom, small masks over large ones, things over stuff.

    Stuff is one segment for each class. Pixels without a mask are void. In a photo that only ``things`` knows, no stuff
    is marked, so stuff that is found there is no error.
    """
    sources = [source for source in (stuff, things) if source is not None]
    places = [{at: k for k, at in enumerate(source.photos)} for source in sources]
    photos = tuple(dict.fromkeys(at for source in reversed(sources) for at in source.photos))
    is_stuff = [entry.stuff for entry in vocabulary.entries]
    every_thing = frozenset(k for k, one in enumerate(is_stuff) if not one)

    def read(index: int, header: PhotoHeader) -> Segmented:
        ids = np.zeros((header.height, header.width), np.int32)
        labels: dict[int, int] = {}
        crowd: set[int] = set()
        shared: dict[int, int] = {}  # stuff label -> its id
        complete: frozenset[int] | None = None
        for source, place in zip(sources, places, strict=True):
            if photos[index] not in place:
                complete = every_thing if source is stuff else complete
                continue
            truth = source.read(place[photos[index]], header)
            if truth.complete is not None:
                complete = truth.complete if complete is None else complete & truth.complete
            sizes = np.array([masks.area(mask) if mask is not None else 0 for mask in truth.masks], np.int64)
            for k in np.lexsort([-sizes, ~truth.crowd]).tolist():
                mask, label = truth.masks[k], int(truth.labels[k])
                if mask is None or label < 0:
                    continue
                key = shared.setdefault(label, len(labels) + 1) if is_stuff[label] else len(labels) + 1
                labels[key] = label
                if truth.crowd[k]:
                    crowd.add(key)
                ids[masks.decode(mask)] = key
        return Segmented(ids, labels, frozenset(crowd), complete)

    return Source(photos, read)
