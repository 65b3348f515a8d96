"""One PNG for each object: ``masks/<split>/<photo>/0000.png`` (0 and 255) and ``instances.json``.

``instances.json`` lists classes and pictures, each with its objects: class, box, id, crowd, score, group, attributes.
Everything comes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Holds, Item, Picture, WriteOptions, Written
from exporters.masks import area, box_xyxy, decode
from exporters.photo_files import (
    MAX_PIXELS,
    UniqueNames,
    checked_name,
    find_photo,
    place_photo,
    read_index_png,
    safe_name,
)
from exporters.png_listing import (
    ListingWriter,
    label_json,
    label_of,
    mapping,
    mask_rle,
    picture_json,
    picture_of,
    read_head,
    read_pictures,
)
from exporters.problems import OnProblem, complain, number
from labelers.records import RLE

HOLDS = Holds()

NAME = "instances.json"
FORMAT = "instance-pngs"


def matches(path: Path) -> bool:
    """Whether it is a folder with our ``instances.json``."""
    try:
        with (path / NAME).open("rb") as stream:
            return f'"{FORMAT}"'.encode() in stream.read(4096)
    except (OSError, ValueError):
        return False


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Read the folder.

    Raises:
        FormatError: no ``instances.json`` or a broken one; and without ``on_problem`` any element that is wrong.
    """
    listing = path / NAME
    head, count = read_head(listing)
    listed = head.get("classes")
    if not isinstance(listed, list) or count < 0:
        raise FormatError(f'{listing}: "classes" and "pictures" are expected; give a folder of {FORMAT}')
    labels = tuple(label_of(element, f"{listing}: classes[{place}]") for place, element in enumerate(listed))
    names = frozenset(label.name for label in labels)
    if images is None and (path / "images").is_dir():
        images = path / "images"

    def pictures() -> Iterator[Picture]:
        for where, element in read_pictures(listing):
            try:
                yield _picture(path, where, element, names, on_problem)
            except FormatError as error:
                complain(on_problem, error)

    return Dataset(str(path), labels, count, pictures, images=images, info=mapping(head.get("info")))


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008 (frozen)
    """Write the folder ``out``. Raises FormatError where it exists and is not empty, and what reading raises."""
    written = Written()
    classes = [label_json(label) for label in dataset.labels]
    head = {"format": FORMAT, "info": dict(dataset.info), "classes": classes}
    names = UniqueNames()
    with building(out) as folder, ListingWriter(folder / NAME, head) as listing:
        for picture in dataset:
            split = safe_name(picture.split, flat=True) if picture.split.strip() else ""
            stem = names(picture.file_name, suffix="", folder=split)
            # a folder: it may not end in a dot or blank on Windows
            masks = "/".join(filter(None, ["masks", split, stem.rstrip(". ") or "_"]))
            element = picture_json(picture)
            if options.copy_images != "none":
                element["file_name"] = safe_name(picture.file_name)
                place = folder / "images" / element["file_name"]
                reason = place_photo(dataset.images, picture.file_name, place, options.copy_images)
                if reason is not None:
                    written.drop(reason)
            items = [_write_item(folder, f"{masks}/{k:04d}.png", picture, i) for k, i in enumerate(picture.items)]
            listing.add({**element, "instances": items})
            written.pictures += 1
            written.items += len(items)
            options.on_picture()
    return written


def _write_item(folder: Path, png: str, picture: Picture, item: Item) -> dict[str, Any]:
    found: dict[str, Any] = {"label": item.label}
    if item.mask is not None:
        if item.mask["size"] != [picture.height, picture.width] or picture.height * picture.width > MAX_PIXELS:
            raise FormatError(f"photo {picture.file_name!r}: a mask of {item.mask['size']} does not fit the photo")
        target = folder / png
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(decode(item.mask).astype(np.uint8) * 255).save(target, format="PNG")
        found |= {"png": png, "area": area(item.mask)}
    if item.box is not None:
        found["box"] = [float(value) for value in item.box]
    for key in ("id", "score", "group"):
        if getattr(item, key) is not None:
            found[key] = getattr(item, key)
    if item.crowd:
        found["crowd"] = True
    return found | ({"attributes": dict(item.attributes)} if item.attributes else {})


def _picture(path: Path, where: str, element: Any, names: frozenset[str], on_problem: OnProblem) -> Picture:
    if not isinstance(element, dict):
        raise FormatError(f"{where} is no object; each picture needs its file_name and size")
    picture = picture_of(element, where)
    items = []
    listed = element.get("instances", [])
    if not isinstance(listed, list):
        raise FormatError(f"{where}: instances is no list; export it again")
    for place, instance in enumerate(listed):
        at = f"{where}: instances[{place}]"
        try:
            items.append(_item(path, at, mapping(instance), picture, names))
        except FormatError as error:
            complain(on_problem, error)
    return replace(picture, items=tuple(items))


def _item(path: Path, where: str, element: Any, picture: Picture, names: frozenset[str]) -> Item:
    label = element.get("label")
    if label not in names:
        raise FormatError(f"{where}: label {label!r} is not among the classes; add it there")
    mask = _mask(path, where, element["png"], picture) if "png" in element else None
    box = _box(element["box"], where) if "box" in element else None
    if mask is None and box is None:
        raise FormatError(f"{where}: it has neither png nor box; remove it")
    if mask is not None and box is None:
        x0, y0, x1, y1 = box_xyxy(mask).tolist()
        box = x0, y0, x1, y1
    score = element.get("score")
    if score is not None and not 0 <= number(score, f"{where}: score") <= 1:
        raise FormatError(f"{where}: score is {score!r}; 0 to 1 is expected")
    key, group = element.get("id"), element.get("group")
    return Item(
        label=label,
        box=box,
        mask=mask,
        id=key if isinstance(key, int | str) else None,
        crowd=element.get("crowd") is True,
        score=None if score is None else float(score),
        group=group if isinstance(group, int | str) else None,
        attributes=mapping(element.get("attributes")),
    )


def _mask(path: Path, where: str, name: object, picture: Picture) -> RLE:
    png = find_photo(path, checked_name(name, where=where), where=where)
    if png is None:
        raise FormatError(f"{where}: there is no {name!r}; the data set is not complete")
    return mask_rle(read_index_png(png, height=picture.height, width=picture.width) > 0)


def _box(values: object, where: str) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4:
        raise FormatError(f"{where}: box is {str(values)[:60]}; [x0, y0, x1, y1] is expected")
    x0, y0, x1, y1 = (number(value, f"{where}: box") for value in values)
    return x0, y0, x1, y1
