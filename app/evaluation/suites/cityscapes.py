"""Cityscapes val: panoptic, instances and semantic, all read from the ``instanceIds`` PNGs of the download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.evaluation.instances import InstanceTask
from app.evaluation.panoptic import PanopticTask, Segmented, instances_of
from app.evaluation.semantic import SemanticTask, labels_of, read_values
from app.evaluation.suites.suite import NOT_VERIFIED, Resize, Suite, check, files_in
from app.evaluation.task import PhotoAt, Source, Task
from exporters.coco_panoptic import PanopticCategory, PanopticWriter, describe_segments
from labelers.named_vocabularies import named
from labelers.photos import PhotoError, PhotoHeader, read_header

LAYOUT = {
    "leftImg8bit/val": "500 photos in folders by city (leftImg8bit_trainvaltest.zip)",
    "gtFine/val": "PNGs in folders by city (gtFine_trainvaltest.zip)",
}

IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Of the 19 classes that are evaluated, in the order of the vocabulary; other ids are void."""

_PHOTO, _TRUTH = "_leftImg8bit.png", "_gtFine_instanceIds.png"


def tasks(root: Path) -> list[Task]:
    check(root, "cityscapes", LAYOUT)
    vocabulary = named("cityscapes-19")
    source = read_split(root, "val")
    return [
        PanopticTask(source, vocabulary),
        InstanceTask("instance", instances_of(source, vocabulary), vocabulary),
        SemanticTask(labels_of(source), vocabulary),
    ]


def read_split(root: Path, split: str) -> Source[Segmented]:
    """The truth of ``train`` or ``val``. Raises UsageError: no photos there."""
    folder = root / "leftImg8bit" / split
    photos = files_in(folder, f"*/*{_PHOTO}")
    return instance_ids(
        [PhotoAt(folder, name) for name in photos],
        root / "gtFine" / split,
        [name.removesuffix(_PHOTO) + _TRUTH for name in photos],
        stuff=[entry.stuff for entry in named("cityscapes-19").entries],
    )


def export_panoptic(root: Path, split: str, path: Path) -> None:
    """Write a split as COCO panoptic (``path`` and a folder of PNGs called like it), as training reads it."""
    vocabulary, source = named("cityscapes-19"), read_split(root, split)
    categories = [PanopticCategory(k, entry.name, not entry.stuff) for k, entry in enumerate(vocabulary.entries)]
    with PanopticWriter(path, path.with_suffix(""), categories) as writer:
        for index, at in enumerate(source.photos):
            true = source.read(index, read_header(at.root, at.file_name))
            segments = describe_segments(true.ids, true.labels)
            writer.add(
                Path(at.file_name).name.removesuffix(_PHOTO),
                at.file_name,
                true.ids,
                [replace(segment, iscrowd=segment.id in true.crowd) for segment in segments],
            )


def instance_ids(
    photos: Sequence[PhotoAt], folder: Path, names: Sequence[str], *, stuff: Sequence[bool]
) -> Source[Segmented]:
    """Cityscapes' own code: below 1000 the class, else 1000 times the class and a number.

    A thing without a number is a group: a crowd.
    """
    places = {number: k for k, number in enumerate(IDS)}

    def read(index: int, header: PhotoHeader) -> Segmented:
        values = read_values(folder, names[index])
        if values.shape != (header.height, header.width):
            raise PhotoError(
                header.source,
                f"{header.width} x {header.height}, but its labels are {values.shape[1]} x {values.shape[0]}",
                "give the photo that was annotated",
            )
        labels, crowd = {}, set()
        for value in np.unique(values).tolist():
            label = places.get(value if value < 1000 else value // 1000)
            if label is None:
                values[values == value] = 0
                continue
            labels[value] = label
            if value < 1000 and not stuff[label]:
                crowd.add(value)
        return Segmented(values.astype(np.int32), labels, frozenset(crowd))

    return Source(tuple(photos), read)


SUITE = Suite(
    "cityscapes",
    "Cityscapes val, 19 classes",
    LAYOUT,
    Resize(1024, 2048),
    tasks,
    (),
    (
        "instance AP is COCO's, not that of Cityscapes' own script (which matches and averages a little differently)",
        NOT_VERIFIED,
    ),
)
