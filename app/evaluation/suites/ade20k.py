"""ADE20K (SceneParse150) val: panoptic, instances, boxes, semantic."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.instances import InstanceTask, coco_instances
from app.evaluation.panoptic import PanopticTask, panoptic_file
from app.evaluation.semantic import SemanticTask, label_pngs
from app.evaluation.suites.suite import DINOV, Published, Resize, Suite, check, files_in, labels_by_place
from app.evaluation.task import PhotoAt, Task
from exporters.coco import CocoDocument
from exporters.coco_panoptic import read_panoptic
from labelers.named_vocabularies import named

LAYOUT = {
    "images/validation": "2,000 photos (ADEChallengeData2016.zip)",
    "annotations/validation": "PNGs, 0 is nothing and 1 to 150 are the classes (in the same archive)",
    "ade20k_panoptic_val.json": "segments, as the usual preparation script makes it",
    "ade20k_panoptic_val": "PNGs of the segments, from the same script",
    "ade20k_instance_val.json": "objects of the 100 thing classes in COCO's format, from the usual script",
}


def tasks(root: Path) -> list[Task]:
    check(root, "ade20k", LAYOUT)
    vocabulary = named("ade20k-150")
    images, pngs = root / "images" / "validation", root / "annotations" / "validation"
    file = read_panoptic(root / "ade20k_panoptic_val.json")
    labels = labels_by_place([(c.id, c.name) for c in file.categories], vocabulary, where=str(file.path))
    document = CocoDocument.open(root / "ade20k_instance_val.json")
    by_id = labels_by_place([(c.id, c.name) for c in document.categories], vocabulary, where=str(document.path))
    objects = coco_instances(document, images, labels=[by_id.get(c.id, -1) for c in document.categories])
    photos = files_in(images, "*.jpg")
    return [
        PanopticTask(panoptic_file(file, root / "ade20k_panoptic_val", images, labels=labels), vocabulary),
        InstanceTask("instance", objects, vocabulary),
        InstanceTask("boxes", objects, vocabulary, kind="boxes", boxes_of="scene"),
        SemanticTask(
            label_pngs(
                [PhotoAt(images, name) for name in photos],
                [(pngs, str(Path(name).with_suffix(".png"))) for name in photos],
                labels={k + 1: k for k in range(len(vocabulary.entries))},
            ),
            vocabulary,
        ),
    ]


def _row(pq: float, mask: float, box: float, miou: float) -> dict[tuple[str, str], float]:
    return {("panoptic", "PQ"): pq, ("instance", "AP"): mask, ("boxes", "AP"): box, ("semantic", "mIoU"): miou}


SUITE = Suite(
    "ade20k",
    "ADE20K val, 150 classes",
    LAYOUT,
    Resize(640, 2560),
    tasks,
    (
        Published("OpenSeeD Swin-T", _row(19.8, 14.1, 17.0, 22.9), DINOV),
        Published("OpenSeeD Swin-L", _row(19.7, 15.0, 17.7, 23.4), DINOV),
    ),
    ("published rows: without training on ADE20K; after fine-tuning (Table 3): not verified, so not shown",),
)
