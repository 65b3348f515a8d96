"""What joint training gains: variants x seeds from one start, masks withheld from half of the classes.

Masks of every second class (by frequency) are stripped: with ``detection`` data those classes have boxes only. Each
variant trains from the same start, is measured on the same photos, and is compared with the full method seed by
seed. Interrupt at any time: finished runs are kept in the folder.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from openseed_core.training.schedule import FROZEN_TEXT

if TYPE_CHECKING:
    from app.evaluation.instances import InstanceTask

T95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365}
"""Two-sided 95 % points of Student's t by degrees of freedom."""

VARIANTS = {
    "full": "both kinds of data, foreground and background apart, online mask assistance",
    "no joint data": "segmentation data only",
    "not decoupled": "one matching for foreground and background",
    "no assistance": "detection data matched by class and box alone",
}

NUMBERS = {
    "mask AP": "unconditioned mask AP",
    "mask AP withheld": "the same, classes without masks",
    "box AP": "unconditioned box AP",
    "box AP withheld": "the same, classes without masks",
    "pooled mask AP50": "mask AP50, finds of all classes in one ranking",
    "pooled mask AP50 withheld": "the same, classes without masks",
    "pooled box AP50": "box AP50, finds of all classes in one ranking",
    "pooled box AP50 withheld": "the same, classes without masks",
    "PQ": "panoptic quality",
    "mIoU": "semantic mean IoU",
    "given boxes AP": "conditioned mask AP (boxes and names given)",
    "given boxes IoU": "conditioned mean IoU",
    "given boxes IoU withheld": "the same, classes without masks",
}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True, help="folder with annotations.json (and _stuff), images/")
    parser.add_argument("--val", type=Path, required=True, help="the same, to measure on")
    parser.add_argument("--detection", type=Path, help="more detection data: boxes and names only")
    parser.add_argument("--start", type=Path, required=True, help="model folder that all variants start from")
    parser.add_argument("--folder", type=Path, default=Path("runs/joint"))
    parser.add_argument("--variants", default=",".join(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--freeze", default="", help="parameter name prefixes that aren't trained, by commas")
    parser.add_argument("--photos", type=int, default=150, help="of val, the first so many")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side, one thread each")
    parser.add_argument("--measure", type=Path, nargs=2, metavar=("MODEL", "JSON"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    args.folder.mkdir(parents=True, exist_ok=True)
    withheld = half(args.train / "annotations.json")
    if args.measure:
        args.measure[1].write_text(json.dumps(measured(args.measure[0], args.val, args.photos, withheld)))
        return
    runs = [(variant, seed) for seed in range(args.seeds) for variant in args.variants.split(",")]
    with ThreadPoolExecutor(args.workers) as pool:
        list(pool.map(lambda run: one(args, run[0], run[1], withheld), runs))
    found = {v: [json.loads(result(args.folder, v, s).read_text()) for s in range(args.seeds)] for v in VARIANTS
             if all(result(args.folder, v, s).exists() for s in range(args.seeds))}  # fmt: skip
    text = table(found)
    (args.folder / "table.md").write_text(text)
    print(text)


def half(annotations: Path) -> list[str]:
    """Every second class by frequency: those whose masks are withheld."""
    document = json.loads(annotations.read_text())
    name = {c["id"]: c["name"] for c in document["categories"]}
    counts = Counter(name[a["category_id"]] for a in document["annotations"] if not a.get("iscrowd"))
    return [name for name, _ in counts.most_common()][1::2]


def result(folder: Path, variant: str, seed: int) -> Path:
    return folder / f"{variant.replace(' ', '-')}-{seed}.json"


def one(args: argparse.Namespace, variant: str, seed: int, withheld: list[str]) -> None:
    """Train and measure one run, each in a process of its own; nothing to do if its result is there."""
    target = result(args.folder, variant, seed)
    if target.exists():
        return
    output = target.with_suffix("")
    toml = target.with_suffix(".toml")
    toml.write_text(settings(args, variant, seed, withheld, output))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    subprocess.run([sys.executable, "-m", "app.cli.main", "train", str(toml)], env=environment, check=True)
    command = [sys.executable, "-m", "benchmarks.joint", "--measure", str(output / "model"), str(target)]
    for option in ("train", "val", "start", "folder", "photos"):
        command += [f"--{option}", str(getattr(args, option))]
    subprocess.run(command, env=environment, check=True)


def settings(args: argparse.Namespace, variant: str, seed: int, withheld: list[str], output: Path) -> str:
    """The TOML of one run."""
    names = json.dumps(withheld)
    document = json.loads((args.train / "annotations.json").read_text())
    others = json.dumps(sorted({c["name"] for c in document["categories"]} - set(withheld)))
    joint = variant != "no joint data"
    freeze = f"freeze = {json.dumps([*FROZEN_TEXT, *args.freeze.split(',')])}\n" if args.freeze else ""
    text = f"""
[run]
init = "{args.start}"
output = "{output}"
batch = 4
seed = {seed}
threads = 1
workers = 0
[data]
train = "{args.train}"
leave_out = {names}
[photos]
size = {args.size}
scale = [0.6, 1.6]
segmentation = 2
detection = {2 if joint else 0}
[joint]
budget = 40
assistance_context = "solo"
decoupled = {"false" if variant == "not decoupled" else "true"}
online_from = {0 if variant in ("full", "not decoupled") else -1}
[schedule]
steps = {args.steps}
lr = 4e-4
backbone_lr = 1.2e-4
warmup = 20
save_every = {args.steps}
average = 0.99
{freeze}[[segmentation]]
path = "{args.train}"
leave_out = {names}
"""
    if joint:
        text += f'[[detection]]\npath = "{args.train}"\nmasks = false\nleave_out = {others}\nweight = 2.0\n'
        if args.detection:
            text += f'[[detection]]\npath = "{args.detection}"\nmasks = false\n'
    return text


def measured(model: Path, val: Path, photos: int, withheld: list[str]) -> dict[str, float]:
    """All numbers of one model, in percent."""
    from app.evaluation.boxes import ask_all
    from app.evaluation.instances import InstanceTask
    from app.evaluation.measures import measure
    from app.evaluation.protocols import Asked, tasks_for
    from app.evaluation.task import run_tasks
    from app.evaluation.truth import image_rows
    from app.evaluation.truth import photos as photos_of
    from exporters.coco import CocoDocument
    from labelers.build import build_labeler
    from labelers.vocabulary import Vocabulary

    labeler = build_labeler(weights=model, device="cpu")
    source, stuff = val / "annotations.json", val / "annotations_stuff.json"
    asked = Asked(source, images=val / "images")
    both = Asked(source, images=val / "images", stuff=stuff)
    tasks = [*tasks_for("instance", asked), *tasks_for("detection", asked)]
    tasks += [*tasks_for("panoptic", both), *tasks_for("semantic", both)]
    run = run_tasks(labeler, tasks, limit=photos)
    by_name = {r.name: r for r in run.results}
    ranked: dict[str, float | None] = {}
    for task, name in zip(tasks, ("mask", "box"), strict=False):
        assert isinstance(task, InstanceTask)
        ranked[f"pooled {name} AP50"] = pooled(task, task.vocabulary.names)
        ranked[f"pooled {name} AP50 withheld"] = pooled(task, withheld)
    document = CocoDocument.open(source)
    truths = photos_of(document, val / "images", image_rows(document, photos), exif="auto", skipped=[])
    answers = ask_all(labeler, truths, Vocabulary(), quick=True)
    names = [category.name for category in document.categories]
    given = measure(answers, labeler="conditioned", version=labeler.spec.version, class_names=names)
    numbers: dict[str, float | None] = {
        "mask AP": by_name["instance"].numbers["AP"],
        "mask AP withheld": class_mean(by_name["instance"].by_class, withheld),
        "box AP": by_name["detection"].numbers["AP"],
        "box AP withheld": class_mean(by_name["detection"].by_class, withheld),
        **ranked,
        "PQ": by_name["panoptic"].numbers["PQ"],
        "mIoU": by_name["semantic"].numbers["mIoU"],
        "given boxes AP": given.ap["AP"],
        "given boxes IoU": given.iou["all"],
    }
    rows = [given.by_class[name] for name in withheld if name in given.by_class]
    numbers["given boxes IoU withheld"] = float(np.average([iou for iou, _ in rows], weights=[n for _, n in rows]))
    return {name: 100 * value if value is not None else math.nan for name, value in numbers.items()}


def pooled(task: InstanceTask, names: Sequence[str]) -> float | None:
    """AP50 of some classes in one ranking, as if each photo and class were a photo of its own.

    A mean over a hundred classes, most of them with a handful of objects, hangs on single finds; this doesn't. Finds of
    classes that have no true object count as wrong here.
    """
    from app.evaluation.precision import average_precision

    wanted = set(names)
    labels = {k for k, name in enumerate(task.vocabulary.names) if name in wanted}
    every = len(task.vocabulary.names)
    truths, found = (
        [replace(one, photo=one.photo * every + one.label, label=0) for one in rows if one.label in labels]
        for rows in (task.truths, task.found)
    )
    sizes = {photo * every + label: size for photo, size in task.sizes.items() for label in labels}
    return average_precision(truths, found, kind=task.kind, photos=sizes).numbers["AP50"]


def class_mean(by_class: dict[str, dict[str, float | None]], names: list[str]) -> float | None:
    """Mean AP of some classes; those without a true object don't count."""
    values = [by_class[n]["AP"] for n in names if n in by_class and by_class[n]["AP"] is not None]
    return float(np.mean([v for v in values if v is not None])) if values else None


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval (Student's t)."""
    n = len(values)
    if n < 2:
        return float(values[0]), math.inf
    return float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(n) * T95.get(n - 1, 1.96)


def verdict(difference: list[float]) -> str:
    """Of "full minus variant", seed by seed."""
    mean, spread = interval(difference)
    if not math.isfinite(mean) or abs(mean) <= spread:
        return "undecided"
    return "full is better" if mean > 0 else "full is worse"


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a row for each number, a column for each variant, with the verdict against the full method."""
    variants = list(found)
    lines = ["| % | " + " | ".join(variants) + " |", "|---" * (len(variants) + 1) + "|"]
    for number, title in NUMBERS.items():
        cells = []
        for variant in variants:
            values = [one[number] for one in found[variant]]
            mean, spread = interval(values)
            cell = f"{mean:.1f} ± {spread:.1f}"
            if variant != "full" and "full" in found:
                difference = [a[number] - b[number] for a, b in zip(found["full"], found[variant], strict=True)]
                cell += f" ({verdict(difference)})"
            cells.append(cell)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
