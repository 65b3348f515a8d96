"""Which of COCO's relatives a JSON file looks like, from its first and last kilobytes."""

from __future__ import annotations

import re
from pathlib import Path

_HEAD, _TAIL = 256 * 1024, 32 * 1024


def ends_of(path: Path) -> tuple[bytes, bytes]:
    """The first and last bytes of a ``.json`` file, white space before it left out; empty where it is none."""
    try:
        if not path.is_file() or path.suffix.lower() != ".json":
            return b"", b""
        with path.open("rb") as file:
            head = file.read(_HEAD)
            file.seek(max(path.stat().st_size - _TAIL, 0))
            return head.removeprefix(b"\xef\xbb\xbf").lstrip(), file.read(_TAIL)
    except OSError:
        return b"", b""


def has_coco_lists(path: Path) -> bool:
    """An object with COCO's lists: a big file shows only one of them at its ends."""
    head, tail = ends_of(path)
    if not head.startswith(b"{"):
        return False
    both = head + b"\n" + tail
    lists = [name for name in (b"images", b"annotations", b"categories") if re.search(b'"%b"\\s*:\\s*\\[' % name, both)]
    fields = (b'"image_id"', b'"file_name"', b'"coco_url"', b'"supercategory"', b'"segments_info"')
    return len(lists) >= 2 or (bool(lists) and any(name in both for name in fields))


def is_panoptic(path: Path) -> bool:
    """COCO lists with segments; where they stand too far inside the file, its name tells."""
    if not has_coco_lists(path):
        return False
    head, tail = ends_of(path)
    if b'"segments_info"' in head or b'"segments_info"' in tail:
        return True
    return b'"iscrowd"' not in head + tail and b'"segmentation"' not in head + tail and "panoptic" in path.name.lower()


def is_lvis(path: Path) -> bool:
    """COCO lists with LVIS's own fields of images or categories."""
    if not has_coco_lists(path):
        return False
    head, tail = ends_of(path)
    both = head + tail
    return b'"neg_category_ids"' in both or (b'"synset"' in both and b'"frequency"' in both)


def only_json(path: Path, wanted: str) -> Path:
    """The labels' file: ``path`` itself, or in a folder ``wanted``, or the only JSON there or in ``annotations/``."""
    if not path.is_dir():
        return path
    if (path / wanted).is_file():
        return path / wanted
    for folder in (path, path / "annotations"):
        found = sorted(folder.glob("*.json")) if folder.is_dir() else []
        if len(found) == 1:
            return found[0]
    return path / wanted
