"""SegInW, segmentation in the wild: mask AP of 25 small data sets, mean and median."""

from __future__ import annotations

from pathlib import Path

from app.evaluation.seginw import FILES, find_sets, seginw_tasks
from app.evaluation.suites.suite import DINOV, Published, Resize, Suite, check
from app.evaluation.task import Task

SETS = (
    "Airplane-Parts", "Bottles", "Brain-Tumor", "Chicken", "Cows", "Electric-Shaver", "Elephants", "Fruits", "Garbage",
    "Ginger-Garlic", "Hand", "Hand-Metal", "House-Parts", "HouseHold-Items", "Nutterfly-Squireel", "Phones", "Poles",
    "Puppies", "Rail", "Salmon-Fillet", "Strawberry", "Tablets", "Toolkits", "Trash", "Watermelon",
)  # fmt: skip

LAYOUT = {
    " | ".join(f"{name}/{file}" for file in FILES[:2]): "a data set's annotations, with its photos beside them"
    for name in SETS
}


def tasks(root: Path) -> list[Task]:
    check(root, "seginw", LAYOUT)
    found = find_sets(root)
    return list(seginw_tasks({name: found[name] for name in SETS}))


SUITE = Suite(
    "seginw",
    "SegInW, 25 data sets",
    LAYOUT,
    Resize(800, 1333),
    tasks,
    (
        Published("OpenSeeD Swin-T", {("seginw", "AP mean"): 33.9, ("seginw", "AP median"): 21.5}, DINOV),
        Published(
            "OpenSeeD Swin-L",
            {("seginw", "AP mean"): 36.1, ("seginw", "AP median"): 38.7},
            f"{DINOV}; agrees with the 25 values in Table 1 of arXiv 2401.14159, whose own mean says 36.7",
        ),
    ),
    ("the resize rule is taken from COCO's: no other was found",),
    averaged=True,
)
