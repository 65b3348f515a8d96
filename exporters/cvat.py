"""CVAT for images 1.1: one XML of boxes, polygons and masks; also as CVAT's own zip or unpacked folder.

A region is written as ``<mask>``, pixel for pixel, with its holes and islands; with a tolerance, regions of one ring
become ``<polygon>``. A picture's split is its ``subset``. What CVAT has no place for (crowd, score, id) goes into
attributes of the label that are declared in the head, so that CVAT keeps them: ``is_crowd``, ``score``,
``annotation_id``, and ``annotation_box`` where the box is not that of the mask. Writing is in ``cvat_writer``.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element

import numpy as np

from exporters.cvat_writer import BOX, CROWD, ID, SCORE, write
from exporters.dataset import Dataset, FormatError, Holds, Item, Label, Picture
from exporters.masks import MaskError, area, box_xyxy, from_coco, paste
from exporters.photo_files import checked_name
from exporters.problems import OnProblem, complain, number, size, whole
from exporters.xml_stream import elements
from labelers.records import RLE

__all__ = ["HOLDS", "matches", "read", "write"]

HOLDS = Holds(stuff=False, label_ids=False, first_label_id=1, supercategories=False)

NAME = "annotations.xml"

# What other tools could put into a zip: an XML that unpacks to more than this is a bomb.
_MAX_XML = 1 << 36
_MAX_RATIO = 300

_HEAD = re.compile(rb"<annotations[\s>]")
_SHAPES = ("box", "polygon", "mask", "ellipse")
_OTHER_SHAPES = ("polyline", "points", "cuboid", "skeleton")


def matches(path: Path) -> bool:
    """Whether it is a CVAT XML, a folder with one, or CVAT's zip."""
    try:
        if path.is_dir() and not (path / NAME).is_file():
            return False
        if path.is_file() and path.suffix.lower() not in (".xml", ".zip"):
            return False
        with _open(path) as stream:
            return bool(_HEAD.search(stream.read(4096)))
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read(path: Path, *, images: Path | None = None, on_problem: OnProblem = None) -> Dataset:
    """Read an XML file, a folder with ``annotations.xml`` and ``images``, or CVAT's zip.

    A zip's photos are not unpacked: give ``images`` where they are needed. A rotated box becomes the upright box
    around it, with its ``rotation`` among the attributes; an ellipse becomes a mask; tags of a picture become its
    attribute ``tags``. Polylines, points, cuboids and skeletons are no regions: problems.

    Raises:
        FormatError: no such file, no CVAT XML, a video's XML; and without ``on_problem`` any element that is wrong.
    """
    head, names, count = _scan(path)
    labels = [_label(element) for element in head]
    known = {label.name for label in labels}
    labels += [Label(name) for name in names if name not in known]
    kinds = {label.name: _kinds(label) for label in labels}

    def pictures() -> Iterator[Picture]:
        with _open(path) as stream:
            for place, element in enumerate(elements(stream, frozenset({"image"}), source=str(path))):
                try:
                    yield _Reader(path, place, element, kinds, on_problem).picture()
                except FormatError as error:
                    complain(on_problem, error)

    if images is None and path.suffix.lower() != ".zip":
        folder = path if path.is_dir() else path.parent
        images = folder / "images" if (folder / "images").is_dir() else (folder if path.is_dir() else None)
    return Dataset(source=str(path), labels=tuple(labels), count=count, pictures=pictures, images=images)


