"""Writes CVAT for images 1.1: the pictures first, because only then it is known which attributes the head declares."""

from __future__ import annotations

import colorsys
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions, Written
from exporters.files import replacing
from exporters.masks import area, box_xyxy, from_coco, rings_of, window
from exporters.outlines import iou
from exporters.photo_files import checked_name, place_photo, safe_name
from exporters.rings import simplified
from labelers.records import RLE

CROWD, SCORE, ID, BOX = "is_crowd", "score", "annotation_id", "annotation_box"
"""Names of the attributes that hold what CVAT has no place for."""

# Attributes of CVAT's own shapes; all others are declared by the label.
_OWN = ("source", "occluded", "z_order")

# Not allowed in XML 1.0, not even escaped.
_FORBIDDEN = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008 (frozen)
    """Write ``out`` as one file where it ends in ``.xml``, else a folder with ``annotations.xml`` (and ``images``).

    Raises:
        FormatError: ``out`` exists and is not empty, photos were asked for beside a single file, two items of a
            picture contradict its size, or what reading raises.
    """
    if out.suffix.lower() == ".xml":
        if options.copy_images != "none":
            raise FormatError(f"{out}: one XML file holds no photos; give a folder as output to copy them")
        with replacing(out) as file:
            return _Writer(dataset, options, None).write(file)
    with building(out) as folder, (folder / "annotations.xml").open("wb") as file:
        return _Writer(dataset, options, folder / "images").write(file)


@dataclass
class _Seen:
    """Values of one attribute of one label: what the head has to declare."""

    kinds: set[str] = field(default_factory=set)
    low: float = 0
    high: float = 0

    def add(self, value: Any) -> None:
        kind = "checkbox" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "text"
        if kind == "number":
            first = "number" not in self.kinds
            self.low = value if first else min(self.low, value)
            self.high = value if first else max(self.high, value)
        self.kinds.add(kind)

    def declared(self, name: str) -> dict[str, str]:
        kind = next(iter(self.kinds)) if len(self.kinds) == 1 else "text"
        default = {"checkbox": "false", "number": _text(self.low), "text": ""}[kind]
        values = f"{_text(self.low)}\n{_text(self.high)}\n1" if kind == "number" else default
        return {"name": name, "mutable": "False", "input_type": kind, "default_value": default, "values": values}


