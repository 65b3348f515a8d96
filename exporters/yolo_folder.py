"""The folders of a YOLO data set as Ultralytics lays them out, which both YOLO formats share.

``data.yaml`` names the classes and the folders of photos of each split; the labels of ``images/train/x/a.jpg`` stand in
``labels/train/x/a.txt``. Also read: Roboflow's ``train/images`` and ``train/labels``, splits that are lists of photos
(``train.txt``), labels beside their photos, and ``classes.txt`` in place of ``data.yaml``.

``data.yaml`` is untrusted: nothing outside its folder is opened, whatever ``path`` says; text is never executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]

from exporters.dataset import FormatError
from exporters.photo_files import PHOTO_SUFFIXES, checked_name, find_photo

_MOST_BYTES = 16 * 1024 * 1024
_SPLITS = {"validation": "val", "valid": "val"}
_OTHER_KEYS = frozenset(
    ("path", "names", "nc", "channels", "download", "kpt_shape", "flip_idx", "kpt_names", "roboflow", "masks_dir")
)


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
        root: the folder that nothing may lie outside of.
        names: class number -> name.
        splits: split -> folders of photos or list files, relative to ``root``.
        keypoints: the labels are boxes followed by key points.
    """

    root: Path
    names: Mapping[int, str]
    splits: tuple[tuple[str, tuple[str, ...]], ...]
    keypoints: bool = False


@dataclass(frozen=True)
class Entry:
    """One photo with its labels.

    Attributes:
        split: its split.
        photo: relative to the folder of photos; None where there is none.
        labels: label file relative to the root; None where there is none.
    """

    split: str
    photo: str | None
    labels: str | None


def find_yaml(path: Path) -> Path | None:
    """``data.yaml`` or ``classes.txt`` of a data set; the file itself if ``path`` is one. None: no YOLO data set."""
    if path.is_file():
        return path if path.suffix.lower() in (".yaml", ".yml") or path.name == "classes.txt" else None
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (path / name).is_file():
            return path / name
    others = sorted(found for found in path.glob("*.y*ml") if found.is_file())
    if len(others) == 1:
        return others[0]
    if (path / "classes.txt").is_file() and (path / "labels").is_dir():
        return path / "classes.txt"
    return None


def read_layout(path: Path) -> Layout:
    """Read ``data.yaml``. Raises FormatError."""
    file = find_yaml(path)
    if file is None:
        raise FormatError(f"{path}: there is no data.yaml that names classes and splits; give its folder or the file")
    text = _text(file)
    root = file.parent
    if file.name == "classes.txt":
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        folder = "images" if (root / "images").is_dir() else "labels"
        return Layout(root, _unique(dict(enumerate(lines)), file), (("", (folder,)),))
    try:
        data = yaml.load(text, Loader=yaml.BaseLoader)  # which makes texts, lists and mappings only
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise FormatError(f"{file}: no YAML ({str(error)[:200]}); write it again") from None
    if not isinstance(data, dict):
        raise FormatError(f"{file}: a mapping with names, train and val is expected")
    splits = tuple(_splits(data, root, file))
    return Layout(root, _names(data, file), splits, keypoints="kpt_shape" in data)


def label_file(photo: str) -> str:
    """The label file of a photo, both relative: the last folder ``images`` becomes ``labels``."""
    path = PurePosixPath(photo)
    folders = list(path.parts[:-1])
    for at in reversed(range(len(folders))):
        if folders[at] == "images":
            folders[at] = "labels"
            break
    return PurePosixPath(*folders, path.stem + ".txt").as_posix()


def entries(layout: Layout, images: Path | None) -> Iterator[Entry]:
    """All photos and label files, split by split and folder by folder, each sorted.

    Args:
        images: folder of the photos where they are not beside the labels; names are then relative to it.
    """
    for split, places in layout.splits:
        for place in places:
            if place.endswith(".txt"):
                yield from _listed(layout, split, place, images)
            else:
                yield from _in_folder(layout, split, place, images)


def _in_folder(layout: Layout, split: str, place: str, images: Path | None) -> Iterator[Entry]:
    labels = PurePosixPath(label_file(f"{place}/x")).parent.as_posix()
    prefix, photos, every = f"{place}/", layout.root / place, True
    if images is not None:
        base = PurePosixPath(place).name
        prefix = f"{base}/" if base != "images" and (images / base).is_dir() else ""
        photos, every = images / prefix, bool(prefix)
    elif _below_images(layout):
        prefix = prefix.removeprefix("images/")
    folders = {*_folders(layout.root / labels), *(_folders(photos) if every else ())}
    for folder in sorted(folders):
        named = _stems(photos / folder, PHOTO_SUFFIXES)
        labelled = _stems(layout.root / labels / folder, (".txt",))
        if folder == "" and photos == layout.root / labels:
            labelled.pop("classes", None)
        at = "" if folder == "" else f"{folder}/"
        for stem in sorted({*named, *labelled} if every else labelled):
            photo = f"{prefix}{at}{named[stem]}" if stem in named else None
            yield Entry(split, photo, f"{labels}/{at}{labelled[stem]}" if stem in labelled else None)


def photos_folder(layout: Layout, images: Path | None) -> Path:
    """What the photos' names are relative to: ``images`` where all photos lie in it, else the root."""
    if images is not None:
        return images
    return layout.root / "images" if _below_images(layout) else layout.root


