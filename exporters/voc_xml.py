"""One annotation file of Pascal VOC: the picture's size and its objects, as XML.

VOC counts pixels from 1, and a box's last pixel is part of it: ``xmin = x0 + 1`` and ``xmax = x1`` of our edges. Many
tools count from 0 instead; a file with a corner below 1 is taken to be one of theirs and its numbers for edges.

Crowds, scores, ids and attributes go into ``<attributes>``, which CVAT and Datumaro write too and others ignore.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from exporters.dataset import FormatError, Item, Picture
from exporters.xml_stream import elements

CROWD, SCORE, ID, GROUP = "is_crowd", "score", "annotation_id", "group"

_FLAGS = ("truncated", "difficult", "occluded")
_POSE = "Unspecified"
_MOST_BYTES = 64 * 1024 * 1024
_FURTHEST = 1e7

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Annotation:
    """One file.

    Attributes:
        file_name: of the photo, as the file says it: maybe a path of another computer.
        width, height: 0 where the file doesn't say.
        items: without masks; None for an object that can't be read, so that the others keep their numbers.
    """

    file_name: str
    width: int
    height: int
    items: tuple[Item | None, ...]


def read_annotation(path: Path, problem: Callable[[str], object]) -> Annotation:
    """Read one file; objects that can't be read are reported and left out. Raises FormatError."""
    root = _root(path)
    size = root.find("size")
    width, height = (0, 0) if size is None else (_size(size, name, path) for name in ("width", "height"))
    raw: list[tuple[Item, Box | None] | None] = []
    for number, element in enumerate(root.findall("object"), 1):
        try:
            raw.append(_object(element))
        except FormatError as error:
            raw.append(None)
            problem(f"{path}, object {number}: {error}")
    from_zero = any(min(one[1][:2]) < 1 for one in raw if one is not None and one[1] is not None)
    items = tuple(None if one is None else _placed(*one, from_zero) for one in raw)
    return Annotation(_text(root, "filename"), width, height, items)


def names_in(path: Path) -> Iterator[str]:
    """The classes of one file's objects; nothing for a file that can't be read, which is reported later."""
    try:
        for element in _root(path).findall("object"):
            if name := _text(element, "name"):
                yield name
    except FormatError:
        return


def write_annotation(path: Path, picture: Picture, items: list[tuple[Item, Box]], photo: str, segmented: bool) -> None:
    """Write one file.

    Args:
        items: each with its box, cut to the picture.
        photo: name of its photo in ``JPEGImages``.

    Raises:
        FormatError: a name with characters that XML can't hold.
    """
    root = Element("annotation")
    folder, _, name = photo.rpartition("/")
    _add(root, "folder", f"JPEGImages/{folder}" if folder else "JPEGImages")
    _add(root, "filename", name)
    size = SubElement(root, "size")
    for key, value in (("width", picture.width), ("height", picture.height), ("depth", 3)):
        _add(size, key, str(value))
    _add(root, "segmented", str(int(segmented)))
    for item, box in items:
        _add_object(root, item, box)
    ElementTree.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8") + b"\n")


def _add_object(root: Element, item: Item, box: Box) -> None:
    element = SubElement(root, "object")
    rest = dict(item.attributes)
    _add(element, "name", item.label)
    _add(element, "pose", str(rest.pop("pose", _POSE)))
    for key in _FLAGS:
        given = rest.get(key, 0)
        if given in (0, 1):  # also False and True
            rest.pop(key, None)
            _add(element, key, str(int(given or (key == "difficult" and item.crowd))))
    x0, y0, x1, y1 = box
    corners = SubElement(element, "bndbox")
    for key, value in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
        _add(corners, key, f"{value:.10g}")
    extra: dict[str, Any] = {CROWD: item.crowd or None, SCORE: item.score, ID: item.id, GROUP: item.group}
    extra = {**rest, **{key: value for key, value in extra.items() if value is not None}}
    if extra:
        attributes = SubElement(element, "attributes")
        for key, value in extra.items():
            one = SubElement(attributes, "attribute")
            _add(one, "name", key)
            _add(one, "value", _as_text(value))


