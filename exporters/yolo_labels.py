"""Reading and writing of YOLO labels, boxes and outlines: a line for each object, numbers divided by the size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import yaml  # type: ignore[import-untyped]
from numpy.typing import NDArray

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Item, Label, Picture, WriteOptions, Written
from exporters.masks import MaskError, area
from exporters.outlines import mask_of
from exporters.photo_files import UniqueNames, checked_name, find_photo, photo_size, place_photo
from exporters.yolo_folder import Entry, Layout, entries, find_yaml, photos_folder, read_layout

Problem = Callable[[str], object]

_MOST_BYTES = 64 * 1024 * 1024
_PEEKED = 40
# Ultralytics refuses numbers above 1.01; up to here an object is read as it is, beyond it can't be a share of the size.
_FURTHEST = 1.5
_HEADER = (
    "# YOLO data set in the layout of Ultralytics; folders are relative to this file (no `path`, so it can be moved).\n"
)


def has_outlines(path: Path) -> bool | None:
    """Whether the first label files hold outlines; None where ``path`` is no YOLO data set. Never raises."""
    try:
        file = find_yaml(path)
        if file is None or file.stat().st_size > 1_000_000:
            return None
        layout = read_layout(path)
        for number, entry in enumerate(entries(layout, None)):
            if number >= _PEEKED:
                break
            if entry.labels is not None:
                with (layout.root / entry.labels).open(encoding="utf-8", errors="replace") as lines:
                    if any(len(line.split()) > 6 for line in lines.readlines(100_000)):
                        return not layout.keypoints
        return False
    except Exception:
        return None


def read(path: Path, *, masks: bool, images: Path | None, on_problem: Problem | None) -> Dataset:
    """Open a data set.

    Args:
        masks: outlines become masks; False: boxes.
    """
    layout = read_layout(path)
    labels = tuple(Label(name, number) for number, name in layout.names.items())
    folder = photos_folder(layout, images)

    def problem(message: str) -> None:
        if on_problem is None:
            raise FormatError(message)
        on_problem(message)

    def pictures() -> Iterator[Picture]:
        for entry in entries(layout, images):
            try:
                picture = _picture(layout, folder, entry, masks, problem)
            except FormatError as error:
                problem(str(error))
                continue
            yield picture

    return Dataset(str(path), labels, sum(1 for _ in entries(layout, images)), pictures, images=folder)


def _picture(layout: Layout, folder: Path, entry: Entry, masks: bool, problem: Problem) -> Picture:
    if entry.photo is None:
        raise FormatError(
            f"{layout.root / str(entry.labels)}: there is no photo for it, so its size isn't known; "
            "put the photo into the folder images, or give the folder with --images"
        )
    height, width = photo_size(folder, entry.photo, where=str(layout.root))
    items = () if entry.labels is None else tuple(_items(layout, entry.labels, height, width, masks, problem))
    return Picture(entry.photo, width, height, items, split=entry.split)


def _items(layout: Layout, name: str, height: int, width: int, masks: bool, problem: Problem) -> Iterator[Item]:
    file = find_photo(layout.root, name, where=str(layout.root))
    shown = layout.root / name
    if file is None or file.stat().st_size > _MOST_BYTES:
        raise FormatError(f"{shown}: no file of at most {_MOST_BYTES} bytes; remove it")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise FormatError(f"{shown}: no text that can be read ({error}); export it again") from None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            yield _item(layout, line.split(), height, width, masks)
        except (FormatError, MaskError) as error:
            problem(f"{shown}, line {number}: {error}")


def _item(layout: Layout, words: list[str], height: int, width: int, masks: bool) -> Item:
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        raise FormatError(
            "it holds something that is no number; a class number and shares of the size go there"
        ) from None
    number = int(values[0]) if np.isfinite(values[0]) else -1
    if number != values[0] or number not in layout.names:
        raise FormatError(f"class {words[0][:20]!r} is not in names of data.yaml; add it there")
    values = values[1:5] if layout.keypoints else values[1:]
    if len(values) < 4:
        raise FormatError(f"{len(words)} numbers; 5 are a box, 7 or more an outline")
    score = None
    if len(values) % 2:  # a prediction that was saved with its confidence
        score, values = float(values[-1]), values[:-1]
        if not 0 <= score <= 1:
            raise FormatError(f"{len(words)} numbers, so the last is a score in 0 to 1, but it is {score:g}")
    if not (np.abs(values - 0.5) <= _FURTHEST - 0.5).all():  # also NaN
        raise FormatError("a number is not a share of the picture's size (0 to 1); divide by its width and height")
    points = values.reshape(-1, 2) * (width, height)
    name = layout.names[number]
    if len(points) == 2:
        (x, y), (w, h) = points.tolist()
        if w <= 0 or h <= 0:
            raise FormatError("the box has no size; remove the line")
        return Item(name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), score=score)
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    mask = mask_of([points], height, width) if masks else None
    if mask is not None and area(mask) == 0:
        mask = None  # thinner than a pixel: its box is what is left
    return Item(name, (x0, y0, x1, y1), mask, score=score)


def write(
    dataset: Dataset,
    out: Path,
    options: WriteOptions,
    shape: Callable[[Item, Picture, Written], NDArray[np.float64] | str],
) -> Written:
    """Write a data set.

    Args:
        shape: the numbers of an object, shares of the size; or why it can't be written.
    """
    written = Written()
    numbers = {label.name: number for number, label in enumerate(dataset.labels)}
    unique = UniqueNames()
    splits: dict[str, None] = {}
    with building(out) as folder:
        for picture in dataset:
            split = _split(picture.split)
            splits[split] = None
            name = unique(_below(picture.file_name, split), suffix=".txt", folder=split)
            lines = []
            for item in picture.items:
                values = shape(item, picture, written) if item.label in numbers else "objects of an unknown class"
                if isinstance(values, str):
                    written.drop(values)
                    continue
                written.items += 1
                lines.append(" ".join([str(numbers[item.label]), *(f"{v:.9g}" for v in values.ravel().tolist())]))
            target = folder / "labels" / split / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
            photo = name[: -len(".txt")] + PurePosixPath(picture.file_name).suffix
            (folder / "images" / split / photo).parent.mkdir(parents=True, exist_ok=True)
            reason = place_photo(
                dataset.images, picture.file_name, folder / "images" / split / photo, options.copy_images
            )
            if reason is not None:
                written.drop(reason)
            written.pictures += 1
            options.on_picture()
        for kind in ("images", "labels"):  # also where there is no photo
            (folder / kind / (next(iter(splits), "train"))).mkdir(parents=True, exist_ok=True)
        (folder / "data.yaml").write_text(_yaml(dataset, list(splits) or ["train"]), encoding="utf-8", newline="\n")
    written.notes += unique.notes()
    if options.copy_images == "none":
        written.notes.append("the photos were not copied; they have to be put into the folder images, beside labels")
    if "val" not in splits:
        written.notes.append("there is no split 'val', which training with Ultralytics needs: split the data set first")
    return written


def shares(points: NDArray[np.float64], picture: Picture) -> NDArray[np.float64]:
    """Pixels -> shares of the size, cut to the picture, float64 [N, 2]."""
    return np.clip(points / (picture.width, picture.height), 0, 1)


def _yaml(dataset: Dataset, splits: list[str]) -> str:
    usual = ("train", "val", "test")
    order = sorted(splits, key=lambda name: usual.index(name) if name in usual else len(usual))
    data: dict[str, object] = {name: f"images/{name}" for name in order}
    data["names"] = dict(enumerate(label.name for label in dataset.labels))
    return _HEADER + str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=10_000))


def _split(name: str) -> str:
    """A split as a folder and as a key of data.yaml; without one a picture goes to ``train``."""
    found = re.sub(r"[^\w.-]+", "_", name).strip(".")[:80]
    if not found:
        return "train"
    return f"split_{found}" if found in ("path", "names", "nc", "channels", "download", "images", "labels") else found


def _below(file_name: str, split: str) -> str:
    """The photo's name within its split: without the split's own folder, and without a folder ``images``.

    Ultralytics finds labels by the last folder ``images`` of a path, so there must be no second one.
    """
    parts = checked_name(file_name, where="photo").split("/")
    while len(parts) > 1 and parts[0] == "images":
        parts = parts[1:]
    if len(parts) > 1 and parts[0] == split:
        parts = parts[1:]
    return "/".join(["images_" if part == "images" else part for part in parts[:-1]] + parts[-1:])