def _below_images(layout: Layout) -> bool:
    return all(place == "images" or place.startswith("images/") for _, places in layout.splits for place in places)


def _listed(layout: Layout, split: str, place: str, images: Path | None) -> Iterator[Entry]:
    """The photos that a text file names, one a line."""
    for line in _text(layout.root / place).splitlines():
        if not line.strip():
            continue
        inside = _relative(line.strip(), layout.root)
        name = checked_name(inside, where=f"{layout.root / place}: {line.strip()[:80]!r}")
        labels = label_file(name)
        found = find_photo(layout.root, labels) is not None
        photo = name if images is None else name.removeprefix("images/")
        yield Entry(split, photo, labels if found else None)


def _relative(line: str, root: Path) -> str:
    """A path of a list or of data.yaml, relative to the root. Absolute ones of a moved data set: from ``images`` on."""
    path = PurePosixPath(line.replace("\\", "/"))
    if not path.is_absolute():
        return path.as_posix()
    for base in (root, root.resolve()):
        if path.is_relative_to(base.as_posix()):
            return path.relative_to(base.as_posix()).as_posix()
    parts = path.parts
    return "/".join(parts[parts.index("images") :]) if "images" in parts else line


def _splits(data: Mapping[str, Any], root: Path, file: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    base = data.get("path") if isinstance(data.get("path"), str) else ""
    seen: set[str] = set()
    for key, value in data.items():
        known = key in ("train", "val", "test", "minival", *_SPLITS)
        values = value if isinstance(value, list) else [value]
        texts = [text for text in values if isinstance(text, str) and text.strip()]
        if key in _OTHER_KEYS or not texts or not (known or (isinstance(key, str) and _is_split(texts, root))):
            continue
        places = tuple(_place(text, str(base), root, file, key) for text in texts)
        places = tuple(place for place in dict.fromkeys(places) if place not in seen)  # `val: images/train` is no split
        seen.update(places)
        if places:
            yield _SPLITS.get(key, key), places
    if not seen and (root / "images").is_dir() and (root / "labels").is_dir():
        yield "", ("images",)  # classes only, as supervision writes it
    elif not seen:
        raise FormatError(f"{file}: no split names its photos; add a line like 'train: images/train'")


def _is_split(texts: list[str], root: Path) -> bool:
    """Whether a key that Ultralytics doesn't know is one of our splits."""
    return all(text.startswith("images/") and ".." not in text and (root / "labels").is_dir() for text in texts)


def _place(text: str, base: str, root: Path, file: Path, key: str) -> str:
    """A folder or list file, relative to the root."""
    inside = _relative(text.strip(), root)
    tries = [inside]
    if base and not PurePosixPath(base).is_absolute() and ".." not in PurePosixPath(base).parts:
        tries.insert(0, f"{base}/{inside}")
    tries.append(inside.removeprefix("../"))  # as Roboflow writes it
    names: list[str] = []
    for one in tries:
        try:
            names.append(checked_name(one, where=f"{file}: {key}"))
        except FormatError:
            continue
    for name in names:
        real = (root / name).resolve()
        if real.exists() and real.is_relative_to(root.resolve()):
            return name
    if not names:
        raise FormatError(f"{file}: {key}: {text[:80]!r} leads out of the folder; make it relative to data.yaml")
    for name in names:  # photos that were not copied: their labels are enough
        if (root / label_file(f"{name}/x")).parent.is_dir():
            return name
    raise FormatError(f"{file}: {key}: there is no {names[0]!r} in {root}; put data.yaml beside the folder images")


def _names(data: Mapping[str, Any], file: Path) -> dict[int, str]:
    names = data.get("names")
    if isinstance(names, list):
        found = dict(enumerate(names))
    elif isinstance(names, dict):
        try:
            found = {int(key): name for key, name in names.items()}
        except (TypeError, ValueError):
            raise FormatError(f"{file}: names: the keys must be class numbers 0, 1, 2, ...") from None
    else:
        count = data.get("nc")
        if not (isinstance(count, str) and count.isascii() and count.isdigit() and 0 < int(count[:9]) < 100_000):
            raise FormatError(f"{file}: names is missing; list the names of the classes in the order of their numbers")
        found = {number: f"class_{number}" for number in range(int(count))}
    if not all(isinstance(name, str) and name.strip() for name in found.values()):
        raise FormatError(f"{file}: names: a class without a name; write one name, a text, for each number")
    return _unique(dict(sorted(found.items())), file)


def _unique(names: dict[int, str], file: Path) -> dict[int, str]:
    if len(set(names.values())) != len(names):
        twice = next(name for name in names.values() if list(names.values()).count(name) > 1)
        raise FormatError(f"{file}: two classes are called {twice!r}; give each its own name")
    return names


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise FormatError(f"{file}: more than {_MOST_BYTES} bytes; this can't be a list of classes or photos")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{file}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise FormatError(f"{file}: {error.strerror or error}") from None


def _folders(root: Path) -> Iterator[str]:
    for folder, below, _ in os.walk(root):
        below.sort()
        inside = Path(folder).relative_to(root).as_posix()
        yield "" if inside == "." else inside


def _stems(folder: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """Stem -> name of the files of one folder."""
    if not folder.is_dir():
        return {}
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(suffixes))  # noqa: PTH208 - much quicker
    return {PurePosixPath(name).stem: name for name in names}