def _object(element: Element) -> tuple[Item, Box | None]:
    name = element.findtext("name") or ""  # with spaces around it: the reader knows whether they belong to it
    if not name.strip():
        raise FormatError("it has no name; write the class into <name>")
    box = element.find("bndbox")
    corners = None if box is None else tuple(_number(box, key) for key in ("xmin", "ymin", "xmax", "ymax"))
    attributes: dict[str, Any] = {}
    if (pose := _text(element, "pose")) and pose != _POSE:
        attributes["pose"] = pose
    for key in _FLAGS:
        if _text(element, key) in ("1", "true", "True"):
            attributes[key] = 1
    for one in element.findall("attributes/attribute"):
        attributes[_text(one, "name")] = _as_value(one.findtext("value") or "")
    attributes.pop("", None)
    return _with_extra(Item(name), attributes), corners  # type: ignore[return-value]


def _with_extra(item: Item, attributes: dict[str, Any]) -> Item:
    crowd = attributes.get(CROWD) is True
    if crowd:
        attributes.pop(CROWD)
        attributes.pop("difficult", None)
    score, number, group = attributes.get(SCORE), attributes.get(ID), attributes.get(GROUP)
    if isinstance(score, int | float) and not isinstance(score, bool) and 0 <= score <= 1:
        attributes.pop(SCORE)
    else:
        score = None
    if isinstance(number, int | str) and not isinstance(number, bool):
        attributes.pop(ID)
    else:
        number = None
    if isinstance(group, int | str) and not isinstance(group, bool):
        attributes.pop(GROUP)
    else:
        group = None
    return replace(item, crowd=crowd, score=score, id=number, group=group, attributes=attributes)


def _placed(item: Item, corners: Box | None, from_zero: bool) -> Item:
    if corners is None:
        return item
    x0, y0, x1, y1 = corners
    shift = 0 if from_zero else 1
    return replace(item, box=(x0 - shift, y0 - shift, x1, y1))


def _root(path: Path) -> Element:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise FormatError(f"{path}: more than {_MOST_BYTES} bytes; this can't be one picture's annotation")
        with path.open("rb") as stream:
            for element in elements(stream, frozenset(["annotation"]), source=str(path)):
                return element
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    raise FormatError(f"{path}: no <annotation>; this is no file of Pascal VOC")


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _number(element: Element, name: str) -> float:
    text = _text(element, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < _FURTHEST:  # also NaN
        raise FormatError(f"{name} is {text[:20]!r}; a number of pixels is expected")
    return value


def _size(element: Element, name: str, path: Path) -> int:
    text = _text(element, name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (0 <= value < _FURTHEST and value == int(value)):
        raise FormatError(f"{path}: size: {name} is {text[:20]!r}; a whole number of pixels is expected")
    return int(value)


def _add(parent: Element, name: str, text: str) -> None:
    if any((ord(c) < 32 and c not in "\t\n") or 0xD800 <= ord(c) < 0xE000 or ord(c) in (0xFFFE, 0xFFFF) for c in text):
        raise FormatError(f"{name} {text[:80]!r} holds characters that XML can't; rename it")
    SubElement(parent, name).text = text


def _as_text(value: Any) -> str:
    """Text as it is, everything else as JSON; text that would be read as something else is quoted."""
    if isinstance(value, str) and _as_value(value) == value:
        return value
    if isinstance(value, Mapping):
        value = dict(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _as_value(text: str) -> Any:
    lowered = text.strip()
    if lowered in ("True", "False"):  # as CVAT writes it
        return lowered == "True"
    try:
        return json.loads(lowered, parse_constant=str) if lowered else text
    except (ValueError, RecursionError):
        return text
