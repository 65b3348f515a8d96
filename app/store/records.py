"""What the store gives out: frozen dataclasses without a database behind them.

Boxes are xyxy pixels of the EXIF-upright photo, masks are ``labelers.records.RLE`` of the upright photo, times are
unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from labelers.records import RLE

Box = tuple[float, float, float, float]


class State(StrEnum):
    """What an annotator thinks of an annotation."""

    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NEEDS_WORK = "needs work"


PENDING = (State.PROPOSED, State.NEEDS_WORK)
"""The states that somebody has to look at."""


@dataclass(frozen=True)
class ProjectRecord:
    """One project of a database.

    Attributes:
        images_root: the folder that file names are relative to.
        source, source_sha256: the imported COCO file, and its content then; None for a folder of bare photos.
    """

    id: int
    name: str
    images_root: str
    source: str | None
    source_sha256: str | None
    created_at: float


@dataclass(frozen=True)
class ImageRecord:
    """One photo.

    Attributes:
        position: place in the imported file, from 0.
        file_name: relative to the project's ``images_root``.
        width, height: upright size in pixels.
        orientation: EXIF orientation of the file.
        frame_orientation, frame_width, frame_height: the frame of the imported file's boxes (``labelers.frames``).
        problem: what the annotator must know (missing, broken, sizes contradict), None where all is well.
        reviewed: an annotator said that this photo is done.
        lease_by, lease_until: who works on it and until when; an expired lease still stands here.
        sha256: of the file, None until it was first opened.
    """

    id: int
    position: int
    file_name: str
    width: int
    height: int
    orientation: int
    frame_orientation: int
    frame_width: int
    frame_height: int
    problem: str | None
    reviewed: bool
    lease_by: str | None
    lease_until: float | None
    sha256: str | None


@dataclass(frozen=True)
class CategoryRecord:
    """One class. Names may repeat within a project, as they may in a COCO file."""

    id: int
    position: int
    name: str
    colour: str
    synonyms: tuple[str, ...]


@dataclass(frozen=True)
class AnnotationRecord:
    """One annotation as it stands.

    Attributes:
        category_id: None where the imported file named a class that it doesn't define.
        box: None where the imported file has no usable one.
        mask: None where there is none yet.
        form, simplify: how the mask is shown and exported (``exporters.masks.to_coco``); simplify in pixels.
        quality: how good the labeler believes the mask to be, 0 to 1, None where nobody knows.
        source: ``imported``, ``human`` or ``model:<name>``: where the mask (else the box) comes from.
        author: who changed it last; ``import`` at first.
        version: give it back with a change; it grows by one with each.
    """

    id: int
    image_id: int
    category_id: int | None
    box: Box | None
    mask: RLE | None
    form: str
    simplify: float
    quality: float | None
    source: str
    state: State
    iscrowd: bool
    author: str
    version: int
    deleted: bool
    updated_at: float


@dataclass(frozen=True)
class AnnotationValues:
    """What the event log remembers of an annotation before and after an act. Fields as in ``AnnotationRecord``.

    ``box_changed``, ``mask_changed`` and ``category_changed`` tell what differs from the imported file.
    """

    category_id: int | None
    box: Box | None
    mask: RLE | None
    form: str
    simplify: float
    quality: float | None
    source: str
    state: State
    iscrowd: bool
    author: str
    deleted: bool
    box_changed: bool
    mask_changed: bool
    category_changed: bool


@dataclass(frozen=True)
class HistoryRecord:
    """One act on one annotation. ``before`` is None where the act made it; ``at`` is in unix seconds."""

    act_id: int
    actor: str
    kind: str
    at: float
    before: AnnotationValues | None
    after: AnnotationValues


@dataclass(frozen=True)
class ImageSummary:
    """One line of a list of photos. ``pending`` of its ``total`` annotations wait for somebody's look."""

    id: int
    position: int
    file_name: str
    pending: int
    total: int
    reviewed: bool
    problem: str | None


@dataclass(frozen=True)
class ModelRunRecord:
    """One pass of a labeler over the project; ``finished_at`` is None while it runs, or where it was interrupted."""

    id: int
    labeler: str
    version: str
    settings: Mapping[str, Any]
    started_at: float
    finished_at: float | None
    photos: int
    annotations: int
