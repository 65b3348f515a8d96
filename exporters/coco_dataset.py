"""COCO instances as a data set: everything is kept. Reading and writing need some 200 bytes for an annotation.

What COCO has no field for is written into fields of ours that its readers pass over: ``split`` of an image,
``group_id`` and ``score`` of an annotation, ``isthing`` of a category, ``source_id`` for an id that is text. An object
whose mask and box were not changed since it was read from COCO is written with the very same outline and numbers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from exporters.atomic import building
from exporters.coco import CocoDocument
from exporters.coco_elements import (
    item_json,
    item_of,
    label_ids,
    label_json,
    labels_of,
    picture_attributes,
    picture_json,
    side,
    source_id,
    split_of,
)
from exporters.coco_records import CocoError
from exporters.coco_sniff import has_coco_lists, is_lvis, is_panoptic, only_json
from exporters.coco_splits import read_splits, split_files
from exporters.coco_stream import CocoStream
from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture, WriteOptions, Written
from exporters.files import replacing
from exporters.photo_files import checked_name, photo_size, place_photo
from exporters.problems import OnProblem, complain

HOLDS = Holds()
_DEFAULTS = WriteOptions()

FILE = "annotations.json"
"""The labels' file where a folder is written; photos then go into ``images`` beside it."""


def matches(path: Path) -> bool:
    found = next(iter(split_files(path).values()), only_json(path, FILE))
    return has_coco_lists(found) and not is_panoptic(found) and not is_lvis(found)


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Open a COCO file, a folder with one (``annotations.json`` or the only JSON), or one with a file for each split.

    Args:
        images: folder of the photos; None: looked for beside the file.

    Raises:
        FormatError: no COCO file; without ``on_problem`` also for every bad element, now or while walking.
    """

    def one(file: Path) -> Dataset:
        return CocoReader(path=file, images=images, on_problem=on_problem).dataset()

    return read_splits(path, one, images) or one(only_json(path, FILE))


def plain_name(raw: Mapping[str, Any]) -> Any:
    return raw.get("file_name")


@dataclass(frozen=True)
class CocoReader:
    """How a file of COCO's family is read.

    Attributes:
        path: the JSON.
        images, on_problem: see ``read``.
        name_of: the photo's name in an image's element.
        items_of: the objects of a picture, from the file, the image's row, height and width; None: instances.
    """

    path: Path
    images: Path | None = None
    on_problem: OnProblem = None
    name_of: Callable[[Mapping[str, Any]], Any] = plain_name
    items_of: Callable[[OpenCoco, int, int, int], tuple[Item, ...]] | None = None

    def dataset(self) -> Dataset:
        try:
            document = CocoDocument.open(self.path)
            opened = OpenCoco(document, self)
            opened.check()
            info = {
                key: json.loads(text) for key, text in document.top_level() if text is not None and key != "categories"
            }
        except CocoError as error:
            raise FormatError(str(error)) from error
        return Dataset(
            source=str(self.path),
            labels=opened.labels,
            count=len(document.images),
            pictures=opened.pictures,
            images=self.images or opened.found_images(),
            info=info,
        )


class OpenCoco:
    """An open file and what its elements are called. Made by ``CocoReader``."""

    def __init__(self, document: CocoDocument, reader: CocoReader) -> None:
        self.document, self.reader = document, reader
        self.path = reader.path
        raw = [_object(document.category_text(category.row)) for category in document.categories]
        self.labels: tuple[Label, ...] = labels_of(raw)

    def report(self, where: str, what: str) -> None:
        complain(self.reader.on_problem, f"{self.path}: {where}: {what}")

    def check(self) -> None:
        """Tell of what concerns the whole file."""
        seen: set[str] = set()
        for category in self.document.categories:
            key = json.dumps(category.id)
            if key in seen:
                self.report(f"categories[{category.row}]", f"id {key} came before; give each class its own")
            seen.add(key)
        orphans = self.document.orphans()
        if len(orphans):
            first = self.document.raw_annotation(int(orphans[0])).get("image_id")
            self.report(
                f"annotations[{orphans[0]}]",
                f"image_id {str(first)[:40]!r} is no id of an image ({len(orphans)} annotations are like that); add "
                "the images, or remove the annotations",
            )

    def pictures(self) -> Iterator[Picture]:
        try:
            for image in self.document.images:
                picture = self._picture(image.row)
                if picture is not None:
                    yield picture
            self.document.check_unchanged()
        except CocoError as error:
            raise FormatError(str(error)) from error

    def _picture(self, row: int) -> Picture | None:
        raw, where = _object(self.document.image_text(row)), f"images[{row}]"
        key = self.document.images[row].key
        if key.endswith(f"#{row}") and raw.get("id") is not None:
            self.report(where, f"a later image has the same id {str(raw['id'])[:40]}; give each its own")
            return None
        try:
            name = checked_name(self.reader.name_of(raw), where=f"{self.path}: {where}")
            height, width = self._size(raw, name, where)
        except FormatError as error:
            complain(self.reader.on_problem, str(error))
            return None
        items = self.reader.items_of or OpenCoco.instances
        return Picture(
            file_name=name,
            width=width,
            height=height,
            items=items(self, row, height, width),
            id=source_id(raw),
            split=split_of(raw),
            attributes=picture_attributes(raw),
        )

    def _size(self, raw: Mapping[str, Any], name: str, where: str) -> tuple[int, int]:
        height, width = side(raw.get("height")), side(raw.get("width"))
        if height is None or width is None:
            folder = self.reader.images or self.found_images()
            if folder is None:
                raise FormatError(
                    f"{self.path}: {where}: it has no usable width and height; write them, or give the folder of the "
                    "photos with --images"
                )
            height, width = photo_size(folder, name, where=f"{self.path}: {where}")
        if height * width >= 2**31:
            raise FormatError(f"{self.path}: {where}: {width} x {height} pixels are too many; write the true size")
        return height, width

    def instances(self, row: int, height: int, width: int) -> tuple[Item, ...]:
        found = self.document.annotations(row)
        items: list[Item] = []
        for at, category in zip(found.rows.tolist(), found.category_rows.tolist(), strict=True):
            raw = self.document.raw_annotation(at)
            where = f"annotations[{at}] (id {str(raw.get('id'))[:40]})"
            if category < 0:
                what = f"category_id {str(raw.get('category_id'))[:40]} is not among the categories; add it"
                self.report(where, what)
                continue
            try:
                items.append(item_of(raw, self.labels[category].name, height=height, width=width))
            except ValueError as error:
                self.report(where, str(error))
        return tuple(items)

    def found_images(self) -> Path | None:
        """The folder where the first photo is, among those that data sets usually have."""
        if not self.document.images:
            return None
        name = self.reader.name_of(_object(self.document.image_text(0)))
        here = self.path.absolute().parent
        stem = self.path.stem.partition("_")[2] or self.path.stem  # instances_val2017.json -> val2017
        places = [here, here / "images", here / stem, here.parent / stem, here.parent / "images", here.parent]
        try:
            name = checked_name(name, where="photo")
            return next((place for place in places if (place / name).is_file()), None)
        except (FormatError, OSError, ValueError):
            return None


def write(dataset: Dataset, out: Path, options: WriteOptions = _DEFAULTS) -> Written:
    """Write one JSON file (``out`` ends in .json), or a folder with ``annotations.json`` and the photos in ``images``.

    Raises:
        FormatError: photos are to be copied beside a single file; an object's label is unknown.
        OSError: the output can't be written.
    """
    return write_coco(dataset, out, options, CocoWriter())


class CocoWriter:
    """How a file of COCO's family is written; LVIS changes some of it."""

    def open(self, dataset: Dataset) -> None:
        """Called first."""
        self.ids = label_ids(dataset.labels)

    def picture(self, picture: Picture) -> dict[str, Any]:
        return picture_json(picture)

    def item(self, item: Item, options: WriteOptions, written: Written) -> dict[str, Any] | None:
        """None: the object is left out."""
        return item_json(item, tolerance=options.tolerance, written=written)

    def categories(self, dataset: Dataset, written: Written) -> list[dict[str, Any]]:
        """Called last."""
        return [{"id": self.ids[label.name], **label_json(label)} for label in dataset.labels]


