"""AP and AR: against arithmetic by hand and against a second implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from app.evaluation.instances import matched
from app.evaluation.precision import Object, average_precision
from exporters.masks import encode

SIZE = (200, 200)


def box(x: float, y: float, w: float, h: float, *, photo: int = 0, label: int = 0, score: float = 0.0) -> Object:
    return Object(photo, label, (x, y, w, h), None, w * h, score)


def measure(truths: Sequence[Object], found: Sequence[Object], **options: Any) -> dict[str, float | None]:
    photos = dict.fromkeys({one.photo for one in (*truths, *found)}, SIZE)
    return average_precision(truths, found, kind="boxes", photos=photos, **options).numbers


def test_all_found_and_half_found() -> None:
    truths = [box(0, 0, 20, 20), box(50, 50, 40, 40)]
    assert measure(truths, [box(0, 0, 20, 20, score=0.2), box(50, 50, 40, 40, score=0.1)])["AP"] == pytest.approx(1)
    half = measure(truths, [box(0, 0, 20, 20, score=0.2)])
    assert half["AP"] == pytest.approx(51 / 101, abs=1e-3)
    assert half["AP small"] == pytest.approx(1)
    assert half["AP medium"] == pytest.approx(0)
    assert half["AP large"] is None
    assert half["AR 100"] == pytest.approx(0.5)
    # a box of IoU 0.8 is right at 7 of the 10 thresholds
    assert measure(truths[:1], [box(0, 0, 20, 16, score=0.2)])["AP"] == pytest.approx(0.7)


def test_a_class_without_truth_counts_for_nothing_and_one_without_answer_for_zero() -> None:
    found = average_precision(
        [box(0, 0, 20, 20, label=3), box(0, 0, 20, 20, label=4)],
        [box(0, 0, 20, 20, label=3, score=1), box(0, 0, 20, 20, label=9, score=1)],
        kind="boxes",
        photos={0: SIZE},
        groups={"rare": frozenset({3}), "common": frozenset({4}), "frequent": frozenset()},
    )
    assert found.numbers["AP"] == pytest.approx(0.5)
    assert found.numbers["AP rare"] == pytest.approx(1)
    assert found.numbers["AP common"] == pytest.approx(0)
    assert found.numbers["AP frequent"] is None
    assert found.by_class == {3: (pytest.approx(1), 1), 4: (pytest.approx(0), 1)}
    assert set(average_precision([], [], kind="boxes", photos={}).numbers.values()) == {None}


def test_inside_a_crowd_nothing_is_wrong() -> None:
    crowd = Object(0, 0, (40, 0, 60, 100), None, 6000, crowd=True)
    truth = box(0, 0, 20, 20)
    found = [box(50, 50, 10, 10, score=0.9), box(0, 0, 20, 20, score=0.5)]
    assert measure([truth, crowd], found)["AP"] == pytest.approx(1)
    assert measure([truth], found)["AP"] == pytest.approx(0.5)


def test_unmatched_is_ignored_where_a_class_is_marked_incompletely() -> None:
    truth = [box(0, 0, 20, 20)]
    found = [box(60, 60, 20, 20, score=0.9), box(0, 0, 20, 20, score=0.5)]
    assert measure(truth, found)["AP"] == pytest.approx(0.5)
    assert measure(truth, found, incomplete=frozenset({(0, 0)}))["AP"] == pytest.approx(1)
    assert measure(truth, found, incomplete=frozenset({(0, 1), (1, 0)}))["AP"] == pytest.approx(0.5)


def test_only_the_best_of_a_photo_count() -> None:
    truths = [box(10 * k, 0, 8, 8) for k in range(10)]
    found = [box(10 * k, 0, 8, 8, score=1 - k / 20) for k in range(10)]
    assert measure(truths, found, max_detections=4)["AR 4"] == pytest.approx(0.4)
    assert measure(truths, found, max_detections=100)["AR 100"] == pytest.approx(1)


def noise(seed: int) -> tuple[list[Object], list[Object]]:
    """Twelve photos of ellipses, four classes, some crowds; found ones are moved, missed, renamed, made up."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:200, :200]
    truths: list[Object] = []
    found: list[Object] = []

    def made(photo: int, label: int, at: list[float], score: float, crowd: bool) -> Object:
        x, y, a, b = at
        mask = ((columns - x) / a) ** 2 + ((rows - y) / b) ** 2 <= 1
        rle = encode(mask)
        bx, by, bw, bh = coco_mask.toBbox(rle).tolist()
        return Object(photo, label, (bx, by, bw, bh), rle, float(mask.sum()), score, crowd)

    for photo in range(12):
        for _ in range(int(random.integers(1, 9))):
            at = [*random.uniform(20, 180, 2), *random.uniform(4, 90, 2)]
            label = int(random.integers(4))
            truths.append(made(photo, label, at, 0, bool(random.random() < 0.1)))
            for _ in range(int(random.integers(0, 3))):
                moved = [v + float(random.normal(0, 2)) for v in at[:2]] + [
                    max(2.0, v * float(random.uniform(0.8, 1.2))) for v in at[2:]
                ]
                found.append(
                    made(photo, label if random.random() < 0.8 else int(random.integers(4)), moved,
                         float(random.random()), False)
                )  # fmt: skip
    return truths, found