def _scan(path: Path) -> tuple[list[Element], list[str], int]:
    """The labels of the head, the labels used, the number of images. One pass; raises FormatError."""
    names: dict[str, None] = {}
    count = 0
    tracks = False

    def on_start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count, tracks
        if tag == "image":
            count += 1
        elif tag == "track":
            tracks = True
        elif tag in _SHAPES and "label" in attributes:
            names.setdefault(attributes["label"])

    with _open(path) as stream:
        first = stream.read(4096)
    if not _HEAD.search(first) and not first.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FormatError(f"{path}: no <annotations> in its head; export it from CVAT as 'CVAT for images 1.1'")
    with _open(path) as stream:
        head = list(elements(stream, frozenset({"labels"}), source=str(path), on_start=on_start))
    if tracks and not count:
        raise FormatError(f"{path}: tracks of a video; export it from CVAT as 'CVAT for images 1.1'")
    return [label for element in head for label in element.findall("label") if label.findtext("name")], [*names], count


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.is_dir():
            path = path / NAME
        if path.suffix.lower() != ".zip":
            with path.open("rb") as stream:
                yield stream
            return
        with zipfile.ZipFile(path) as archive:
            found = [info for info in archive.infolist() if info.filename.rpartition("/")[2] == NAME]
            if len(found) != 1:
                raise FormatError(f"{path}: it holds {len(found)} files {NAME!r}; give a zip that CVAT exported")
            info = found[0]
            if info.file_size > _MAX_XML or info.file_size > _MAX_RATIO * max(info.compress_size, 1 << 10):
                raise FormatError(f"{path}: its {NAME} unpacks to {info.file_size:,} bytes; unpack it if you trust it")
            with archive.open(info) as member:  # never gives more than ``file_size`` bytes
                yield member
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file; give the XML, its folder or CVAT's zip") from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise FormatError(f"{path}: a zip that can't be read ({error}); export it again, without a password") from error


def _label(element: Element) -> Label:
    extra: dict[str, Any] = {}
    for key in ("color", "type"):
        if element.findtext(key):
            extra[key] = element.findtext(key)
    declared = [
        {part.tag: part.text or "" for part in attribute} for attribute in element.findall("attributes/attribute")
    ]
    declared = [a for a in declared if a.get("name") and a["name"] not in (CROWD, SCORE, ID, BOX)]
    if declared:
        extra["attributes"] = declared
    return Label(name=element.findtext("name") or "", extra=extra)


def _kinds(label: Label) -> dict[str, str]:
    return {a["name"]: a.get("input_type", "text") for a in label.extra.get("attributes", ())}


