"""The one table of formats: name -> module. A module is imported when its format is used.

A new format is a module with ``HOLDS``, ``matches``, ``read`` and ``write`` (see ``FormatModule``) and one line here.
"""

from __future__ import annotations

import difflib
import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:  # the command line's help shows the table and must not wait for numpy
    from exporters.dataset import Dataset, Holds, WriteOptions, Written


class FormatModule(Protocol):
    """What a module of the table has."""

    HOLDS: Holds

    def matches(self, path: Path) -> bool:
        """Whether the path looks like this format. Looks at names and the first kilobytes; never raises."""

    def read(
        self, path: Path, *, images: Path | None = None, on_problem: Callable[[str], object] | None = None
    ) -> Dataset:
        """Open a data set; pictures are read while they are walked through. Raises FormatError."""

    def write(self, dataset: Dataset, out: Path, options: WriteOptions = ...) -> Written:
        """Write it in one step. Raises FormatError and OSError."""


@dataclass(frozen=True)
class Format:
    """A line of the table.

    Attributes:
        module: imported when the format is used.
        line: what it is, for ``--help``.
        suffix: of the one file that is written; empty where a folder is.
        masks_only: objects with a box alone can't be written.
        stored: kept on disk; False for objects of a library, which only Python sees.
    """

    module: str
    line: str
    suffix: str = ""
    masks_only: bool = False
    stored: bool = True


FORMATS = {
    "coco": Format("exporters.coco_dataset", "COCO instances, one JSON file", ".json"),
    "coco-panoptic": Format("exporters.panoptic_dataset", "COCO panoptic, JSON and PNG maps", masks_only=True),
    "lvis": Format("exporters.lvis", "LVIS v1, one JSON file", ".json"),
    "yolo-detect": Format("exporters.yolo_detect", "YOLO boxes, the layout of Ultralytics"),
    "yolo-segment": Format("exporters.yolo_segment", "YOLO outlines, the layout of Ultralytics", masks_only=True),
    "voc": Format("exporters.voc", "Pascal VOC, XML and palette PNGs"),
    "label-studio": Format("exporters.label_studio_dataset", "Label Studio, one JSON file", ".json"),
    "cvat": Format("exporters.cvat", "CVAT for images 1.1, one XML file", ".xml"),
    "labelme": Format("exporters.labelme", "LabelMe, a JSON file for each photo"),
    "datumaro": Format("exporters.datumaro_json", "Datumaro's own layout"),
    "cityscapes": Format("exporters.cityscapes_polygons", "Cityscapes polygons and id PNGs", masks_only=True),
    "mask-pngs": Format("exporters.mask_pngs", "one PNG of class numbers for each photo", masks_only=True),
    "instance-pngs": Format("exporters.instance_pngs", "one PNG for each object"),
    "parquet": Format("exporters.parquet", "Parquet shards for Hugging Face datasets"),
    "supervision": Format("exporters.supervision_detections", "supervision.Detections, in Python only", stored=False),
}

STORED = tuple(name for name, found in FORMATS.items() if found.stored)

# Which is asked first: a narrower format before the wider one that its files could be taken for.
_DETECTION = (
    "coco-panoptic", "lvis", "label-studio", "datumaro", "cityscapes", "instance-pngs", "mask-pngs", "voc", "cvat",
    "parquet", "yolo-segment", "yolo-detect", "labelme", "coco",
)  # fmt: skip


# A larger file is not read just to say what is wrong with it.
_PARSED = 50_000_000


def near(name: str) -> str:
    """What could have been meant by a name that is no format."""
    begun = [known for known in STORED if name and known.startswith(name.lower())]
    found = begun or difflib.get_close_matches(name.lower(), STORED, n=1, cutoff=0.5)
    return f"did you mean {' or '.join(found)}?" if found else f"choose one of: {', '.join(STORED)}"


def load(name: str) -> FormatModule:
    """The module of a format. Raises FormatError for an unknown name or a library that is not installed."""
    from exporters.dataset import FormatError

    if name not in FORMATS:
        raise FormatError(f"there is no format {name!r}; {near(name)}")
    try:
        return cast(FormatModule, importlib.import_module(FORMATS[name].module))
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] in ("exporters", "labelers"):
            raise
        raise FormatError(
            f"the format {name!r} needs {error.name}; install it: pip install 'openseed-label[{name}]'"
        ) from error


def available() -> list[str]:
    """The stored formats whose libraries are installed."""
    from exporters.dataset import FormatError

    found = []
    for name in STORED:
        try:
            load(name)
        except FormatError:
            continue
        found.append(name)
    return found


def detect(path: Path) -> str:
    """The format that the files at ``path`` look like.

    Raises:
        FormatError: nothing is there, or no format of the table knows it; the message says what to give.
    """
    from exporters.dataset import FormatError

    if not path.exists():
        raise FormatError(f"{path}: there is no such file or folder; check the path")
    for name in _DETECTION:
        try:
            if load(name).matches(path):
                return name
        except FormatError:
            continue  # its library is missing
    raise FormatError(
        f"{path}: {_looks(path)}; name the format with --from ({', '.join(STORED)}), or give the file or the folder "
        "that the labels stand in"
    )


def _looks(path: Path) -> str:
    """What is odd about files that no format knows."""
    try:
        if path.is_dir():
            names = [entry.suffix.lower() for _, entry in zip(range(1000), path.rglob("*"), strict=False)]
            if not names:
                return "the folder is empty"
            if set(names) <= {"", ".jpg", ".jpeg", ".png", ".webp"}:
                return "there are photos, but no labels"
        elif path.stat().st_size == 0:
            return "the file is empty"
        elif path.suffix.lower() == ".json" and path.stat().st_size < _PARSED:
            json.loads(path.read_bytes())
    except ValueError as error:  # also UnicodeDecodeError
        return f"it is no JSON ({error})"
    except (OSError, RecursionError):
        pass
    return "it looks like no format that is known here"
