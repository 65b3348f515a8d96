"""One PNG of class numbers for each photo: ``masks/**.png`` and ``classes.json``.

One channel of 8 bits, or 16 where there are more than 254 classes; 0 is background. ``classes.json`` names the classes
and the pictures. Folders of other tools are read, too, if they have a ``classes.json`` that is a list of names (0, 1,
...) or an object number -> name; 255 (65535) is then "don't care" where it has no name, and a class 0 called
background, unlabeled or the like is no object.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy, window
from exporters.photo_files import (
    MAX_PIXELS,
    PHOTO_SUFFIXES,
    UniqueNames,
    checked_name,
    find_photo,
    first_found,
    place_photo,
    read_index_png,
    safe_name,
)
from exporters.png_listing import (
    ListingWriter,
    label_json,
    label_of,
    mask_rle,
    picture_json,
    picture_of,
    read_head,
    read_pictures,
)
from exporters.problems import OnProblem, complain, whole

HOLDS = Holds(
    boxes=False,
    overlap=False,
    instances=False,
    crowds=False,
    scores=False,
    ids=False,
    attributes=False,
)

NAME = "classes.json"
FORMAT = "mask-pngs"

_BACKGROUND = ("background", "_background_", "__background__", "unlabeled", "void", "ignore", "other", "")
_SPLITS = ("train", "val", "test", "training", "validation")
_MASKS = "masks"


def matches(path: Path) -> bool:
    """Whether it is a folder with ``classes.json`` and PNGs, of ours or others."""
    try:
        if not path.is_dir() or not (path / NAME).is_file():
            return False
        if (path / _MASKS).is_dir() or f'"{FORMAT}"' in (path / NAME).open(errors="replace").read(4096):
            return True
        return any(name.suffix.lower() == ".png" for name in path.iterdir())
    except OSError:
        return False


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Read the folder: one item for each class that a PNG shows.

    Raises:
        FormatError: no ``classes.json`` or one that names no classes; and without ``on_problem`` any PNG that is wrong.
    """
    listing = path / NAME
    head, count = read_head(listing)
    classes = _classes(head, listing)
    if images is None and (path / "images").is_dir():
        images = path / "images"

    def pictures() -> Iterator[Picture]:
        for where, element in read_pictures(listing) if count >= 0 else _found(path, images):
            try:
                yield _picture(path, where, element, classes, on_problem)
            except FormatError as error:
                complain(on_problem, error)

    labels = tuple(label for label in classes.values() if label is not None)
    total = count if count >= 0 else sum(1 for _ in _pngs(path))
    return Dataset(str(path), labels, total, pictures, images=images, info=_info(head))


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008 (frozen)
    """Write the folder ``out``. Where masks overlap, things win over stuff, and later objects over earlier ones.

    Raises FormatError where ``out`` exists and is not empty, for more than 65534 classes, and what reading raises.
    """
    written = Written()
    numbers = {label.name: place + 1 for place, label in enumerate(dataset.labels)}
    if len(numbers) > 65534:
        raise FormatError(f"{len(numbers):,} classes; 16 bits hold 65,534: merge some, or use --to instance-pngs")
    wide = len(numbers) > 254
    things = {label.name for label in dataset.labels if label.is_thing}
    classes = [{"index": numbers[label.name], **label_json(label)} for label in dataset.labels]
    head = {
        "format": FORMAT,
        "background": 0,
        "bits": 16 if wide else 8,
        "info": dict(dataset.info),
        "classes": classes,
    }
    names = UniqueNames()
    with building(out) as folder, ListingWriter(folder / NAME, head) as listing:
        for picture in dataset:
            values = _values(picture, numbers, things, written).astype(np.uint16 if wide else np.uint8)
            split = safe_name(picture.split, flat=True) if picture.split.strip() else ""
            png = "/".join(filter(None, [_MASKS, split, names(picture.file_name, suffix=".png", folder=split)]))
            target = folder / png
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(target, format="PNG")
            element = picture_json(picture)
            if options.copy_images != "none":
                element["file_name"] = safe_name(picture.file_name)
                place = folder / "images" / element["file_name"]
                reason = place_photo(dataset.images, picture.file_name, place, options.copy_images)
                if reason is not None:
                    written.drop(reason)
            listing.add({"png": png, **element})
            written.pictures += 1
            options.on_picture()
    return written


