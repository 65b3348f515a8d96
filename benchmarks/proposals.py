"""What do proposals at a threshold find, how much of it is wrong, and what when none of the classes is there?

    python -m benchmarks.proposals --dataset val.json --images photos/ --limit 100

Photos that are not annotated in full are left out. Twice per photo: asked for all classes of the file, and asked for
those only that are not in the photo; then every answer is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.cli.convert_boxes import add_labeler_arguments, labeler_builder
from app.convert.plan import photo_folder
from app.convert.progress import bar
from app.propose.classes import of_categories
from app.training.data.annotated import Exhaustive
from exporters.coco import CocoDocument
from exporters.coco_columns import Problems
from labelers.duplicates import box_iou
from labelers.frames import decide
from labelers.photos import PhotoError, read_header
from labelers.records import Boxes
from labelers.vocabulary import Vocabulary

THRESHOLDS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
MATCH = 0.5
"""IoU of boxes from which a proposal of the right class is right."""


@dataclass(frozen=True)
class Answers:
    """All photos together.

    Attributes:
        scores, right: of each proposal for all classes, and whether it is the first on a true object of its class.
        objects: true objects; photos: how many.
        absent: for each photo the best score when only absent classes are asked for (0 where nothing comes).
        absent_scores: of all those answers.
    """

    scores: NDArray[np.float32]
    right: NDArray[np.bool_]
    objects: int
    photos: int
    absent: NDArray[np.float32]
    absent_scores: NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """One threshold: shares in [0, 1] and numbers a photo."""

    threshold: float
    precision: float
    recall: float
    found: float
    absent_quiet: float
    absent_found: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, help="COCO file with boxes")
    parser.add_argument("--images", type=Path, help="folder of the photos")
    parser.add_argument("--limit", type=int, help="only so many photos")
    parser.add_argument("--json", type=Path, help="also write the numbers")
    add_labeler_arguments(parser)
    args = parser.parse_args(arguments)
    answers = ask(labeler_builder(args)(), args.dataset, args.images, limit=args.limit)
    lines = [line(answers, threshold) for threshold in THRESHOLDS]
    print(f"{answers.photos} photos, {answers.objects} objects")
    print(
        "| threshold | precision | recall | proposals a photo | absent classes: photos without a find | finds a photo |"
    )
    print("|---|---|---|---|---|---|")
    for one in lines:
        cells = (f"{one.precision:.3f}", f"{one.recall:.3f}", f"{one.found:.2f}", f"{one.absent_quiet:.3f}")
        print(f"| {one.threshold} | " + " | ".join(cells) + f" | {one.absent_found:.2f} |")
    if args.json:
        args.json.write_text(json.dumps([asdict(one) for one in lines], indent=1))


def ask(labeler: Any, dataset: Path, images: Path | None, *, limit: int | None) -> Answers:
    """Boxes of every photo that is annotated in full."""
    document = CocoDocument.open(dataset)
    folder, _ = photo_folder(images, dataset.resolve().parent, [image.file_name for image in document.images])
    parsed = [json.loads(document.category_text(category.row)) for category in document.categories]
    vocabulary = of_categories(one for one in parsed if isinstance(one, dict))
    rows = {category.row: category.row for category in document.categories}
    exhaustive = Exhaustive(document, rows, stuff=False, problems=Problems())
    coco = max((exhaustive.classes(image.row) for image in document.images), key=len)
    chosen = [image for image in document.images if exhaustive.classes(image.row) == coco][:limit]
    asked = Vocabulary(tuple(one for k, one in enumerate(vocabulary.entries) if k in coco and not one.stuff))
    scores: list[float] = []
    right: list[bool] = []
    objects, photos = 0, 0
    absent: list[float] = []
    absent_scores: list[float] = []
    with bar(total=len(chosen), unit="photos", what="asking", quiet=False) as progress:
        for image in chosen:
            progress.update()
            try:
                header = read_header(folder, image.file_name)
                opened = labeler.open(header.photo(image.key))
            except PhotoError as error:
                print(error, file=sys.stderr)
                continue
            found = document.annotations(image.row)
            frame = decide(header, image.width, image.height)
            boxes = frame.boxes_to_upright(
                np.concatenate((found.xywh[:, :2], found.xywh[:, :2] + found.xywh[:, 2:]), 1)
            )
            names = [document.categories[k].name for k in found.category_rows.tolist()]
            kept = [k for k, name in enumerate(names) if asked.get(name) is not None and not found.iscrowd[k]]
            crowds = boxes[found.iscrowd]
            one, two = judged(*_first_of(*opened.detections(asked)), boxes[kept], [names[k] for k in kept], crowds)
            scores += one
            right += two
            objects += len(kept)
            photos += 1
            others = Vocabulary(tuple(entry for entry in asked.entries if entry.name not in names))
            _, levels = _first_of(*opened.detections(others))
            absent.append(float(levels.max(initial=0.0)))
            absent_scores += levels.tolist()
    return Answers(
        np.array(scores, np.float32),
        np.array(right, bool),
        objects,
        photos,
        np.array(absent, np.float32),
        np.array(absent_scores, np.float32),
    )


def _first_of(boxes: Boxes, scores: NDArray[np.float32]) -> tuple[Boxes, NDArray[np.float32]]:
    """Each object once: of boxes of one class that overlap by half, the best."""
    kept: list[int] = []
    overlap = box_iou(boxes.xyxy, boxes.xyxy)
    for k in np.argsort(-scores, kind="stable").tolist():
        if not any(boxes.names[j] == boxes.names[k] and overlap[j, k] >= MATCH for j in kept):
            kept.append(k)
    return boxes[kept], scores[kept]


def judged(
    found: Boxes, scores: NDArray[np.float32], true: NDArray[np.float32], names: list[str], crowds: NDArray[np.float32]
) -> tuple[list[float], list[bool]]:
    """Score and verdict of each proposal, best first; those on crowds don't count."""
    overlap = box_iou(found.xyxy, true)
    on_crowd = box_iou(found.xyxy, crowds).max(axis=1, initial=0.0) >= MATCH
    taken: set[int] = set()
    kept: list[float] = []
    right: list[bool] = []
    for k, name in enumerate(found.names):
        fits = [j for j in range(len(true)) if names[j] == name and overlap[k, j] >= MATCH and j not in taken]
        if not fits and on_crowd[k]:
            continue
        if fits:
            taken.add(max(fits, key=lambda j: overlap[k, j]))
        kept.append(float(scores[k]))
        right.append(bool(fits))
    return kept, right


def line(answers: Answers, threshold: float) -> Line:
    """The numbers at one threshold; NaN precision where nothing is proposed."""
    above = answers.scores >= threshold
    number, hits = int(above.sum()), int(answers.right[above].sum())
    photos = max(answers.photos, 1)
    return Line(
        threshold=threshold,
        precision=hits / number if number else float("nan"),
        recall=hits / max(answers.objects, 1),
        found=number / photos,
        absent_quiet=float((answers.absent < threshold).mean()) if len(answers.absent) else float("nan"),
        absent_found=int((answers.absent_scores >= threshold).sum()) / photos,
    )


if __name__ == "__main__":
    main()