def write_coco(dataset: Dataset, out: Path, options: WriteOptions, writer: CocoWriter) -> Written:
    """See ``write``."""
    written = Written()
    with placed(out, options) as (file, folder):
        writer.open(dataset)
        with CocoStream(file, out.absolute().parent) as stream:
            for picture in dataset:
                stream.image(picture.id, writer.picture(picture))
                for item in picture.items:
                    if item.mask is None and item.box is None:
                        written.drop("objects with neither a mask nor a box")
                        continue
                    if item.label not in writer.ids:
                        raise FormatError(f"{picture.file_name}: the label {item.label!r} is not among the labels")
                    value = writer.item(item, options, written)
                    if value is not None:
                        stream.annotation(item.id, {"category_id": writer.ids[item.label], **value})
                        written.items += 1
                place(picture, dataset, folder, options, written)
                written.pictures += 1
                options.on_picture()
            stream.finish(dataset.info, writer.categories(dataset, written), written)
    return written


def place(picture: Picture, dataset: Dataset, folder: Path | None, options: WriteOptions, written: Written) -> None:
    """Put a photo into ``images`` of the folder, where photos are wanted; what is missing is counted."""
    if folder is None or options.copy_images == "none":
        return
    target = folder / "images" / picture.file_name
    reason = place_photo(dataset.images, picture.file_name, target, options.copy_images)
    if reason is not None:
        written.drop(reason)


@contextmanager
def placed(out: Path, options: WriteOptions, name: str = FILE) -> Iterator[tuple[BinaryIO, Path | None]]:
    """The file to write into, and the folder around it (None: there is only the file); all appears at the end."""
    if out.suffix.lower() == ".json":
        if options.copy_images != "none":
            raise FormatError(
                f"{out}: one file has no room for photos; give a folder (a name without .json), or don't copy photos"
            )
        if out.is_dir():
            raise FormatError(f"{out}: there is a folder of this name; choose another output")
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as file:
            yield file, None
        return
    with building(out) as folder, replacing(folder / name) as file:
        yield file, folder


def _object(text: str) -> Mapping[str, Any]:
    found = json.loads(text)
    return found if isinstance(found, dict) else {}