class _Writer:
    def __init__(self, dataset: Dataset, options: WriteOptions, photos: Path | None) -> None:
        self.dataset, self.options, self.photos = dataset, options, photos
        self.copying = photos is not None and options.copy_images != "none"
        self.written = Written()
        self.labels = {label.name: label for label in dataset.labels}
        self.seen: dict[str, dict[str, _Seen]] = {}

    def write(self, file: IO[bytes]) -> Written:
        with tempfile.TemporaryFile() as body:
            for place, picture in enumerate(self.dataset):
                body.writelines(line.encode() for line in self._picture(place, picture))
                self.written.pictures += 1
                self.options.on_picture()
            file.writelines(line.encode() for line in self._head())
            body.seek(0)
            shutil.copyfileobj(body, file, 1 << 20)
            file.write(b"</annotations>\n")
        if self.copying:
            self.written.notes.append("photos keep their stored pixels; boxes and masks are in the frame that was read")
        return self.written

    def _head(self) -> Iterator[str]:
        yield '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        yield f"  <meta>\n    <task>\n      <name>{_escaped(Path(self.dataset.source).stem)}</name>\n"
        yield f"      <size>{self.written.pictures}</size>\n      <mode>annotation</mode>\n      <labels>\n"
        for place, label in enumerate(self.labels.values()):
            colour = label.extra.get("color")
            yield "        <label>\n"
            yield f"          <name>{_escaped(label.name)}</name>\n"
            yield f"          <color>{_escaped(colour if isinstance(colour, str) else _colour(place))}</color>\n"
            yield f"          <type>{_escaped(label.extra.get('type', 'any'))}</type>\n          <attributes>\n"
            for declared in self._declared(label):
                parts = "".join(f"<{key}>{_escaped(value)}</{key}>" for key, value in declared.items())
                yield f"            <attribute>{parts}</attribute>\n"
            yield "          </attributes>\n        </label>\n"
        yield "      </labels>\n    </task>\n  </meta>\n"

    def _declared(self, label: Label) -> list[dict[str, str]]:
        keys = ("name", "mutable", "input_type", "default_value", "values")
        given = label.extra.get("attributes", ())
        old = [a for a in given if isinstance(a, dict) and a.get("name")] if isinstance(given, list | tuple) else []
        found = [{key: str(a[key]) for key in keys if key in a} for a in old]
        names = {a["name"] for a in found}
        return found + [s.declared(name) for name, s in self.seen.get(label.name, {}).items() if name not in names]

    def _picture(self, place: int, picture: Picture) -> Iterator[str]:
        where = f"photo {picture.file_name[:120]!r}"
        name = safe_name(picture.file_name) if self.copying else checked_name(picture.file_name, where=where)
        if self.copying and self.photos is not None:
            reason = place_photo(self.dataset.images, picture.file_name, self.photos / name, self.options.copy_images)
            if reason is not None:
                self.written.drop(reason)
        number = picture.id if isinstance(picture.id, int) else place
        subset = f" subset={_quoted(picture.split)}" if picture.split else ""
        shape = f'width="{picture.width}" height="{picture.height}"'
        yield f'  <image id="{number}" name={_quoted(name)}{subset} {shape}>\n'
        tags = picture.attributes.get("tags", ())
        for tag in tags if isinstance(tags, list | tuple) else ():
            yield f'    <tag label={_quoted(str(tag))} source="manual"></tag>\n'
        groups = _Groups(picture)
        for item in picture.items:
            yield from self._item(picture, item, groups)
        yield "  </image>\n"

    def _item(self, picture: Picture, item: Item, groups: _Groups) -> Iterator[str]:
        self.labels.setdefault(item.label, Label(item.label))
        if item.mask is not None and item.mask["size"] != [picture.height, picture.width]:
            raise FormatError(f"photo {picture.file_name!r}: a mask of size {item.mask['size']} does not fit the photo")
        if item.mask is not None and area(item.mask):
            tag, shape = self._region(item.mask)
        elif item.box is not None:
            x0, y0, x1, y1 = item.box
            tag, shape = "box", f'xtl="{_text(x0)}" ytl="{_text(y0)}" xbr="{_text(x1)}" ybr="{_text(y1)}"'
        else:
            self.written.drop("objects without a pixel and without a box")
            return
        self.written.items += 1
        source = _quoted(str(item.attributes.get("source", "manual")))
        number = groups.number(item)
        group = "" if number is None else f' group_id="{number}"'
        yield (
            f"    <{tag} label={_quoted(item.label)} source={source} "
            f'occluded="{int(item.attributes.get("occluded") is True)}" {shape} '
            f'z_order="{_order(item.attributes.get("z_order", 0))}"{group}>\n'
        )
        for name, value in self._attributes(item):
            yield f"      <attribute name={_quoted(name)}>{_escaped(_text(value))}</attribute>\n"
        yield f"    </{tag}>\n"

    def _region(self, mask: RLE) -> tuple[str, str]:
        rings = rings_of(mask) if self.options.tolerance > 0 else []
        if len(rings) == 1 and not rings[0].pinched:
            ring = simplified(rings[0].points, self.options.tolerance)
            found = from_coco([ring.ravel().astype(float).tolist()], *mask["size"])
            self.written.iou(0.0 if found is None else iou(found, mask))
            return "polygon", f'points="{";".join(f"{x:.2f},{y:.2f}" for x, y in ring.tolist())}"'
        crop, left, top = window(mask)
        flat = crop.ravel()
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
        counts = [0, *counts] if flat[0] else counts
        height, width = crop.shape
        return "mask", (
            f'rle="{", ".join(map(str, counts))}" left="{left}" top="{top}" width="{width}" height="{height}"'
        )

    def _attributes(self, item: Item) -> Iterator[tuple[str, Any]]:
        found = {name: value for name, value in item.attributes.items() if name not in _OWN and value is not None}
        if item.crowd:
            found[CROWD] = True
        if item.score is not None:
            found[SCORE] = float(item.score)
        if item.id is not None:
            found[ID] = str(item.id)  # text: CVAT's numbers need bounds, and ids may be texts
        if item.mask is not None and item.box is not None and not _is_box_of(item.mask, item.box):
            found[BOX] = ",".join(map(_text, item.box))
        for name, value in found.items():
            self.seen.setdefault(item.label, {}).setdefault(name, _Seen()).add(value)
            yield name, value


class _Groups:
    """CVAT's groups are numbers above 0; other groups of the picture get numbers that are free."""

    def __init__(self, picture: Picture) -> None:
        groups = dict.fromkeys(item.group for item in picture.items if item.group is not None)
        self._numbers: dict[int | str, int] = {g: g for g in groups if isinstance(g, int) and g > 0}
        free = max(self._numbers.values(), default=0)
        for group in groups:
            if group not in self._numbers:
                free += 1
                self._numbers[group] = free

    def number(self, item: Item) -> int | None:
        return None if item.group is None else self._numbers[item.group]


def _is_box_of(mask: RLE, box: tuple[float, float, float, float]) -> bool:
    return area(mask) == 0 or list(box) == box_xyxy(mask).tolist()


def _order(value: object) -> int:
    return int(value) if isinstance(value, int | float) and abs(value) < 1e6 else 0


def _text(value: Any) -> str:
    """As CVAT writes it; nested values as JSON."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value) if isinstance(value, int | str) else json.dumps(value, ensure_ascii=False, default=str)


def _escaped(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text), {"\r": "&#13;"})


def _quoted(text: str) -> str:
    return quoteattr(_FORBIDDEN.sub("\ufffd", text), {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _colour(place: int) -> str:
    """Colours far apart in hue for neighbours."""
    r, g, b = colorsys.hsv_to_rgb(place * 0.61803 % 1, 0.65, 0.85)
    return f"#{int(r * 255):02x}{int(g * 255):02x}{int(b * 255):02x}"
