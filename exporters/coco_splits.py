"""A folder with one COCO file for each split, as COCO itself is laid out: ``annotations/instances_train2017.json``.

The splits become one data set. Photos are named relative to the folder: ``train2017/000000000009.jpg``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from exporters.dataset import Dataset, FormatError, Picture

_NAME = re.compile(r"(?:instances_)?([a-z]+?)_?\d*\.json", re.IGNORECASE)
_SPLITS = ("train", "val", "valid", "test", "minival", "testdev")


def split_files(path: Path) -> dict[str, Path]:
    """Split -> file, of a folder with two or more; else empty."""
    found: dict[str, Path] = {}
    for folder in (path, path / "annotations"):
        for file in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            match = _NAME.fullmatch(file.name)
            if match is not None and match[1].lower() in _SPLITS:
                found[match[1].lower()] = file
    return found if len(found) > 1 else {}


def joined(path: Path, splits: dict[str, Dataset], images: Path | None) -> Dataset:
    """One data set out of several with the same labels.

    Args:
        images: folder of all photos; None: each split's own, as far as they are below ``path``.

    Raises:
        FormatError: two splits have other classes.
    """
    first = next(iter(splits.values()))
    for name, dataset in splits.items():
        if [(one.id, one.name) for one in dataset.labels] != [(one.id, one.name) for one in first.labels]:
            raise FormatError(
                f"{dataset.source}: the classes of {name!r} are not those of {first.source}; read the files one by one"
            )
    root = path.absolute()
    prefixes = {
        name: f"{dataset.images.relative_to(root).as_posix()}/"
        if images is None and dataset.images is not None and root in dataset.images.parents
        else ""
        for name, dataset in splits.items()
    }

    def pictures() -> Iterator[Picture]:
        for name, dataset in splits.items():
            for picture in dataset:
                file_name = prefixes[name] + picture.file_name
                yield replace(picture, file_name=file_name, split=picture.split or name)

    found = images or (root if any(prefixes.values()) else first.images)
    return Dataset(str(path), first.labels, sum(one.count for one in splits.values()), pictures, found, first.info)


def read_splits(path: Path, read: Callable[[Path], Dataset], images: Path | None) -> Dataset | None:
    """The joined data set of a folder with splits; None where it is no such folder."""
    files = split_files(path)
    return joined(path, {name: read(file) for name, file in files.items()}, images) if files else None