class _Reader:
    """One ``<image>``. ``kinds``: label -> attribute -> input type, as declared in the head."""

    def __init__(
        self, path: Path, place: int, element: Element, kinds: dict[str, dict[str, str]], on_problem: OnProblem
    ) -> None:
        self.element, self.kinds, self.on_problem = element, kinds, on_problem
        self.where = f"{path}: image {place} ({element.get('name', '')[:120]!r})"

    def picture(self) -> Picture:
        element = self.element
        name = checked_name(element.get("name"), where=self.where)
        self.height, self.width = size(element.get("height"), element.get("width"), self.where)
        items = []
        for place, shape in enumerate(element):
            if shape.tag == "tag":
                continue
            where = f"{self.where}: {shape.tag} {place}"
            try:
                if shape.tag in _OTHER_SHAPES:
                    raise FormatError(f"{where}: a {shape.tag} is no region; redraw it as a polygon, mask or box")
                if shape.tag in _SHAPES:
                    items.append(self._item(shape, where))
            except (FormatError, MaskError) as error:
                message = str(error) if isinstance(error, FormatError) else f"{where}: {error}; redraw it"
                complain(self.on_problem, message)
        tags = [tag.get("label", "") for tag in element.findall("tag")]
        number_ = element.get("id", "")
        return Picture(
            file_name=name,
            width=self.width,
            height=self.height,
            items=tuple(items),
            id=int(number_) if number_.isascii() and number_.isdigit() and len(number_) < 19 else number_ or None,
            split=element.get("subset", ""),
            attributes={"tags": tags} if tags else {},
        )

    def _item(self, shape: Element, where: str) -> Item:
        label = shape.get("label")
        if not label:
            raise FormatError(f"{where}: it has no label; give it one in CVAT")
        attributes = self._attributes(shape, label)
        crowd = str(attributes.pop(CROWD, "")).lower() in ("true", "1")
        score = attributes.pop(SCORE, None)
        group = shape.get("group_id")
        mask = None if shape.tag == "box" else _READERS[shape.tag](self, shape, where)
        given = attributes.pop(BOX, None)
        if mask is None:
            box = self._box(shape, where, attributes)
        else:
            box = _corners((given.split(",") if given else box_xyxy(mask).tolist()), where)
        return Item(
            label=label,
            box=box,
            mask=mask,
            id=_id(attributes.pop(ID, None)),
            crowd=crowd,
            score=None if score is None else _score(score, where),
            group=int(group) if group and group.isascii() and group.isdigit() and int(group[:18]) else group or None,
            attributes=attributes,
        )

    def _attributes(self, shape: Element, label: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if shape.get("source"):
            found["source"] = shape.get("source")
        if shape.get("occluded") == "1":
            found["occluded"] = True
        if shape.get("z_order", "0") != "0":
            found["z_order"] = _typed(shape.get("z_order", "0"), "number")
        kinds = self.kinds.get(label, {})
        for attribute in shape.findall("attribute"):
            name = attribute.get("name", "")
            found[name] = _typed(attribute.text or "", kinds.get(name, "text"))
        return found

    def _box(self, shape: Element, where: str, attributes: dict[str, Any]) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = (number(shape.get(key), f"{where}: {key}") for key in ("xtl", "ytl", "xbr", "ybr"))
        turn = number(shape.get("rotation", 0), f"{where}: rotation") % 360
        if turn == 0:
            return x0, y0, x1, y1
        attributes["rotation"] = turn
        cos, sin = abs(math.cos(math.radians(turn))), abs(math.sin(math.radians(turn)))
        w, h = ((x1 - x0) * cos + (y1 - y0) * sin) / 2, ((x1 - x0) * sin + (y1 - y0) * cos) / 2
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        return x - w, y - h, x + w, y + h

    def polygon(self, shape: Element, where: str) -> RLE:
        flat: list[float] = []
        for point in shape.get("points", "").split(";"):
            pair = point.split(",")
            if len(pair) != 2:
                raise FormatError(f"{where}: points hold {point[:40]!r}; 'x,y' is expected")
            flat += [number(value, f"{where}: points") for value in pair]
        return self._covering(from_coco([flat], self.height, self.width), where)

    def ellipse(self, shape: Element, where: str) -> RLE:
        cx, cy, rx, ry = (number(shape.get(key), f"{where}: {key}") for key in ("cx", "cy", "rx", "ry"))
        turn = math.radians(number(shape.get("rotation", 0), f"{where}: rotation"))
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
        x, y = rx * np.cos(angle), ry * np.sin(angle)
        points = np.stack([cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn)], axis=1)
        return self._covering(from_coco([points.ravel().tolist()], self.height, self.width), where)

    def mask(self, shape: Element, where: str) -> RLE:
        left, top, width, height = (
            whole(shape.get(key), f"{where}: {key}") for key in ("left", "top", "width", "height")
        )
        # A crop reaches at most a pixel over the border, whatever rounding made it.
        if min(width, height) < 1 or width > self.width + 2 or height > self.height + 2:
            raise FormatError(f"{where}: a mask of {width} x {height} pixels doesn't fit its picture; redraw it")
        try:
            counts = np.array([int(n) for n in shape.get("rle", "").split(",")], np.int64)
        except (ValueError, OverflowError):
            raise FormatError(f"{where}: rle is no list of whole numbers; redraw the mask") from None
        if (counts < 0).any() or (counts > width * height).any() or counts.sum() != width * height:
            raise FormatError(f"{where}: the runs of rle don't add up to {width} x {height}; redraw the mask")
        window = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
        return self._covering(paste(window, left, top, self.height, self.width), where)

    def _covering(self, mask: RLE | None, where: str) -> RLE:
        if mask is None or area(mask) == 0:
            raise FormatError(f"{where}: it covers no pixel of its picture; redraw or delete it")
        return mask


_READERS: dict[str, Callable[[_Reader, Element, str], RLE]] = {
    "polygon": _Reader.polygon,
    "ellipse": _Reader.ellipse,
    "mask": _Reader.mask,
}


def _corners(values: list[Any], where: str) -> tuple[float, float, float, float]:
    if len(values) != 4:
        raise FormatError(f"{where}: {BOX} has {len(values)} numbers; x0,y0,x1,y1 is expected")
    x0, y0, x1, y1 = (number(value, f"{where}: {BOX}") for value in values)
    return x0, y0, x1, y1


def _typed(text: str, kind: str) -> Any:
    if kind == "checkbox" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "number" and len(text) < 40:
        for parse in (int, float):
            try:
                value = parse(text)
            except ValueError:
                continue
            return value if math.isfinite(value) else text
    return text


def _id(text: str | None) -> int | str | None:
    if text is None:
        return None
    return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text) else text


def _score(text: object, where: str) -> float:
    score = number(text, f"{where}: score")
    if not 0 <= score <= 1:
        raise FormatError(f"{where}: score is {score:g}; 0 to 1 is expected")
    return score
