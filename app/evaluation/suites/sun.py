"""SUN RGB-D test: semantic with 37 classes, in the layout of the extracted label PNGs."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.semantic import SemanticTask, label_pngs
from app.evaluation.suites.suite import NOT_VERIFIED, Resize, Suite, check, either, files_in
from app.evaluation.task import PhotoAt, Task
from labelers.named_vocabularies import named

_LABELS = "sunrgbd_train_test_labels | sunrgbd_test_train_labels"
LAYOUT = {
    "SUNRGBD-test_images": "5,050 photos img-000001.jpg ... (SUNRGBD-test_images.tgz of sunrgbd-meta-data)",
    _LABELS: "PNGs img-000001.png ..., 0 is nothing and 1 to 37 are the classes (from the same collection)",
}


def tasks(root: Path) -> list[Task]:
    check(root, "sun", LAYOUT)
    images, labels = root / "SUNRGBD-test_images", either(root, _LABELS)
    names = files_in(images, "*.jpg")
    vocabulary = named("sun-37")
    return [
        SemanticTask(
            label_pngs(
                [PhotoAt(images, name) for name in names],
                [(labels, str(Path(name).with_suffix(".png"))) for name in names],
                labels={k + 1: k for k in range(len(vocabulary.entries))},
                fit=True,
            ),
            vocabulary,
        )
    ]


SUITE = Suite("sun", "SUN RGB-D test, 37 classes", LAYOUT, Resize(512, bicubic=True), tasks, (), (NOT_VERIFIED,))
