"""COCO instances, with or without masks, and stuff from a second file beside them, as training records."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import photo_folder
from app.convert.progress import bar
from app.training.data.annotated import Exhaustive, all_or_some
from app.training.data.classes import IGNORED, Classes, is_stuff
from app.training.data.lazy import Region, RleMasks
from app.training.data.photo_set import PhotoSet, photo_set
from exporters import masks as codes
from exporters.coco import PROVENANCE_KEY, CocoDocument
from exporters.coco_columns import Problems
from labelers.frames import Frame, decide
from labelers.photos import PhotoError, PhotoHeader, read_header
from labelers.records import RLE, Boxes
from openseed_core.training.photos import PhotoRecord

STUFF_NAME = "annotations_stuff.json"
"""Beside an ``annotations.json``, it has the stuff of the same photos (and photos with stuff only)."""

ASSISTED_KEY = "assisted"
"""In an annotation's provenance: the model that wrote its mask in place of a person."""


@dataclass(frozen=True)
class _Part:
    """One file of the data set: the class of each category row, and what is annotated in full."""

    document: CocoDocument
    rows: dict[int, int]
    exhaustive: Exhaustive


@dataclass
class _Objects:
    """What was found in one photo so far, in pixels of the upright photo."""

    size: tuple[int, int]
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    rles: list[RLE] = field(default_factory=list)
    ignored_rles: list[RLE] = field(default_factory=list)
    ignored_boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    bare_boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    bare_labels: list[int] = field(default_factory=list)
    assisted: bool = False

    def ignore(self, box: tuple[float, float, float, float] | None, rle: RLE | None) -> None:
        if rle is not None:
            self.ignored_rles.append(rle)
        elif box is not None:
            self.ignored_boxes.append(box)


def read_coco(
    path: Path,
    *,
    images: Path | None,
    masks: bool,
    assisted: bool = True,
    leave_out: Sequence[str] = (),
    limit: int | None = None,
    quiet: bool = True,
    synonyms: Callable[[str], tuple[str, ...]] = lambda name: (name,),
    find: Callable[[str], PhotoHeader] | None = None,
) -> PhotoSet:
    """See ``app.training.data.read_set``.

    Args:
        synonyms: the prompts of a thing's name.
        find: opens the photo of a ``file_name`` instead of looking in ``images``; raises PhotoError.
    """
    problems, classes = Problems(), Classes(leave_out)
    with ExitStack() as stack:
        parts = [_part(stack, path, classes, problems, stuff=False, synonyms=synonyms)]
        beside = path.with_name(STUFF_NAME)
        if masks and path.name == "annotations.json" and beside.is_file():
            parts.append(_part(stack, beside, classes, problems, stuff=True, synonyms=synonyms))
        photos = _photos(parts)
        if find is None:
            # names that lead elsewhere say nothing about where the photos are
            inside = [name for name in photos if ".." not in name]
            folder, _ = photo_folder(images, path.resolve().parent, inside)

            def find(name: str) -> PhotoHeader:
                return read_header(folder, name)

        records: list[PhotoRecord] = []
        with bar(total=len(photos), unit="photos", what=f"reading {path.name}", quiet=quiet, delay=1.0) as progress:
            for file_name, places in photos.items():
                progress.update()
                record = _record(path, file_name, places, classes, masks, assisted, find, problems)
                if record is not None:
                    records.append(record)
                if limit is not None and len(records) >= limit:
                    break
    return photo_set(path, records, classes, problems)


def _part(
    stack: ExitStack,
    path: Path,
    classes: Classes,
    problems: Problems,
    *,
    stuff: bool,
    synonyms: Callable[[str], tuple[str, ...]],
) -> _Part:
    document = stack.enter_context(CocoDocument.open(path))
    for line in document.problems:
        count, _, rest = line.partition(" ")
        kind, _, examples = rest.partition(": ")
        problems.add(f"{kind} in {path.name}", examples, int(count))
    rows: dict[int, int] = {-1: -1}
    for category in document.categories:
        value = json.loads(document.category_text(category.row))
        is_region = is_stuff(value if isinstance(value, dict) else {}, default=stuff)
        rows[category.row] = classes.add(category.name, stuff=is_region, synonyms=synonyms)
    return _Part(document, rows, Exhaustive(document, rows, stuff=stuff, problems=problems))


def _photos(parts: Sequence[_Part]) -> dict[str, list[tuple[_Part, int]]]:
    """File name -> where the photo is annotated; photos without annotations are left out."""
    found: dict[str, list[tuple[_Part, int]]] = {}
    for part in parts:
        for image in part.document.images:
            if image.file_name and len(part.document.annotations(image.row)):
                found.setdefault(image.file_name, []).append((part, image.row))
    return found


