"""COCO panoptic JSON and PNGs as training records. A PNG is decoded when its photo is drawn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.convert.plan import photo_folder
from app.convert.progress import bar
from app.training.data.annotated import all_or_some
from app.training.data.classes import IGNORED, Classes
from app.training.data.photo_set import DataError, PhotoSet, photo_set
from exporters.coco_columns import Problems
from exporters.coco_panoptic import PanopticImage, read_ids, read_panoptic
from labelers.frames import Frame, decide
from labelers.orientation import array_to_upright
from labelers.photos import PhotoError, read_header
from labelers.records import Boxes
from openseed_core.training.photos import PhotoRecord


class LastMap:
    """The ids of the PNG that was read last, one for each thread: all masks of a photo are asked for together."""

    def __init__(self) -> None:
        self._kept = threading.local()

    def __reduce__(self) -> tuple[type[LastMap], tuple[()]]:
        return LastMap, ()  # another process starts with nothing kept

    def ids(self, png: Path, frame: Frame) -> NDArray[np.int32]:
        """int32 [H, W] of the upright photo. Raises PanopticError."""
        if getattr(self._kept, "png", None) != png:
            ids = read_ids(png, height=frame.height, width=frame.width)
            self._kept.ids = array_to_upright(ids, frame.orientation)
            self._kept.png = png
        kept: NDArray[np.int32] = self._kept.ids
        return kept


@dataclass(frozen=True)
class PngMasks:
    """Mask k of a photo, uint8 0/1 [H, W]: where its PNG has the id of segment k."""

    png: Path
    frame: Frame
    segments: tuple[int, ...]
    last: LastMap = field(repr=False, compare=False)

    def __call__(self, k: int) -> NDArray[np.uint8]:
        found: NDArray[np.bool_] = self.last.ids(self.png, self.frame) == self.segments[k]
        return found.view(np.uint8)


@dataclass(frozen=True)
class PngIgnored:
    """uint8 0/1 [H, W]: void, and the segments with these ids."""

    png: Path
    frame: Frame
    segments: tuple[int, ...]
    last: LastMap = field(repr=False, compare=False)

    def __call__(self) -> NDArray[np.uint8]:
        return np.isin(self.last.ids(self.png, self.frame), (0, *self.segments)).view(np.uint8)


def read_panoptic_set(
    path: Path,
    *,
    images: Path | None,
    pngs: Path | None = None,
    masks: bool = True,
    leave_out: Sequence[str] = (),
    limit: int | None = None,
    quiet: bool = True,
) -> PhotoSet:
    """See ``app.training.data.read_set``. Raises DataError, PanopticError."""
    document = read_panoptic(path)
    pngs = pngs or path.with_suffix("")
    if masks and not pngs.is_dir():
        raise DataError(f"{pngs}: there is no such folder of PNGs for {path}; give it with pngs")
    classes, problems, last = Classes(leave_out), Problems(), LastMap()
    index = {c.id: classes.add(c.name, stuff=not c.isthing) for c in document.categories}
    by_name = {str(key): index[c.id] for c in document.categories for key in (c.id, c.name)}
    folder, _ = photo_folder(images, path.resolve().parent, [image.file_name for image in document.images])
    records: list[PhotoRecord] = []
    with bar(total=len(document.images), unit="photos", what=f"reading {path.name}", quiet=quiet, delay=1) as progress:
        for image in document.images:
            progress.update()
            record = _record(path, folder, pngs, image, index, by_name, classes, masks, last, problems)
            if record is not None:
                records.append(record)
            if limit is not None and len(records) >= limit:
                break
    return photo_set(path, records, classes, problems)


def _record(
    path: Path,
    folder: Path,
    pngs: Path,
    image: PanopticImage,
    index: dict[int, int],
    by_name: dict[str, int],
    classes: Classes,
    masks: bool,
    last: LastMap,
    problems: Problems,
) -> PhotoRecord | None:
    where = f"image {image.image_id} ({image.file_name})"
    try:
        header = read_header(folder, image.file_name)
        # the PNG's header too: a missing file should be told now, not in the middle of a training run
        label = read_header(pngs, image.png) if masks else None
    except PhotoError as error:
        problems.add("photos or PNGs that can't be read", str(error))
        return None
    frame = decide(header, image.width, image.height)
    sizes = {(frame.width, frame.height), *([(label.raw_width, label.raw_height)] if label else [])}
    if sizes != {(image.width, image.height)}:
        problems.add("photos or PNGs of another size than the JSON's width and height; correct it", where)
        return None
    kept, ignored = [], []
    for segment in image.segments:
        label_index = index[segment.category_id]
        if segment.iscrowd or label_index == IGNORED:
            ignored.append(segment.id)
        elif label_index >= 0 and (masks or not classes.is_stuff(label_index)):
            kept.append(segment)
    xywh = np.array([segment.bbox for segment in kept], np.float64).reshape(-1, 4)
    boxes = Boxes(
        frame.boxes_to_upright(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)), ("",) * len(kept)
    )
    good = []
    for k, fault in enumerate(boxes.problems(height=header.height, width=header.width)):
        if fault is None:
            good.append(k)
        else:
            problems.add(
                "segments whose bbox can't be used; correct or remove them",
                f"segment {kept[k].id} of {where}: {fault[1]}",
            )
    if not good:
        return None
    exhaustive = frozenset() if image.partial else frozenset(range(len(classes)))
    if image.annotated is not None:
        exhaustive = frozenset(i for name in image.annotated if (i := by_name.get(str(name), -1)) >= 0)
    annotated = all_or_some(exhaustive, classes)
    png = pngs / image.png
    return PhotoRecord(
        key=f"{path.name}: {where}",
        pixels=header.photo(str(image.image_id)).pixels,
        boxes=boxes[good].clamped(height=header.height, width=header.width).xyxy,
        labels=np.array([index[kept[k].category_id] for k in good], np.int64),
        mask=PngMasks(png, frame, tuple(kept[k].id for k in good), last) if masks else None,
        ignored=PngIgnored(png, frame, tuple(ignored), last) if masks else None,
        annotated=None if annotated is None else np.array(annotated, np.int64),
    )
