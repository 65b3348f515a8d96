"""Pascal VOC: an XML of boxes for each photo, and its masks as palette PNGs.

    Annotations/a.xml  JPEGImages/a.jpg  ImageSets/Main/train.txt  ImageSets/Segmentation/train.txt
    SegmentationClass/a.png (numbers of classes)  SegmentationObject/a.png (numbers of objects)  labelmap.txt

Object k of the XML has number k in SegmentationObject. ``labelmap.txt`` (as CVAT and Datumaro write it) says which
colour is which class; without it the twenty classes of VOC have theirs. The void border (255) belongs to no object; it
comes back as the picture's attribute ``void`` and is written from there. Writing is in ``voc_writer``.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture
from exporters.masks import box_xyxy, encode
from exporters.photo_files import PHOTO_SUFFIXES, checked_name, find_photo, photo_size
from exporters.problems import OnProblem, complain
from exporters.voc_masks import VOID, palette, png_size, read_classes, read_objects
from exporters.voc_writer import DEFAULT_SPLIT, LABELMAP, OFFICIAL, write
from exporters.voc_xml import Annotation, names_in, read_annotation
from labelers.records import RLE

__all__ = ["HOLDS", "matches", "read", "write"]

HOLDS = Holds(overlap=False, stuff=False, label_ids=False, supercategories=False, picture_ids=False)

_LINE = re.compile(r"(.*):(?:(\d{1,3}),(\d{1,3}),(\d{1,3}))?:[^:]*:[^:]*")
_FLAGGED = re.compile(r"(.*\S)\s+(?:-1|0|1)")
_MOST_BYTES = 256 * 1024 * 1024
# A mask may stick out of its box by rounding, and by the void border.
_SLACK = 6

Colours = Mapping[tuple[int, int, int], int]


@dataclass(frozen=True)
class _Set:
    root: Path
    images: Path | None
    labels: tuple[str, ...]
    colours: Colours
    splits: Mapping[str, str]
    on_problem: OnProblem


def matches(path: Path) -> bool:
    """Whether it is a folder with ``Annotations`` of VOC, or one (VOCdevkit) around a single such folder."""
    try:
        root = _find_root(path)
        if root is None:
            return False
        for name in itertools.islice(_below(root / "Annotations", ".xml"), 1):
            with (root / "Annotations" / f"{name}.xml").open("rb") as stream:
                return b"<annotation" in stream.read(4096)
        return (root / LABELMAP).is_file() or (root / "ImageSets").is_dir()
    except (OSError, ValueError):
        return False


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open a data set; a first look goes through all files for the names of the classes where no labelmap.txt is.

    Raises:
        FormatError: there is no such folder, or labelmap.txt can't be read.
    """
    root = _find_root(path)
    if root is None:
        raise FormatError(f"{path}: there is no folder Annotations; give the folder that holds Annotations")
    labels, colours = _labels(root)
    folder = images or (root / "JPEGImages" if (root / "JPEGImages").is_dir() else None)
    found = _Set(root, folder, labels, colours, _splits(root), on_problem)

    def pictures() -> Iterator[Picture]:
        for name in _ids(root):
            try:
                picture = _picture(found, name)
            except FormatError as error:
                complain(on_problem, error)
                continue
            yield picture

    listed = tuple(Label(label, number) for number, label in enumerate(labels))
    return Dataset(str(path), listed, sum(1 for _ in _ids(root)), pictures, images=folder)


