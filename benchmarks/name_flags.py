"""How well does ``propose --for-boxes`` find wrong names? Flip some of a file's names, and see which are flagged.

    python -m benchmarks.name_flags --dataset val.json --images photos/
    python -m benchmarks.name_flags --dataset val.json --images photos/ --limit 100 --json flags.json

Each box is asked once; the flags at all margins follow from the same scores.
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
from exporters.coco import CocoDocument
from labelers.frames import decide
from labelers.name_check import check_names
from labelers.photos import PhotoError, read_header
from labelers.protocol import Labeler
from labelers.records import Boxes
from labelers.vocabulary import Vocabulary

MARGINS = (-0.05, 0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class Ranked:
    """All usable boxes: ``scores`` float32 [N, K], ``names`` int64 [N], the true classes as rows of the vocabulary."""

    scores: NDArray[np.float32]
    names: NDArray[np.int64]
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """The flags at one margin.

    Attributes:
        flagged: how many names.
        precision: share of the flags that are on flipped names; NaN where nothing is flagged.
        recall: share of the flipped names that are flagged.
        false_flags: share of the right names that are flagged.
    """

    margin: float
    flagged: int
    precision: float
    recall: float
    false_flags: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.name_flags", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, metavar="FILE", help="COCO file whose names are right")
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of the photos (default: beside the file)")
    parser.add_argument("--share", type=float, default=0.1, help="of the names that are flipped (default: 0.1)")
    parser.add_argument("--seeds", type=int, default=3, help="how often, with other names flipped (default: 3)")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N photos")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    add_labeler_arguments(parser)
    args = parser.parse_args(argv)
    labeler = labeler_builder(args)()
    with CocoDocument.open(args.dataset) as document:
        parsed = [json.loads(document.category_text(category.row)) for category in document.categories]
        vocabulary = of_categories(one for one in parsed if isinstance(one, dict)).with_prompts(args.prompt)
        ranked = rank_all(labeler, document, vocabulary, images=args.images, limit=args.limit)
    if not len(ranked.names) or len(vocabulary.entries) < 2:
        print(f"{args.dataset}: no box with a name could be asked", file=sys.stderr)
        return 2
    runs = [measure(ranked, vocabulary, share=args.share, seed=seed) for seed in range(args.seeds)]
    sys.stdout.write(as_text(ranked, runs, vocabulary, share=args.share))
    if args.json:
        content: dict[str, Any] = {
            "dataset": str(args.dataset),
            "labeler": [labeler.spec.name, labeler.spec.version],
            "boxes": len(ranked.names),
            "classes": len(vocabulary.entries),
            "share": args.share,
            "top1": top(ranked, 1),
            "top5": top(ranked, 5),
            "runs": [[asdict(line) for line in run] for run in runs],
            "skipped": ranked.skipped,
        }
        args.json.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if ranked.skipped else 0


def rank_all(
    labeler: Labeler, document: CocoDocument, vocabulary: Vocabulary, *, images: Path | None, limit: int | None
) -> Ranked:
    """Ask about every box that has a name; crowds are left out."""
    rows = [image.row for image in document.images if len(document.annotations(image.row))][:limit]
    names = (document.images[row].file_name for row in rows)
    folder, _ = photo_folder(images, document.path.resolve().parent, names)
    place = {name: k for k, name in enumerate(vocabulary.names)}
    scores: list[NDArray[np.float32]] = []
    given: list[int] = []
    skipped: list[str] = []
    with bar(total=len(rows), unit="photos", what="ranking", quiet=False) as progress:
        for row in rows:
            progress.update()
            image, annotations = document.images[row], document.annotations(row)
            words = [document.categories[k].name if k >= 0 else "" for k in annotations.category_rows.tolist()]
            keep = [k for k, name in enumerate(words) if name in place and not annotations.iscrowd[k]]
            if not keep:
                continue
            try:
                header = read_header(folder, image.file_name)
                frame = decide(header, image.width, image.height)
                xywh = annotations.xywh[keep]
                xyxy = frame.boxes_to_upright(np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))
                opened: Any = labeler.open(header.photo(image.key))
            except PhotoError as error:
                skipped.append(str(error))
                continue
            # every box is asked under no name, so the name can't help itself
            found = opened.rank_names(Boxes(xyxy, ("object",) * len(keep)), vocabulary)
            usable = ~np.isnan(found).any(axis=1)
            scores.append(found[usable])
            given.extend(place[words[k]] for k, good in zip(keep, usable.tolist(), strict=True) if good)
    table = np.concatenate(scores) if scores else np.zeros((0, len(place)), np.float32)
    return Ranked(table, np.array(given, np.int64), tuple(skipped))


def measure(ranked: Ranked, vocabulary: Vocabulary, *, share: float, seed: int) -> list[Line]:
    """Flip ``share`` of the names to another class, all others alike, and count the flags at each margin."""
    random = np.random.default_rng(seed)
    n, k = len(ranked.names), len(vocabulary.entries)
    flipped = np.zeros(n, bool)
    flipped[random.permutation(n)[: round(n * share)]] = True
    shift = random.integers(1, k, n)
    names = np.where(flipped, (ranked.names + shift) % k, ranked.names)
    checks = check_names(ranked.scores, [vocabulary.names[name] for name in names.tolist()], vocabulary)
    doubts = np.array([-1.0 if check.doubt is None else check.doubt for check in checks])
    lines = []
    for margin in MARGINS:
        flags = doubts >= margin
        right = int((flags & flipped).sum())
        total = int(flags.sum())
        lines.append(
            Line(
                margin,
                total,
                right / total if total else float("nan"),
                right / max(int(flipped.sum()), 1),
                float((flags & ~flipped).sum() / max(int((~flipped).sum()), 1)),
            )
        )
    return lines


def top(ranked: Ranked, n: int) -> float:
    """Share of the boxes whose true name is among the best ``n``."""
    best = np.argsort(-ranked.scores, axis=1, kind="stable")[:, :n]
    return float((best == ranked.names[:, None]).any(axis=1).mean())


def as_text(ranked: Ranked, runs: list[list[Line]], vocabulary: Vocabulary, *, share: float) -> str:
    """A table, means over the runs."""
    lines = [
        f"{len(ranked.names):,} boxes, {len(vocabulary.entries)} classes, {share:.0%} of the names flipped, "
        f"{len(runs)} times; true name first: {top(ranked, 1):.1%}, among five: {top(ranked, 5):.1%}",
        "",
        "| margin | flagged | precision | recall | right names flagged |",
        "|---|---|---|---|---|",
    ]
    for column in zip(*runs, strict=True):
        precision = [line.precision for line in column if line.flagged]
        lines.append(
            f"| {column[0].margin:g} | {np.mean([line.flagged for line in column]):,.0f} "
            f"| {np.mean(precision) if precision else float('nan'):.1%} "
            f"| {np.mean([line.recall for line in column]):.1%} "
            f"| {np.mean([line.false_flags for line in column]):.1%} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
