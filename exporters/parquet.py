"""Parquet shards as Hugging Face ``datasets`` reads them: ``data/SPLIT-00000-of-00001.parquet`` and a README.md.

``load_dataset(FOLDER)`` or ``load_dataset("parquet", data_files=...)`` gives a row for each picture: ``image`` (the
photo's bytes, where they were asked for), ``file_name``, ``width``, ``height``, ``image_id`` and ``objects``, a list of
structs with ``id``, ``bbox`` (COCO's x, y, width, height), ``category`` (a ClassLabel), ``area``, ``iscrowd``,
``score`` and ``segmentation`` (COCO's compressed RLE as text, null without a mask). Every pixel, id and score comes
back. Shards of others are read too, with ``objects`` as a list of structs or a struct of lists.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from pyarrow import parquet as pq

from exporters.atomic import building
from exporters.dataset import Dataset, FormatError, Holds, Label, Picture, WriteOptions, Written
from exporters.parquet_rows import CATEGORY_COLUMNS, labels_in, name_of, picture_of, row_of, schema_of
from exporters.parquet_shards import Shards
from exporters.photo_files import MAX_PIXELS, checked_name, find_photo, photo_size
from exporters.problems import complain

HOLDS = Holds()

_MAX_GROUP_BYTES = 8 * 2**30
_ORIENTATION_TAG = 0x0112
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}\.parquet|(train|val|validation|test|dev)\.parquet")


def matches(path: Path) -> bool:
    """A .parquet file, or a folder that holds some, itself or in ``data/``."""
    try:
        files = _files(path)
        return bool(files) and files[0].open("rb").read(4) == b"PAR1"
    except OSError:
        return False


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(path.glob("*.parquet")) or sorted((path / "data").glob("*.parquet"))
    return [path] if path.suffix.lower() == ".parquet" else []


def read(path: Path, *, images: Path | None = None, on_problem: Callable[[str], object] | None = None) -> Dataset:
    """Open shards: a folder, or one file. The photos that shards embed are not decoded; ``unpack_photos`` saves them.

    Without class names in the metadata the classes are called after their numbers or texts in the column.

    Raises:
        FormatError: no shard is there, one is broken, or has no ``objects``.
    """
    files = _files(path)
    if not files:
        raise FormatError(f"{path}: no .parquet file is there; give the folder of the shards or one of them")
    count, labels = 0, None
    info: dict[str, Any] = {}
    splits: list[str] = []
    for file in files:
        with _opened(file) as shard:
            found, split, more = labels_in(shard.schema_arrow.metadata)
            labels, info = labels or found, info or more
            count += shard.metadata.num_rows
            splits.append(_split_of(file) if split is None else split)
    known = labels if labels is not None else _labels_of(files)

    def pictures() -> Iterator[Picture]:
        for file, split in zip(files, splits, strict=True):
            yield from _pictures(file, split, known, images, lambda message: complain(on_problem, message))

    return Dataset(source=str(path), labels=known, count=count, pictures=pictures, images=images, info=info)


def _opened(file: Path) -> pq.ParquetFile:
    try:
        shard = pq.ParquetFile(file)
        groups = [shard.metadata.row_group(k).total_byte_size for k in range(shard.metadata.num_row_groups)]
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"{file}: it can't be read as parquet ({error}); download or write it again") from error
    if "objects" not in shard.schema_arrow.names:
        raise FormatError(f"{file}: it has no column 'objects' with bbox and category; rename the column of objects")
    if max(groups, default=0) > _MAX_GROUP_BYTES:
        raise FormatError(f"{file}: a row group has {max(groups):,} bytes; write it again with smaller row groups")
    return shard


def _split_of(file: Path) -> str:
    match = _SHARD.fullmatch(file.name)
    return (match[1] or match[2]) if match else ""


def _labels_of(files: Sequence[Path]) -> tuple[Label, ...]:
    """Classes from the column itself: texts by first appearance, numbers from 0 to the largest."""
    names: dict[str, None] = {}
    largest = -1
    for file in files:
        for _, row in _rows(file, ("objects",)):
            value = row.get("objects")
            parts = [value] if isinstance(value, dict) else value or []
            for part in parts:
                found: Any = next((part[name] for name in CATEGORY_COLUMNS if part.get(name) is not None), [])
                for category in found if isinstance(found, list) else [found]:
                    if isinstance(category, int):
                        largest = max(largest, category)
                    elif isinstance(category, str):
                        names[category] = None
    if largest >= 100_000:
        raise FormatError(f"{files[0]}: category {largest} without class names; add a ClassLabel to the features")
    return tuple(Label(str(k), id=k) for k in range(largest + 1)) + tuple(Label(name) for name in names)


def _rows(file: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, row) of a shard. ``columns`` may reach into structs: ``image.path``."""
    number = 0
    with _opened(file) as shard:
        try:
            for batch in shard.iter_batches(batch_size=64, columns=list(columns)):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError, ValueError) as error:
            where = f"{file}: after row {number}"
            raise FormatError(f"{where}: the shard is broken ({error}); download or write it again") from error