def _picture(dataset: _Set, name: str) -> Picture:
    xml = _inside(dataset.root, f"Annotations/{name}.xml")
    if xml is None:
        annotation = Annotation("", 0, 0, ())
    else:
        annotation = read_annotation(xml, lambda message: complain(dataset.on_problem, message))
    file_name = _photo(dataset, name, annotation.file_name)
    height, width = annotation.height, annotation.width
    if not (height and width):
        pngs = (dataset.root / folder / f"{name}.png" for folder in ("SegmentationObject", "SegmentationClass"))
        size = next((size for size in map(png_size, pngs) if size is not None), None)
        if size is None and dataset.images is None:
            raise FormatError(f"{dataset.root}: {name}: its size is unknown; give the folder of photos with --images")
        height, width = size or photo_size(dataset.images or dataset.root, file_name, where=str(dataset.root))
    items, void = list(annotation.items), None
    try:
        items, void = _with_masks(dataset, name, items, height, width)
    except FormatError as error:
        complain(dataset.on_problem, error)
    known = set(dataset.labels)
    items = [item if item is None or item.label in known else replace(item, label=item.label.strip()) for item in items]
    kept = tuple(item for item in items if item is not None and item.label in known)
    for item in items:
        if item is not None and item.label not in known:
            complain(dataset.on_problem, f"{xml}: class {item.label!r} is not in {LABELMAP}; add it there")
    attributes = {} if void is None else {"void": {"size": void["size"], "counts": void["counts"].decode("ascii")}}
    return Picture(file_name, width, height, kept, split=dataset.splits.get(name, ""), attributes=attributes)


def _with_masks(
    dataset: _Set, name: str, items: list[Item | None], height: int, width: int
) -> tuple[list[Item | None], RLE | None]:
    """The items with their masks, and those that only the PNGs know; the void pixels."""
    classes_png = _inside(dataset.root, f"SegmentationClass/{name}.png")
    objects_png = _inside(dataset.root, f"SegmentationObject/{name}.png")
    classes = objects = None
    if classes_png is not None:
        classes = read_classes(classes_png, height=height, width=width, colours=dataset.colours)
    if objects_png is not None:
        objects = read_objects(objects_png, height=height, width=width)
    if objects is None and classes is None:
        return items, None
    if objects is None:
        assert classes is not None
        regions = [(label, classes == label) for label in np.unique(classes[classes >= 0]).tolist()]
        items = [*items, *(Item(dataset.labels[label], mask=encode(mask)) for label, mask in regions)]
        void = classes == -1
    else:
        void = objects == VOID
        for number in np.unique(objects[(objects > 0) & ~void]).tolist():
            _give(dataset, items, number, objects == number, classes, f"{objects_png}")
    return items, encode(void) if void.any() else None


def _give(
    dataset: _Set,
    items: list[Item | None],
    number: int,
    mask: NDArray[np.bool_],
    classes: NDArray[np.int32] | None,
    where: str,
) -> None:
    """The mask of object ``number`` to the item that it belongs to, or to a new one."""
    rle = encode(mask)
    label = None
    if classes is not None and len(inside := classes[mask & (classes >= 0)]):
        label = dataset.labels[int(np.bincount(inside).argmax())]
    free = [at for at, item in enumerate(items) if item is not None and item.mask is None]
    free = [at for at in free if label is None or _item(items, at).label == label]
    at = number - 1
    if at not in free or not _around(_item(items, at), rle):
        overlaps = {k: _box_iou(_item(items, k), rle) for k in free}
        at = max(overlaps, key=lambda k: overlaps[k], default=-1)
        if at >= 0 and overlaps[at] < 0.5:
            at = -1
    if at >= 0:
        items[at] = replace(_item(items, at), mask=rle)
    elif label is not None:
        items.append(Item(label, mask=rle))
    else:
        complain(dataset.on_problem, f"{where}: object {number} has neither a class nor a box; colour it or remove it")


def _item(items: list[Item | None], at: int) -> Item:
    item = items[at]
    assert item is not None
    return item


def _around(item: Item, mask: RLE) -> bool:
    if item.box is None:
        return True
    x0, y0, x1, y1 = box_xyxy(mask).tolist()
    left, top, right, bottom = item.box
    return bool(x0 >= left - _SLACK and y0 >= top - _SLACK and x1 <= right + _SLACK and y1 <= bottom + _SLACK)


def _box_iou(item: Item, mask: RLE) -> float:
    if item.box is None:
        return 0.0
    a, b = np.array(item.box), box_xyxy(mask).astype(np.float64)
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / max((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared, 1e-9))


