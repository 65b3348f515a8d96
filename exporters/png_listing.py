"""The JSON beside PNG masks: classes and pictures, written and read one picture at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exporters.dataset import FormatError, Label, Picture
from exporters.json_stream import JsonError, Kind, scan
from exporters.masks import paste
from exporters.photo_files import checked_name
from exporters.problems import size
from labelers.records import RLE


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mask_rle(mask: NDArray[np.bool_]) -> RLE:
    """Bool [H, W] -> RLE; costs what the mask's box costs, not the photo."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = (rows, columns) if len(rows) else (np.zeros(1, np.intp), np.zeros(1, np.intp))
    x0, y0 = int(x[0]), int(y[0])
    return paste(mask[y0 : int(y[-1]) + 1, x0 : int(x[-1]) + 1], x0, y0, *mask.shape)


def label_json(label: Label) -> dict[str, Any]:
    return {
        "name": label.name,
        "id": label.id,
        "is_thing": label.is_thing,
        "supercategory": label.supercategory,
        "extra": dict(label.extra),
    }


def label_of(element: Any, where: str) -> Label:
    """Raises FormatError for anything without a name."""
    if not isinstance(element, dict) or not isinstance(element.get("name"), str):
        raise FormatError(f'{where}: no object with a "name"; give each class its name')
    key = element.get("id")
    return Label(
        name=element["name"],
        id=key if isinstance(key, int | str) else None,
        is_thing=element.get("is_thing") is not False,
        supercategory=str(element.get("supercategory") or ""),
        extra=mapping(element.get("extra")),
    )


def picture_json(picture: Picture) -> dict[str, Any]:
    """All of a picture but its items."""
    found = {
        "file_name": checked_name(picture.file_name, where="photo"),
        "width": picture.width,
        "height": picture.height,
        "id": picture.id,
        "split": picture.split,
    }
    return found | ({"attributes": dict(picture.attributes)} if picture.attributes else {})


def picture_of(element: Mapping[str, Any], where: str) -> Picture:
    """The picture without items. Raises FormatError naming ``where``."""
    name = checked_name(element.get("file_name"), where=where)
    height, width = size(element.get("height"), element.get("width"), where)
    key, split = element.get("id"), element.get("split")
    return Picture(
        file_name=name,
        width=width,
        height=height,
        id=key if isinstance(key, int | str) else None,
        split=split if isinstance(split, str) else "",
        attributes=mapping(element.get("attributes")),
    )


class ListingWriter:
    """Writes ``head`` and then pictures, each on its line. A context manager."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self._file = path.open("wb")
        self._file.write(_json(head)[:-1] + b',\n"pictures": [')
        self._comma = b"\n"

    def add(self, element: Mapping[str, Any]) -> None:
        self._file.write(self._comma + _json(element))
        self._comma = b",\n"

    def __enter__(self) -> ListingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.write(b"\n]}\n")
        self._file.close()


def read_head(path: Path) -> tuple[dict[str, Any], int]:
    """All top-level values but ``pictures``, and the number of pictures (-1 where there is no such list).

    Lists are whole. Raises FormatError for what is no JSON object.
    """
    head: dict[str, Any] = {}
    count = -1
    try:
        with path.open("rb") as stream:
            for item in scan(path, stream):
                if item.kind is Kind.MEMBER and item.key is not None:
                    head[item.key] = item.value
                elif item.kind is Kind.ARRAY and item.key is not None:
                    if item.key == "pictures":
                        count = max(count, 0)
                    else:
                        head.setdefault(item.key, [])
                elif item.kind is Kind.ELEMENT and item.key == "pictures":
                    count = max(count, 0) + 1
                elif item.kind is Kind.ELEMENT and item.key is not None:
                    head.setdefault(item.key, []).append(item.value)
                elif item.kind is Kind.ELEMENT:
                    head.setdefault("", []).append(item.value)
    except (JsonError, OSError) as error:
        raise FormatError(f"{error}; give the folder that holds a whole {path.name}") from error
    return head, count


def read_pictures(path: Path) -> Iterator[tuple[str, Any]]:
    """(where, element) of each picture. Raises FormatError where the JSON breaks off."""
    place = 0
    try:
        with path.open("rb") as stream:
            for item in scan(path, stream):
                if item.kind is Kind.ELEMENT and item.key == "pictures":
                    yield f"{path}: pictures[{place}]", item.value
                    place += 1
    except JsonError as error:
        raise FormatError(f"{error}; export it again") from error


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode()
