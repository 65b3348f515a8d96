"""Protocol ``seginw``: many small COCO data sets, mask AP of each, mean and median over them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from app.errors import UsageError
from app.evaluation.instances import InstanceTask, coco_instances
from app.evaluation.task import Result, Run
from exporters.coco import CocoDocument
from labelers.named_vocabularies import clean_prompt
from labelers.vocabulary import Entry, Vocabulary

FILES = (
    "valid/_annotations_min1cat.coco.json",
    "valid/_annotations.coco.json",
    "annotations.json",
)
"""Where a data set's JSON is looked for, in this order; the photos are beside it (or in ``images/`` there)."""


def find_sets(root: Path) -> dict[str, Path]:
    """Folder name -> JSON, for each data set in ``root``. Raises UsageError: there is none."""
    if not root.is_dir():
        raise UsageError(f"{root} is no folder; give the folder that holds one folder for each data set")
    found = {}
    for folder in sorted(path for path in root.iterdir() if path.is_dir()):
        there = next((folder / name for name in FILES if (folder / name).is_file()), None)
        if there is not None:
            found[folder.name] = there
    if not found:
        raise UsageError(f"{root} holds no folder with one of {', '.join(FILES)}")
    return found


def seginw_tasks(sets: dict[str, Path]) -> list[InstanceTask]:
    """One task for each data set; its classes are those that its JSON has annotations for."""
    return [_task(name, path) for name, path in sets.items()]


def _task(name: str, path: Path) -> InstanceTask:
    document = CocoDocument.open(path)
    used = {row for image in document.images for row in document.annotations(image.row).category_rows.tolist()}
    names = list(dict.fromkeys(c.name for c in document.categories if c.row in used and c.name.strip()))
    if not names:
        raise UsageError(f"{path}: no annotation has a class with a name; nothing can be measured")
    vocabulary = Vocabulary(tuple(Entry(one, (_prompt(one),)) for one in names))
    labels = [names.index(c.name) if c.name in names and c.row in used else -1 for c in document.categories]
    images = path.parent / "images" if (path.parent / "images").is_dir() else path.parent
    return InstanceTask(name, coco_instances(document, images, labels=labels), vocabulary)


def _prompt(name: str) -> str:
    return clean_prompt(name).replace("-", " ").replace("_", " ").strip() or name


def summary(results: Sequence[Result]) -> Result:
    """AP of each set as ``by_class``, mean and median; sets without a number don't count."""
    each = {result.name: result.numbers["AP"] for result in results}
    known = [value for value in each.values() if value is not None]
    return Result(
        "seginw",
        sum(result.photos for result in results),
        {
            "AP mean": statistics.fmean(known) if known else None,
            "AP median": statistics.median(known) if known else None,
        },
        {name: {"AP": value} for name, value in each.items()},
        (f"{len(known)} data sets",),
    )


def summarised(run: Run) -> Run:
    """The run with the summary first."""
    return Run((summary(run.results), *run.results), run.skipped, run.photos, run.seconds)