def _pictures(
    file: Path, split: str, labels: Sequence[Label], images: Path | None, report: Callable[[str], None]
) -> Iterator[Picture]:
    with _opened(file) as shard:
        names = shard.schema_arrow.names
        shard_type = shard.schema_arrow.field("image").type if "image" in names else pa.null()
    sized = "width" in names and "height" in names
    # The photos' bytes are left on the disk where the size is known without them.
    columns = [name for name in names if name != "image"]
    if "image" in names:
        nested = pa.types.is_struct(shard_type) and sized
        columns.append("image.path" if nested else "image")
    for number, row in _rows(file, columns):
        place = f"{file}: row {number}"

        def size(row: dict[str, Any] = row) -> tuple[int, int]:
            return _size_of(row, images)

        try:
            picture = picture_of(row, labels, place=place, split=split, size=size, report=report)
            checked_name(picture.file_name, where=place)
        except (OSError, ValueError, TypeError, Image.DecompressionBombError) as error:
            # in an object already told, or of the picture itself
            told = str(error).startswith(place)
            report(str(error) if told else f"{place}: {error}; correct the row, or add width and height")
            continue
        yield picture


def _size_of(row: dict[str, Any], images: Path | None) -> tuple[int, int]:
    """(width, height) of an embedded photo, or of the file in ``images``, EXIF-upright."""
    image = row.get("image") if isinstance(row.get("image"), dict) else {}
    data, name = (image or {}).get("bytes"), row.get("file_name") or (image or {}).get("path")
    if not data:
        if images is None or not name:
            raise ValueError("it has neither width and height nor a photo to look at")
        height, width = photo_size(images, name)
        return width, height
    with Image.open(io.BytesIO(data)) as photo:
        width, height = photo.size
        turned = photo.getexif().get(_ORIENTATION_TAG, 1) in (5, 6, 7, 8)
    if width * height > MAX_PIXELS:
        raise ValueError(f"its photo has {width} x {height} pixels, more than {MAX_PIXELS:,}")
    return (height, width) if turned else (width, height)


def unpack_photos(path: Path, folder: Path, *, on_problem: Callable[[str], object] | None = None) -> int:
    """Save the photos that shards embed under the names of their pictures in ``folder``; the number of photos.

    Raises:
        FormatError: a broken shard; without ``on_problem`` also a name that leaves the folder or stands twice.
        OSError: the disk is full or the folder not writable.
    """
    count = 0
    with building(folder) as partial:
        for file in _files(path):
            with _opened(file) as shard:
                names = [name for name in shard.schema_arrow.names if name in ("image", "file_name")]
            for number, row in _rows(file, names) if "image" in names else ():
                image: Any = row.get("image")
                if not isinstance(image, dict) or not image.get("bytes"):
                    continue
                place = f"{file}: row {number}"
                try:
                    target = partial / checked_name(name_of(row, place), where=place)
                    if target.exists():
                        raise FormatError(f"{place}: two photos are called {target.name!r}; rename one")
                except FormatError as error:
                    complain(on_problem, error)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(image["bytes"])
                count += 1
    return count


def write(dataset: Dataset, out: Path, options: WriteOptions = WriteOptions()) -> Written:  # noqa: B008
    """Write shards for each split. With ``copy_images`` (copy or link) the photos' bytes go into the shards.

    Raises:
        FormatError: ``out`` holds something, or an object's class is not listed.
        OSError: the disk is full.
    """
    embedded = options.copy_images != "none"
    numbers = {label.name: k for k, label in enumerate(dataset.labels)}
    written = Written()
    shards: dict[str, Shards] = {}
    with building(out) as folder:
        data = folder / "data"
        data.mkdir()
        try:
            for picture in dataset:
                if picture.split not in shards:
                    shards[picture.split] = _new(dataset, picture.split, shards, data, embedded)
                photo = _photo(dataset.images, picture.file_name, written) if embedded else None
                shards[picture.split].add(row_of(picture, numbers, photo), len(photo or b""))
                written.pictures += 1
                written.items += len(picture.items)
                options.on_picture()
            if not shards:  # an empty data set still has classes
                shards[""] = _new(dataset, "", shards, data, embedded)
        finally:
            for split in shards.values():
                split.close()
        for split in shards.values():
            split.rename()
        (folder / "README.md").write_text(_card(sorted(split.name for split in shards.values())), "utf-8")
    if not embedded:
        written.notes.append("the shards hold no photos: 'file_name' is relative to their folder")
    return written


def _photo(images: Path | None, file_name: str, written: Written) -> bytes | None:
    """The photo's bytes; None, and counted, where it isn't there."""
    try:
        source = None if images is None else find_photo(images, file_name)
    except FormatError:
        written.drop("photos whose name leads out of the folder")
        return None
    if source is None:
        written.drop(
            "photos not copied: their folder isn't known" if images is None else f"photos not found in {images}"
        )
        return None
    return source.read_bytes()


def _new(dataset: Dataset, split: str, others: dict[str, Shards], data: Path, embedded: bool) -> Shards:
    """Shards of a split under a name that ``datasets`` accepts; its own name stands in the metadata."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", split)[:60] or "train"
    taken = {other.name for other in others.values()}
    unique = next(x for x in (name, *(f"{name}_{k}" for k in range(2, len(taken) + 3))) if x not in taken)
    return Shards(unique, data, schema_of(dataset, split=split, embedded=embedded))


def _card(splits: Sequence[str]) -> str:
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split in splits:
        lines += [f"  - split: {split}", f"    path: data/{split}-*"]
    return "\n".join([*lines, "---", "", "Boxes are COCO's x, y, width, height in pixels; masks are COCO's RLE.", ""])