def _values(picture: Picture, numbers: dict[str, int], things: set[str], written: Written) -> NDArray[np.int64]:
    """Class numbers, int64 [H, W]."""
    if picture.height * picture.width > MAX_PIXELS:
        raise FormatError(f"photo {picture.file_name!r}: more than {MAX_PIXELS:,} pixels; that is no photo")
    values = np.zeros((picture.height, picture.width), np.int64)
    for item in sorted(picture.items, key=lambda item: item.label in things):  # keeps the order otherwise
        if item.mask is None or not area(item.mask):
            written.drop("boxes without a mask")
            continue
        if item.label not in numbers:
            raise FormatError(f"photo {picture.file_name!r}: label {item.label!r} is not among the labels")
        if item.mask["size"] != [picture.height, picture.width]:
            raise FormatError(f"photo {picture.file_name!r}: a mask of {item.mask['size']} does not fit the photo")
        crop, x0, y0 = window(item.mask)
        values[y0 : y0 + crop.shape[0], x0 : x0 + crop.shape[1]][crop] = numbers[item.label]
        written.items += 1
    return values


def _classes(head: dict[str, Any], path: Path) -> dict[int, Label | None]:
    """Number -> class, None for what is no object. Raises FormatError."""
    listed: Any = head.get("classes", head.get(""))
    if isinstance(listed, dict):
        head, listed = listed, None
    found: dict[int, Label | None] = {}
    if isinstance(listed, list):
        for place, element in enumerate(listed):
            where = f"{path}: classes[{place}]"
            if isinstance(element, str):
                found[place] = _foreign(place, element)
            else:
                label = label_of(element, where)
                number = whole(element.get("index", place), f"{where}: index")
                found[number] = label if head.get("format") == FORMAT else _foreign(number, label.name)
    else:
        pairs = ((key, name) for key, name in head.items() if key.isascii() and key.isdigit() and len(key) < 6)
        found = {int(key): _foreign(int(key), name) for key, name in pairs if isinstance(name, str)}
    names = [label.name for label in found.values() if label is not None]
    if (not names and head.get("format") != FORMAT) or len(set(names)) < len(names):
        raise FormatError(f"{path}: it names no classes, or one twice; a list of names, or number -> name, is expected")
    return found


def _foreign(number: int, name: str) -> Label | None:
    if number in (0, 255) and name.strip().lower() in _BACKGROUND:
        return None
    return Label(name, number)


def _info(head: dict[str, Any]) -> dict[str, Any]:
    info = head.get("info")
    return info if isinstance(info, dict) else {}


def _pngs(path: Path) -> Iterator[str]:
    base = path / _MASKS if (path / _MASKS).is_dir() else path
    for root, folders, files in os.walk(base):
        folders.sort()
        if Path(root) == path and "images" in folders:
            folders.remove("images")
        yield from (
            (Path(root) / name).relative_to(path).as_posix() for name in sorted(files) if name.lower().endswith(".png")
        )


def _found(path: Path, images: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where no pictures are listed: each PNG, with the photo of the same name, whatever its suffix."""
    for png in _pngs(path):
        stem = PurePosixPath(png.removeprefix(_MASKS + "/")).with_suffix("").as_posix()
        split, _, rest = stem.partition("/")
        known = bool(rest) and split.lower() in _SPLITS
        stems = [stem, rest] if known else [stem]
        photos = [name + suffix for name in stems for s in PHOTO_SUFFIXES for suffix in (s, s.upper())]
        name = first_found(images, photos, otherwise=f"{stem}.png")
        yield str(path / png), {"png": png, "file_name": name, "split": split if known else ""}


def _picture(path: Path, where: str, element: Any, classes: dict[int, Label | None], on_problem: OnProblem) -> Picture:
    if not isinstance(element, dict):
        raise FormatError(f"{where} is no object; each picture needs its png")
    name = checked_name(element.get("png"), where=where)
    png = find_photo(path, name, where=where)
    if png is None:
        raise FormatError(f"{where}: there is no {name!r}; the data set is not complete")
    if "height" in element:
        picture = picture_of(element, where)
        values = read_index_png(png, height=picture.height, width=picture.width)
    else:
        values = read_index_png(png)
        picture = picture_of({**element, "height": values.shape[0], "width": values.shape[1]}, where)
    items = []
    for number in np.unique(values).tolist():
        label = classes.get(number)
        if label is not None:
            items.append(_item(values == number, label))
        elif number not in classes and number not in (0, 255, 65535):
            complain(on_problem, f"{png}: {NAME} has no class {number}; name it there")
    return Picture(
        picture.file_name,
        picture.width,
        picture.height,
        tuple(items),
        id=picture.id,
        split=picture.split,
        attributes=picture.attributes,
    )


def _item(mask: NDArray[np.bool_], label: Label) -> Item:
    rle = mask_rle(mask)
    x0, y0, x1, y1 = box_xyxy(rle).tolist()
    return Item(label.name, box=(x0, y0, x1, y1), mask=rle)