def _photo(dataset: _Set, name: str, said: str) -> str:
    """The photo's name: the XML's place with the photo's own suffix; what the XML says may be of another computer."""
    folder, _, stem = name.rpartition("/")
    at = f"{folder}/" if folder else ""
    base = said.replace("\\", "/").rpartition("/")[2]
    suffix = PurePosixPath(base).suffix
    choices = [f"{at}{stem}{suffix}"] if suffix.lower() in PHOTO_SUFFIXES else []
    choices += [f"{at}{base}"] if base and suffix.lower() in PHOTO_SUFFIXES else []
    choices += [f"{at}{stem}{other}" for other in (".jpg", ".png", ".jpeg")]
    if dataset.images is not None:
        for choice in dict.fromkeys(choices):
            if find_photo(dataset.images, choice, where=f"{dataset.root}: {name}") is not None:
                return choice
    return checked_name(choices[0], where=f"{dataset.root}: {name}")


def _labels(root: Path) -> tuple[tuple[str, ...], Colours]:
    """The names of the classes, and colour -> number in that list."""
    table = palette().tolist()
    file = root / LABELMAP
    if not file.is_file():
        seen = {name for xml in _ids(root) for name in names_in(root / "Annotations" / f"{xml}.xml")}
        if seen <= set(OFFICIAL):
            return OFFICIAL, {tuple(table[number]): number - 1 for number in range(1, len(OFFICIAL) + 1)}
        return tuple(sorted(seen)), {}
    names: list[str] = []
    colours: dict[tuple[int, int, int], int] = {}
    for line in _text(file).splitlines():
        found = _LINE.fullmatch(line.rstrip())
        if found is None or (found[1].startswith("#") and found[2] is None):
            continue
        colour = None if found[2] is None else (int(found[2]), int(found[3]), int(found[4]))
        if colour == (0, 0, 0) or (found[1] == "background" and colour is None):
            continue
        if found[1] in names or not found[1]:
            raise FormatError(f"{file}: class {found[1]!r} is empty or stands there twice; give each its own name")
        if colour is not None:
            if colour in colours:
                raise FormatError(f"{file}: class {found[1]!r} has the colour of another; give each its own")
            colours[colour] = len(names)
        names.append(found[1])
    return tuple(names), colours


def _splits(root: Path) -> dict[str, str]:
    """Id -> split, from the lists of ImageSets; lists of one class (``cat_train.txt``) are left aside."""
    found: dict[str, str] = {}
    files = [*(root / "ImageSets" / "Main").glob("*.txt"), *(root / "ImageSets" / "Segmentation").glob("*.txt")]
    for file in sorted(files, key=lambda file: (file.stem == "trainval", file.as_posix())):
        if file.stat().st_size > _MOST_BYTES:
            raise FormatError(f"{file}: more than {_MOST_BYTES} bytes; this can't be a list of photos")
        lines = [line for line in _text(file).split("\n") if line.strip()]
        if "_" in file.stem and lines and all(_FLAGGED.fullmatch(line.strip()) for line in lines[:20]):
            continue
        split = "" if file.stem == DEFAULT_SPLIT else file.stem
        for line in lines:
            quoted = line.split('"')
            found.setdefault(quoted[1] if len(quoted) == 3 else line.strip("\r"), split)
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"{file}: no UTF-8 text that can be read ({error}); save it again") from None


def _ids(root: Path) -> Iterator[str]:
    """Names of all pictures, without suffix: those with an XML, then those with masks alone."""
    yield from _below(root / "Annotations", ".xml")
    for folder in ("SegmentationObject", "SegmentationClass"):
        for name in _below(root / folder, ".png"):
            earlier = (root / "Annotations" / f"{name}.xml", root / "SegmentationObject" / f"{name}.png")
            if not any(file.exists() for file in earlier[: 1 if folder == "SegmentationObject" else 2]):
                yield name


def _below(folder: Path, suffix: str) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders.sort()
        inside = Path(where).relative_to(folder).as_posix()
        for name in sorted(files):
            if name.endswith(suffix):
                yield (f"{inside}/" if inside != "." else "") + name[: -len(suffix)]


def _inside(root: Path, name: str) -> Path | None:
    """A file that exists and is no link out of the folder."""
    return root / name if find_photo(root, name, where=str(root)) is not None else None


def _find_root(path: Path) -> Path | None:
    if (path / "Annotations").is_dir():
        return path
    inner = [found.parent for pattern in ("VOC*", "VOCdevkit/VOC*") for found in path.glob(f"{pattern}/Annotations")]
    return inner[0] if len(inner) == 1 else None
