"""``supervision.Detections`` <-> pictures, for those who go on in Python: objects, no files.

``supervision`` has no file of its own: it loads COCO, YOLO and VOC, which are formats here too. Masks come over pixel
for pixel, dense (bool [N, H, W]) or as supervision's ``CompactMask``. What ``Detections`` has no field for rides in its
``data`` (class name, id, crowd, group, attributes) and ``metadata`` (the picture), and comes back from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy, decode, encode, paste
from exporters.photo_files import photo_size
from labelers.records import RLE

if TYPE_CHECKING:
    import supervision as sv

HOLDS = Holds(stuff=False)

_CLASS_NAME = "class_name"  # supervision's own name for it, which its annotators show
_PICTURE = "openseed_label"
_USE_COCO = "supervision keeps objects in memory, no files; use coco, which sv.DetectionDataset.from_coco reads"


def matches(path: Path) -> bool:
    """No file is one."""
    return False


def read(path: Path, *, images: Path | None = None, on_problem: Callable[[str], object] | None = None) -> Dataset:
    """Raises FormatError: there are no such files. See ``picture_of`` and ``dataset_of``."""
    raise FormatError(f"{path}: {_USE_COCO}")


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008
    """Raises FormatError: there are no such files. See ``detections_of`` and ``detection_dataset_of``."""
    raise FormatError(f"{out}: {_USE_COCO}")


def detections_of(picture: Picture, labels: Sequence[Label], *, compact: bool = False) -> sv.Detections:
    """A picture's objects as ``Detections``, row k being item k.

    An item without a box gets that of its mask. Where only some items have masks, the others get empty ones; where
    only some have scores, the others get NaN.

    Args:
        labels: the classes; ``class_id`` is a position in them.
        compact: ``CompactMask`` instead of bool [N, H, W], which takes N x H x W bytes.

    Raises:
        FormatError: a class that is not listed, or an item with neither box nor mask.
    """
    import supervision as sv

    numbers = {label.name: k for k, label in enumerate(labels)}
    items, size = picture.items, (picture.height, picture.width)
    for number, item in enumerate(items, 1):
        if item.label not in numbers:
            raise FormatError(f"{picture.file_name}: object {number}: class {item.label!r} is not listed; add it")
        if item.box is None and item.mask is None:
            raise FormatError(f"{picture.file_name}: object {number} has neither box nor mask; remove it")
    about = {
        "file_name": picture.file_name,
        "width": picture.width,
        "height": picture.height,
        "id": picture.id,
        "split": picture.split,
        "attributes": dict(picture.attributes),
    }
    masks: Any = None
    if any(item.mask is not None for item in items):
        empty = paste(np.zeros((0, 0), bool), 0, 0, *size)
        rles = [empty if item.mask is None else item.mask for item in items]
        if compact:
            # supervision's boxes here are inclusive, and what lies outside of them is cut off
            tight = np.stack([box_xyxy(rle) for rle in rles]) - np.array([0, 0, 1, 1], np.float32)
            masks = sv.CompactMask.from_coco_rle(rles, tight, size)
        else:
            masks = np.stack([decode(rle) for rle in rles])
    scores = [item.score for item in items]
    return sv.Detections(
        xyxy=np.array([_box(item) for item in items], np.float64).reshape(-1, 4),
        mask=masks,
        confidence=_scores(scores) if any(score is not None for score in scores) else None,
        class_id=np.array([numbers[item.label] for item in items], int),
        data={
            _CLASS_NAME: np.array([item.label for item in items], str),
            "iscrowd": np.array([item.crowd for item in items], bool),
            "annotation_id": _objects([item.id for item in items]),
            "group": _objects([item.group for item in items]),
            "attributes": _objects([dict(item.attributes) for item in items]),
        },
        metadata={_PICTURE: about},
    )


def picture_of(
    detections: sv.Detections,
    labels: Sequence[Label] = (),
    *,
    file_name: str = "",
    width: int = 0,
    height: int = 0,
) -> Picture:
    """``Detections`` from ``detections_of`` or a model as a picture.

    Empty masks become None. Rows need a class: ``data["class_name"]``, or ``class_id`` with ``labels``.

    Args:
        file_name, width, height: of the photo; needed where ``detections`` were not made here (width and height not
            where it has masks).

    Raises:
        FormatError: the photo's name or size or a row's class is unknown, or masks have another size.
    """
    about = detections.metadata.get(_PICTURE, {})
    name = file_name or about.get("file_name", "")
    if not name:
        raise FormatError("detections: the photo's name is unknown; give file_name")
    shape = (0, 0) if detections.mask is None else detections.mask.shape[1:]
    width, height = width or about.get("width", shape[1]), height or about.get("height", shape[0])
    if width <= 0 or height <= 0:
        raise FormatError(f"{name}: the photo's size is unknown; give width and height")
    if detections.mask is not None and tuple(shape) != (height, width):
        raise FormatError(f"{name}: masks of {shape[1]} x {shape[0]} for a photo of {width} x {height} pixels")
    return Picture(
        file_name=name,
        width=int(width),
        height=int(height),
        items=tuple(_item(detections, k, labels, name) for k in range(len(detections))),
        id=about.get("id"),
        split=about.get("split", ""),
        attributes=about.get("attributes", {}),
    )


def _item(detections: sv.Detections, k: int, labels: Sequence[Label], name: str) -> Item:
    data = {key: values[k] for key, values in detections.data.items()}
    label = str(data.pop(_CLASS_NAME, ""))
    if not label:
        number = -1 if detections.class_id is None else int(detections.class_id[k])
        if not 0 <= number < len(labels):
            raise FormatError(f"{name}: row {k} has class {number}, which has no name; give labels")
        label = labels[number].name
    mask: RLE | None = None
    if detections.mask is not None:
        found = encode(np.asarray(detections.mask[k], bool))
        mask = found if area(found) else None
    score = None if detections.confidence is None else float(detections.confidence[k])
    attributes = dict(data.pop("attributes", {}) or {})
    key, crowd, group = data.pop("annotation_id", None), bool(data.pop("iscrowd", False)), data.pop("group", None)
    data.pop("area", None)  # supervision's from_coco keeps the file's there; it follows from the mask
    if detections.tracker_id is not None:
        attributes["tracker_id"] = int(detections.tracker_id[k])
    x0, y0, x1, y1 = (float(value) for value in detections.xyxy[k])
    return Item(
        label=label,
        box=(x0, y0, x1, y1),
        mask=mask,
        id=key,
        crowd=crowd,
        score=None if score is None or np.isnan(score) else score,
        group=group,
        attributes={**{name: _plain(value) for name, value in data.items()}, **attributes},
    )


def detection_dataset_of(dataset: Dataset, *, compact: bool = True) -> sv.DetectionDataset:
    """All of a data set in memory; photos are loaded by supervision when they are asked for.

    Raises:
        FormatError: the folder of the photos isn't known, or as ``detections_of``.
    """
    import supervision as sv

    if dataset.images is None:
        raise FormatError(f"{dataset.source}: the folder of the photos isn't known; give it (images)")
    found: dict[str, sv.Detections] = {}
    for picture in dataset:
        found[str(dataset.images / picture.file_name)] = detections_of(picture, dataset.labels, compact=compact)
    return sv.DetectionDataset([label.name for label in dataset.labels], list(found), found)


def dataset_of(
    found: sv.DetectionDataset, *, images: Path, sizes: Mapping[str, tuple[int, int]] | None = None
) -> Dataset:
    """supervision's data set as one of ours; photos must lie in ``images``.

    Args:
        sizes: path as in ``found`` -> (width, height), where there are neither masks nor our metadata to tell them;
            else the header of the photo is read.

    Raises:
        FormatError: while walking, as ``picture_of``, and for a photo outside ``images``.
    """
    labels = tuple(Label(name, id=k) for k, name in enumerate(found.classes))

    def pictures() -> Iterator[Picture]:
        for path in found.image_paths:
            if not Path(path).absolute().is_relative_to(images.absolute()):
                raise FormatError(f"{path}: the photo is not in {images}; give the folder that all photos are in")
            name = Path(path).absolute().relative_to(images.absolute()).as_posix()
            detections = found.annotations[path]
            width, height = (sizes or {}).get(path, (0, 0))
            if not width and detections.mask is None and _PICTURE not in detections.metadata:
                height, width = photo_size(images, name)
            yield picture_of(detections, labels, file_name=name, width=width, height=height)

    return Dataset(str(images), labels, len(found.image_paths), pictures, images=images)


def _box(item: Item) -> Sequence[float]:
    if item.box is not None or item.mask is None:
        return item.box or ()
    return [float(value) for value in box_xyxy(item.mask)]


def _scores(scores: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if score is None else score for score in scores], np.float64)


def _objects(values: Sequence[Any]) -> NDArray[np.object_]:
    found = np.empty(len(values), object)
    for k, value in enumerate(values):
        found[k] = value
    return found


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
