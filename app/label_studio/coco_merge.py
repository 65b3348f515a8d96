"""What came back from Label Studio -> a COCO file of its own, or the original file with what has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.label_studio.coco_import import Entry, Imported
from exporters.coco import CocoDocument, Edit
from exporters.coco_edit import edited
from exporters.files import replacing
from exporters.label_studio import labels_of


@dataclass
class Written:
    """Counts of annotations."""

    kept: int = 0
    changed: int = 0
    added: int = 0
    deleted: int = 0


def write_new(done: Imported, path: Path) -> Written:
    """A COCO file of what came back alone. Raises OSError."""
    counts = Written()
    categories = dict(done.categories)
    used = {category.get("id") for category in categories.values()}
    number = 1
    annotations: list[dict[str, Any]] = []
    next_id = 1 + max([0, *(int(key) for _, entry in _entries(done) if (key := entry.key) and _is_whole(key))])
    for _, entry in _entries(done):
        if entry.label not in categories:
            while number in used:
                number += 1
            used.add(number)
            categories[entry.label] = {"id": number, "name": entry.label}
        own = json.loads(entry.key) if entry.key is not None else next_id
        next_id += entry.key is None
        head = {"id": own, "image_id": entry.values.get("image_id"), "category_id": categories[entry.label]["id"]}
        annotations.append({**head, **{k: v for k, v in entry.values.items() if k not in head}})
        _count(counts, entry)
    document = {
        "images": list(done.images.values()),
        "annotations": annotations,
        "categories": list(categories.values()),
    }
    with replacing(path) as out:
        out.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
    return counts


def write_merged(done: Imported, base: CocoDocument, path: Path) -> Written:
    """The file ``base`` with what has changed; elements that have not are its own bytes.

    Images that are not in ``done`` keep all their annotations. Raises OSError, CocoError.
    """
    counts = Written()
    by_key = {entry.key: (image, entry) for image, entry in _entries(done) if entry.key is not None}
    gone = {key for image, keys in done.exported.items() for key in keys if key not in by_key}
    labels = labels_of(base.categories)
    ids = {label: category.id for label, category in zip(labels, base.categories, strict=True)}
    new_categories = _new_categories(done, ids)
    largest = 0

    def annotations() -> Iterator[bytes]:
        nonlocal largest
        for row in range(base.annotation_count):
            key = base.annotation_key(row)
            if _is_whole(key):
                largest = max(largest, int(key))
            if key in gone:
                counts.deleted += 1
                continue
            raw = base.annotation_text(row).encode()
            found = by_key.get(key)
            if found is None:
                yield raw
                continue
            entry = found[1]
            category = ids.get(entry.label)
            relabelled = base.raw_annotation(row).get("category_id") != category
            if not entry.changed and not relabelled:
                counts.kept += 1
                yield raw
                continue
            counts.changed += 1
            values = {"category_id": category} if relabelled else {}
            if entry.changed:
                values |= {
                    name: entry.values[name] for name in ("bbox", "area", "segmentation") if name in entry.values
                }
            yield edited(raw, Edit(values=values))
        for image, entry in _entries(done):
            if entry.key is None:
                largest += 1
                counts.added += 1
                head = {"id": largest, "image_id": json.loads(image), "category_id": ids[entry.label]}
                element = {**head, **{k: v for k, v in entry.values.items() if k not in head}}
                yield json.dumps(element, ensure_ascii=False).encode()

    known = {image.key for image in base.images}
    added_images = [element for key, element in done.images.items() if key not in known]
    lists = {
        "images": [*(base.image_text(row) for row in range(len(base.images))), *map(_text, added_images)],
        "categories": [*(base.category_text(row) for row in range(len(base.categories))), *map(_text, new_categories)],
    }
    with replacing(path) as out:
        before = b"{"
        for name, text in base.top_level():
            out.write(before + b"\n" + json.dumps(name).encode() + b": ")
            if text is not None:
                out.write(text.encode())
            elif name == "annotations":
                _write_list(out, annotations())
            else:
                _write_list(out, (element.encode() for element in lists[name]))
            before = b","
        out.write(b"\n}\n")
    return counts


def _new_categories(done: Imported, ids: dict[str, Any]) -> list[dict[str, Any]]:
    """Categories for labels that the file doesn't have; ``ids`` is completed."""
    found: list[dict[str, Any]] = []
    whole = [value for value in ids.values() if isinstance(value, int)]
    for _, entry in _entries(done):
        if entry.label not in ids:
            ids[entry.label] = max([0, *whole]) + 1
            whole.append(ids[entry.label])
            found.append({"id": ids[entry.label], "name": entry.label})
    return found


def _entries(done: Imported) -> Iterator[tuple[str, Entry]]:
    for image, entries in done.annotations.items():
        for entry in entries:
            yield image, entry


def _write_list(out: Any, elements: Iterator[bytes]) -> None:
    out.write(b"[")
    for number, element in enumerate(elements):
        out.write((b",\n" if number else b"\n") + element)
    out.write(b"\n]")


def _text(element: dict[str, Any]) -> str:
    return json.dumps(element, ensure_ascii=False)


def _count(counts: Written, entry: Entry) -> None:
    if entry.key is None:
        counts.added += 1
    elif entry.changed:
        counts.changed += 1
    else:
        counts.kept += 1


def _is_whole(key: str) -> bool:
    return key.isascii() and key.isdigit()