def _record(
    path: Path,
    file_name: str,
    places: list[tuple[_Part, int]],
    classes: Classes,
    masks: bool,
    assisted: bool,
    find: Callable[[str], PhotoHeader],
    problems: Problems,
) -> PhotoRecord | None:
    try:
        header = find(file_name)
    except PhotoError as error:
        problems.add("photos that can't be read", str(error))
        return None
    objects = _Objects((header.height, header.width))
    exhaustive: frozenset[int] = frozenset()
    for part, row in places:
        image = part.document.images[row]
        stated = (image.width, image.height)
        if None not in stated and stated not in (
            (header.width, header.height),
            (header.raw_width, header.raw_height),
        ):
            problems.add(
                "photos of another size than the JSON's width and height, so that boxes would not fit; correct them",
                f"image {image.key} ({file_name}: {header.width} x {header.height}, not {stated[0]} x {stated[1]})",
            )
            return None
        frame = decide(header, image.width, image.height)
        _collect(part, row, frame, header, classes, masks, objects, problems)
        exhaustive |= part.exhaustive.classes(row)
    if not objects.labels:
        return None
    part, row = places[0]
    annotated = all_or_some(exhaustive, classes)
    ignored = objects.ignored_rles or objects.ignored_boxes
    boxes, labels = _as_arrays(objects.boxes, objects.labels)
    record = PhotoRecord(
        key=f"{path.name}: image {part.document.images[row].key} ({file_name})",
        pixels=header.photo(part.document.images[row].key).pixels,
        boxes=boxes,
        labels=labels,
        mask=RleMasks(tuple(objects.rles)) if masks else None,
        ignored=Region(objects.size, tuple(objects.ignored_rles), tuple(objects.ignored_boxes)) if ignored else None,
        annotated=None if annotated is None else np.array(annotated, np.int64),
        unmasked=_as_arrays(objects.bare_boxes, objects.bare_labels) if objects.bare_labels else None,
    )
    return record if assisted or not objects.assisted else record.without_masks()


def _as_arrays(
    boxes: list[tuple[float, float, float, float]], labels: list[int]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)


def _collect(
    part: _Part,
    row: int,
    frame: Frame,
    header: PhotoHeader,
    classes: Classes,
    masks: bool,
    objects: _Objects,
    problems: Problems,
) -> None:
    """The annotations of one image of one file, added to ``objects``."""
    document = part.document
    image, found = document.images[row], document.annotations(row)
    with np.errstate(over="ignore", invalid="ignore"):
        xyxy = frame.boxes_to_upright(np.concatenate([found.xywh[:, :2], found.xywh[:, :2] + found.xywh[:, 2:]], 1))
    boxes = Boxes(xyxy, ("",) * len(found))
    faults = boxes.problems(height=header.height, width=header.width)
    cut = boxes.clamped(height=header.height, width=header.width).xyxy.tolist()
    for k, (key, fault) in enumerate(zip(found.keys, faults, strict=True)):
        where = f"annotation {key} of image {image.key} ({image.file_name})"
        category_row = int(found.category_rows[k])
        index = part.rows[category_row]
        if category_row < 0:
            problems.add("annotations whose category_id is not among the categories; add it, or correct the id", where)
            index = IGNORED
        elif index != IGNORED and (index < 0 or (classes.is_stuff(index) and not masks)):
            continue
        box = None if fault is not None else (cut[k][0], cut[k][1], cut[k][2], cut[k][3])
        ignored = index == IGNORED or bool(found.iscrowd[k])
        rle: RLE | None = None
        if masks or ignored:
            rle, assisted = _mask(document, int(found.rows[k]), frame, where, problems)
            objects.assisted |= assisted and not ignored
        if ignored:
            objects.ignore(box, rle)
        elif masks and rle is None:
            if box is not None:
                objects.bare_boxes.append(box)
                objects.bare_labels.append(index)
            if not found.has_mask[k]:
                problems.add(
                    "annotations without a segmentation, ignored in training; draw masks, or let `openseed-label "
                    "assist` write them, or read the file as kind boxes",
                    where,
                )
        elif rle is None and fault is not None:
            problems.add("annotations whose bbox can't be used; correct or remove them", f"{where}: {fault[1]}")
        else:
            # a mask with a bad box keeps its place: its own box is as good
            objects.boxes.append(box or tuple(codes.box_xyxy(rle).tolist()))  # type: ignore[arg-type]
            objects.labels.append(index)
            if rle is not None:
                objects.rles.append(rle)


def _mask(document: CocoDocument, row: int, frame: Frame, where: str, problems: Problems) -> tuple[RLE | None, bool]:
    """The mask of one annotation in the upright photo, None where there is none or it is broken; and is it assisted?"""
    raw = document.raw_annotation(row)
    segmentation, provenance = raw.get("segmentation"), raw.get(PROVENANCE_KEY)
    if codes.is_empty(segmentation) or codes.is_box(segmentation, raw.get("bbox")):
        return None, False
    try:
        rle = codes.from_coco(segmentation, frame.height, frame.width)
    except codes.MaskError as error:
        problems.add("annotations whose segmentation can't be read; correct or remove them", f"{where}: {error}")
        return None, False
    assisted = isinstance(provenance, dict) and bool(provenance.get(ASSISTED_KEY))
    return None if rle is None else frame.mask_to_upright(rle), assisted
