"""A data set into parts: which photos belong together, which part they go to, and the files."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from app.datasets.lookalikes import DISTANCE, alike, hash_or_none
from app.datasets.stratify import divide
from app.errors import UsageError
from exporters.atomic import building
from exporters.dataset import Dataset, Picture, WriteOptions, Written
from exporters.formats import FORMATS, load

Group = Literal["folder", "prefix", "lookalike"]
GROUPS: tuple[Group, ...] = ("folder", "prefix", "lookalike")

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
# The number of a frame at the end of a name, with what stands before it: clip_000123, clip-12, clip.frame12
_FRAME = re.compile(r"(?:[._\- ]*(?:frame|img|f)?[._\- ]*\d+)+$", re.IGNORECASE)


@dataclass(frozen=True)
class Parts:
    """The result.

    Attributes:
        of: number of a picture in the data set's order -> name of its part.
        groups: how many groups there were.
        photos: part -> number of photos.
        classes: class -> part -> number of photos that show it.
    """

    of: tuple[str, ...]
    groups: int
    photos: Mapping[str, int]
    classes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def parse_ratios(text: str) -> dict[str, float]:
    """``train=0.8,val=0.2`` (or ``train=8,val=2``) -> shares that sum to 1. Raises UsageError."""
    found: dict[str, float] = {}
    for piece in text.split(","):
        name, equals, number = (word.strip() for word in piece.partition("="))
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if not equals or not _PART.fullmatch(name) or not 0 < share < 1e6 or name in found:
            raise UsageError(f"--ratios {text!r}: write names and shares above 0, as in train=0.8,val=0.1,test=0.1")
        found[name] = share
    total = sum(found.values())
    return {name: share / total for name, share in found.items()}


def prefix_of(file_name: str) -> str:
    """The name without the number of a frame: what the frames of one video share."""
    path = PurePosixPath(file_name)
    return str(path.parent / (_FRAME.sub("", path.stem) or path.stem))


def divide_dataset(
    dataset: Dataset,
    ratios: Mapping[str, float],
    *,
    group: Sequence[Group] = (),
    distance: int = DISTANCE,
    seed: int = 0,
    on_picture: Callable[[], object] = lambda: None,
) -> Parts:
    """Find a part for each picture; groups stay together, classes are shared out evenly.

    Args:
        group: pictures that share one of these belong together.
        distance: bits in which the hashes of photos that look alike may differ.

    Raises:
        UsageError: photos are to be compared but their folder is not known.
        FormatError: a picture can't be read.
    """
    if "lookalike" in group and dataset.images is None:
        raise UsageError("--group lookalike looks at the photos: give their folder with --images")
    shows: list[frozenset[str]] = []
    keys: list[list[str]] = []
    hashes: list[int | None] = []
    for picture in dataset:
        shows.append(frozenset(item.label for item in picture.items))
        keys.append(_keys(picture, group))
        if "lookalike" in group and dataset.images is not None:
            hashes.append(hash_or_none(dataset.images, picture.file_name))
        on_picture()
    if hashes:
        for names, number in zip(keys, alike(hashes, distance=distance), strict=True):
            names.append(f"lookalike {number}")
    members = _joined(keys)
    classes = [Counter(name for at in places for name in shows[at]) for places in members]
    names = list(ratios)
    chosen = divide(classes, [len(places) for places in members], [ratios[name] for name in names], seed=seed)
    of = [""] * len(keys)
    for places, part in zip(members, chosen, strict=True):
        for at in places:
            of[at] = names[part]
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for at, part_name in enumerate(of):
        for name in shows[at]:
            table[name][part_name] += 1
    counted = Counter(of)
    return Parts(tuple(of), len(members), {name: counted[name] for name in names}, dict(table))


def _keys(picture: Picture, group: Sequence[Group]) -> list[str]:
    found = []
    if "folder" in group:
        found.append(f"folder {PurePosixPath(picture.file_name).parent}")
    if "prefix" in group:
        found.append(f"prefix {prefix_of(picture.file_name)}")
    return found


def _joined(keys: Sequence[Sequence[str]]) -> list[list[int]]:
    """Places that share a key, directly or over others, in the order of their first member."""
    parent = list(range(len(keys)))

    def root_of(at: int) -> int:
        while parent[at] != at:
            parent[at] = parent[parent[at]]
            at = parent[at]
        return at

    first: dict[str, int] = {}
    for at, names in enumerate(keys):
        for name in names:
            a, b = root_of(first.setdefault(name, at)), root_of(at)
            parent[max(a, b)] = min(a, b)
    groups: dict[int, list[int]] = {}
    for at in range(len(keys)):
        groups.setdefault(root_of(at), []).append(at)
    return list(groups.values())


def write_parts(dataset: Dataset, parts: Parts, out: Path, to: str, options: WriteOptions) -> dict[str, Written]:
    """Write the parts: one data set with splits where the format has them, else one for each part inside ``out``.

    Returns:
        Part (empty where all are in one) -> what was written.
    """
    module = load(to)
    if module.HOLDS.splits and not FORMATS[to].suffix:
        return {"": module.write(_with_splits(dataset, parts), out, options)}
    # A single file has no room for photos: with them, such a format is written as a folder too.
    suffix = FORMATS[to].suffix if options.copy_images == "none" else ""
    with building(out) as folder:
        return {
            name: module.write(_only(dataset, parts, name), folder / f"{name}{suffix}", options)
            for name, number in parts.photos.items()
            if number
        }


def _with_splits(dataset: Dataset, parts: Parts) -> Dataset:
    def pictures() -> Iterator[Picture]:
        for picture, name in zip(dataset.pictures(), parts.of, strict=True):
            yield dataclasses.replace(picture, split=name)

    return dataclasses.replace(dataset, pictures=pictures)


def _only(dataset: Dataset, parts: Parts, wanted: str) -> Dataset:
    def pictures() -> Iterator[Picture]:
        for picture, name in zip(dataset.pictures(), parts.of, strict=True):
            if name == wanted:
                yield dataclasses.replace(picture, split=name)

    return dataclasses.replace(dataset, pictures=pictures, count=parts.photos[wanted])
