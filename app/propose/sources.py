"""The photos of a run: those of a folder, or those of a COCO file with what is annotated on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import class_name, photo_folder
from app.errors import UsageError
from app.propose.settings import Settings
from exporters import masks
from exporters.coco import CocoDocument
from labelers.frames import Frame, decide
from labelers.photos import PhotoHeader, read_header
from labelers.records import RLE, Boxes, Instances, Status
from labelers.remote import RemoteFolder


@dataclass(frozen=True)
class Item:
    """One photo.

    Attributes:
        key: its key in the journal: the image's row, or the file name in a folder.
        file_name: relative to the root.
        image_id: of the COCO file; counted from 1 in a folder.
        row: of the document, None in a folder.
        width, height: as the COCO file says, None where it doesn't.
        problem: why it can't take part, None where it can.
    """

    key: str
    file_name: str
    image_id: Any
    row: int | None = None
    width: int | None = None
    height: int | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Source:
    """All photos of a run. ``left_out``: photos beyond ``--limit``."""

    root: Path | RemoteFolder
    items: tuple[Item, ...]
    document: CocoDocument | None
    notes: tuple[str, ...] = ()
    left_out: int = 0

    def close(self) -> None:
        if self.document is not None:
            self.document.close()


def open_source(settings: Settings) -> Source:
    """List the photos. Raises UsageError, CocoError."""
    return _folder(settings) if settings.source.is_dir() else _document(settings)


def _folder(settings: Settings) -> Source:
    from app.store.folder_import import SUFFIXES, photo_names

    root = settings.source.resolve()
    names = [name for name in photo_names(root) if not (root / name).is_relative_to(settings.output)]
    if not names:
        raise UsageError(f"{settings.source}: there is no photo in it ({', '.join(sorted(SUFFIXES))}); check the path")
    items = []
    for number, name in enumerate(names, start=1):
        problem = None if _is_text(name) else "its name is no UTF-8; rename it"
        items.append(Item(ascii(name) if problem else name, name, number, problem=problem))
    kept = items[: settings.limit]
    return Source(root, tuple(kept), None, left_out=len(items) - len(kept))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(settings: Settings) -> Source:
    from app.convert.sniff import refuse_other_formats

    refuse_other_formats(settings.source)
    document = CocoDocument.open(settings.source)
    seen: set[Any] = set()
    items = []
    for image in document.images:
        found = json.loads(document.image_text(image.row))
        image_id = found.get("id") if isinstance(found, dict) else None
        problem = None
        if isinstance(image_id, bool) or not isinstance(image_id, int | str):
            problem = "its id is missing, or no number or text; give it one"
        elif image_id in seen:
            problem = f"its id {image_id!r} is that of another photo too; give it one of its own"
        else:
            seen.add(image_id)
        items.append(Item(str(image.row), image.file_name, image_id, image.row, image.width, image.height, problem))
    kept = items[: settings.limit]
    root, note = photo_folder(
        settings.images, settings.source.resolve().parent, (item.file_name for item in kept if not item.problem)
    )
    return Source(root, tuple(kept), document, (note,) if note else (), len(items) - len(kept))


@dataclass(frozen=True)
class Asked:
    """One photo, looked at: header, the frame of the file's boxes, and what is annotated, in upright pixels.

    ``rows`` are the document's annotation rows of ``existing``; row k of one belongs to row k of the other.
    """

    header: PhotoHeader
    frame: Frame
    existing: Instances
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Known:
    """What the file says of one photo's annotations: without the photo, and may travel to another machine.

    Parallel over N annotations: rows of the document, xywh float64 [N, 4] in the file's frame, class names, and
    segmentations as in the file (None where there is none, or none was asked for).
    """

    rows: tuple[int, ...]
    xywh: NDArray[np.float64]
    names: tuple[str, ...]
    segmentations: tuple[Any, ...]


def known(source: Source, item: Item, *, with_masks: bool = True) -> Known:
    """The annotations of one photo; none in a folder."""
    document = source.document
    if document is None or item.row is None:
        return Known((), np.zeros((0, 4)), (), ())
    annotations = document.annotations(item.row)
    rows = tuple(annotations.rows.tolist())
    return Known(
        rows,
        annotations.xywh,
        tuple(class_name(document.categories, int(row)) for row in annotations.category_rows),
        tuple(
            document.segmentation(row) if with_masks and there else None
            for row, there in zip(rows, annotations.has_mask.tolist(), strict=True)
        ),
    )


def look(root: Path | RemoteFolder, item: Item, what: Known, *, exif: Any) -> Asked:
    """Read the photo's header and bring its annotations into the upright frame. Raises PhotoError."""
    header = read_header(root, item.file_name)
    frame = decide(header, item.width, item.height, "upright" if item.row is None else exif)
    with np.errstate(over="ignore", invalid="ignore"):
        corners = np.concatenate([what.xywh[:, :2], what.xywh[:, :2] + what.xywh[:, 2:]], axis=1)
        xyxy = frame.boxes_to_upright(corners)
    found: list[RLE | None] = []
    for k, segmentation in enumerate(what.segmentations):
        mask = None if segmentation is None else _mask(segmentation, frame)
        if mask is not None and not np.isfinite(xyxy[k]).all():
            xyxy[k] = masks.box_xyxy(mask)
        found.append(mask)
    status = tuple(Status.EMPTY if mask is None else Status.OK for mask in found)
    scores = np.ones(len(found), np.float32)
    return Asked(header, frame, Instances(Boxes(xyxy, what.names), tuple(found), scores, status), what.rows)


def ask(source: Source, item: Item, *, exif: Any, with_masks: bool = True) -> Asked:
    """``known`` and ``look``. Raises PhotoError."""
    return look(source.root, item, known(source, item, with_masks=with_masks), exif=exif)


def _mask(segmentation: Any, frame: Frame) -> RLE | None:
    """In upright pixels; None where it can't be read: then the box is compared."""
    try:
        mask = masks.from_coco(segmentation, frame.height, frame.width)
    except masks.MaskError:
        return None
    return None if mask is None else frame.mask_to_upright(mask)
