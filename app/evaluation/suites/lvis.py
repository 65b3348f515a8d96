"""LVIS v1 val: boxes and masks of 1,203 classes, by LVIS's federated rules, 300 detections a photo."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from app.errors import UsageError
from app.evaluation.instances import InstanceTask, coco_instances
from app.evaluation.suites.suite import NOT_VERIFIED, Resize, Suite, check, either
from app.evaluation.task import Task
from exporters.coco import CocoDocument
from labelers.vocabulary import Entry, Vocabulary

_JSON = (
    "annotations/lvis_v1_val.json | lvis_v1_val.json | annotations/lvis_v1_minival_inserted_image_name.json"
    " | lvis_v1_minival_inserted_image_name.json"
)
LAYOUT = {
    _JSON: "the annotations (lvis_v1_val.json.zip), or the minival that detection papers use",
    "val2017": "COCO's photos (val2017.zip)",
}
"""``train2017`` too for lvis_v1_val.json: most of its photos are there; those that lack are reported one by one."""

FREQUENCY = {"r": "rare", "c": "common", "f": "frequent"}
TOP = 300


def tasks(root: Path) -> list[Task]:
    check(root, "lvis", LAYOUT)
    document = CocoDocument.open(either(root, _JSON))
    raw = [json.loads(document.category_text(category.row)) for category in document.categories]
    names = [category.name for category in document.categories]
    if not names or len(set(names)) < len(names):
        raise UsageError(f"{document.path}: the classes have no names of their own; is it an LVIS file?")
    vocabulary = Vocabulary(tuple(Entry(name, (prompt(name),)) for name in names))
    groups = {
        title: frozenset(k for k, item in enumerate(raw) if item.get("frequency") == letter)
        for letter, title in FREQUENCY.items()
    }
    rows = list(range(len(names)))
    objects = coco_instances(document, root, labels=rows, photo_of=photo_of, lvis=True)
    only_boxes = coco_instances(document, root, labels=rows, photo_of=photo_of, lvis=True, with_masks=False)
    return [
        InstanceTask("boxes", only_boxes, vocabulary, kind="boxes", top=TOP, max_detections=TOP, groups=groups),
        InstanceTask("instance", objects, vocabulary, top=TOP, max_detections=TOP, groups=groups),
    ]


def prompt(name: str) -> str:
    """``aerosol_can`` -> ``aerosol can``."""
    return name.replace("_", " ").strip() or name


def photo_of(document: CocoDocument, row: int) -> str:
    """``val2017/000000397133.jpg``: from ``coco_url``, which LVIS has instead of a file name."""
    url = json.loads(document.image_text(row)).get("coco_url")
    if isinstance(url, str):
        parts = PurePosixPath(url.partition("://")[2]).parts[-2:]
        if len(parts) == 2 and ".." not in parts:
            return "/".join(parts)
    name = document.images[row].file_name
    return name if "/" in name else f"val2017/{name}"


SUITE = Suite(
    "lvis",
    "LVIS v1, 1,203 classes",
    LAYOUT,
    Resize(800, 1333),
    tasks,
    (),
    ("the resize rule is COCO's, as the photos are", NOT_VERIFIED),
)
