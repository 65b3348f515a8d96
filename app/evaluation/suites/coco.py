"""COCO 2017 val: panoptic, instances, boxes, semantic, with the 133 panoptic classes."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.instances import InstanceTask, coco_instances
from app.evaluation.panoptic import PanopticTask, panoptic_file
from app.evaluation.semantic import SemanticTask, labels_of
from app.evaluation.suites.suite import DINOV, Published, Resize, Suite, check, either, labels_by_name
from app.evaluation.task import Task
from exporters.coco import CocoDocument
from exporters.coco_panoptic import read_panoptic
from labelers.named_vocabularies import named

LAYOUT = {
    "val2017": "5,000 photos (val2017.zip)",
    "annotations/instances_val2017.json": "boxes and masks (annotations_trainval2017.zip)",
    "annotations/panoptic_val2017.json": "segments (panoptic_annotations_trainval2017.zip)",
    "annotations/panoptic_val2017 | panoptic_val2017": "PNGs (panoptic_val2017.zip, which is inside that archive)",
}


def tasks(root: Path) -> list[Task]:
    check(root, "coco", LAYOUT)
    vocabulary = named("coco-133")
    images, annotations = root / "val2017", root / "annotations"
    pngs = either(root, "annotations/panoptic_val2017 | panoptic_val2017")
    file = read_panoptic(annotations / "panoptic_val2017.json")
    labels = labels_by_name([(c.id, c.name) for c in file.categories], vocabulary, where=str(file.path))
    panoptic = panoptic_file(file, pngs, images, labels=labels)
    document = CocoDocument.open(annotations / "instances_val2017.json")
    by_id = labels_by_name([(c.id, c.name) for c in document.categories], vocabulary, where=str(document.path))
    rows = [by_id.get(category.id, -1) for category in document.categories]
    objects = coco_instances(document, images, labels=rows)
    return [
        PanopticTask(panoptic, vocabulary),
        InstanceTask("instance", objects, vocabulary),
        InstanceTask("boxes", objects, vocabulary, kind="boxes", boxes_of="scene"),
        SemanticTask(labels_of(panoptic), vocabulary),
    ]


def _row(pq: float, mask: float, box: float, miou: float) -> dict[tuple[str, str], float]:
    return {("panoptic", "PQ"): pq, ("instance", "AP"): mask, ("boxes", "AP"): box, ("semantic", "mIoU"): miou}


SUITE = Suite(
    "coco",
    "COCO 2017 val",
    LAYOUT,
    Resize(800, 1333),
    tasks,
    (
        Published("OpenSeeD Swin-T", _row(55.4, 47.6, 52.0, 64.0), f"PQ: the model's README; all: {DINOV}"),
        Published("OpenSeeD Swin-L", _row(59.5, 53.2, 58.2, 68.6), DINOV),
    ),
    ("semantic truth comes from the panoptic PNGs, crowds included",),
)
