"""ScanNet, the 25,000 frames, val scenes: semantic with 20 and with 40 classes."""

from __future__ import annotations

from pathlib import Path

from app.errors import UsageError
from app.evaluation.semantic import SemanticTask, label_pngs
from app.evaluation.suites.suite import NOT_VERIFIED, Resize, Suite, check
from app.evaluation.task import PhotoAt, Task
from labelers.named_vocabularies import named

LAYOUT = {
    "scannet_frames_25k": "a folder for each scene with color/*.jpg and label/*.png (scannet_frames_25k.zip)",
    "scannetv2_val.txt": "names of the val scenes, one a line (from the benchmark's repository)",
}

IDS_20 = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
"""Pixel values of the benchmark's 20 classes, in the order of the vocabulary: numbers of NYU's 40 classes."""


def tasks(root: Path) -> list[Task]:
    check(root, "scannet", LAYOUT)
    frames = root / "scannet_frames_25k"
    scenes = (root / "scannetv2_val.txt").read_text("utf-8").split()
    if bad := [scene for scene in scenes if not scene.replace("_", "").isalnum()]:
        raise UsageError(f"{root / 'scannetv2_val.txt'}: {bad[0]!r} is no scene; write one name a line")
    names = [
        path.relative_to(frames).as_posix()
        for scene in scenes
        for path in sorted((frames / scene / "color").glob("*.jpg"))
    ]
    if not names:
        raise UsageError(f"{frames} holds no color/*.jpg of the scenes in scannetv2_val.txt")
    photos = [PhotoAt(frames, name) for name in names]
    pngs = [(frames, str(Path(name).with_suffix(".png")).replace("/color/", "/label/")) for name in names]
    return [
        SemanticTask(
            label_pngs(photos, pngs, labels={number: k for k, number in enumerate(ids)}, fit=True), named(name), title
        )
        for title, name, ids in (
            ("semantic 20", "scannet-20", IDS_20),
            ("semantic 40", "scannet-40", tuple(range(1, 41))),
        )
    ]


SUITE = Suite(
    "scannet",
    "ScanNet frames, val",
    LAYOUT,
    Resize(512, bicubic=True),
    tasks,
    (),
    ("labels of another size are stretched to the photo's (nearest)", NOT_VERIFIED),
)