@pytest.mark.parametrize("kind", ["masks", "boxes"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_faster_coco_eval(kind: Any, seed: int) -> None:
    faster = pytest.importorskip("faster_coco_eval")
    truths, found = noise(seed)
    if kind == "boxes":
        truths, found = (
            [replace(one, area=one.xywh[2] * one.xywh[3]) for one in objects] for objects in (truths, found)
        )
    ours = average_precision(truths, found, kind=kind, photos=dict.fromkeys(range(12), SIZE)).numbers

    def rows(objects: list[Object], *, shape: str = "") -> list[dict[str, Any]]:
        made = []
        for k, one in enumerate(objects, start=1):
            assert one.mask is not None
            rle = {"size": list(SIZE), "counts": one.mask["counts"].decode()}
            common = {"id": k, "image_id": one.photo, "category_id": one.label, "area": one.area, "score": one.score}
            values = {"bbox": list(one.xywh), "segmentation": rle, "iscrowd": int(one.crowd)}
            # where a result has both, the area is taken from the box
            made.append({**common, **({shape: values[shape]} if shape else values)})
        return made

    truth = faster.COCO(
        {
            "images": [{"id": k, "height": SIZE[0], "width": SIZE[1]} for k in range(12)],
            "categories": [{"id": k, "name": str(k)} for k in range(4)],
            "annotations": rows(truths),
        }
    )
    run = faster.COCOeval_faster(
        truth,
        truth.loadRes(rows(found, shape="segmentation" if kind == "masks" else "bbox")),
        "segm" if kind == "masks" else "bbox",
    )
    run.evaluate()
    run.accumulate()
    run.summarize()
    names = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR 1", "AR 10", "AR 100", "AR small",
             "AR medium", "AR large")  # fmt: skip
    for name, value in zip(names, run.stats[:12], strict=True):
        assert ours[name] == pytest.approx(value, abs=1e-6), name


def test_in_a_partly_marked_photo_only_matches_and_complete_classes_stay() -> None:
    truth = [box(0, 0, 20, 20, label=0), Object(0, 1, (50, 0, 50, 100), None, 5000, crowd=True)]
    found = [
        box(0, 0, 20, 11, label=0, score=0.9),  # IoU 0.55
        box(0, 0, 20, 9, label=0, score=0.8),  # IoU 0.45
        box(60, 60, 20, 20, label=2, score=0.7),  # nothing of its class is marked
        box(60, 60, 20, 20, label=1, score=0.6),  # in a crowd
    ]
    assert matched(found, truth, kind="boxes", complete=frozenset()) == [found[0], found[3]]
    assert matched(found, truth, kind="boxes", complete=frozenset({0, 2})) == found
