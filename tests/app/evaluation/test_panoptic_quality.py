"""PQ: the definition by hand, and a second implementation where the two define the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from app.evaluation.panoptic import PanopticCounts, Segmented


def counted(true: Segmented, found: Segmented, classes: int = 3) -> PanopticCounts:
    counts = PanopticCounts(classes)
    counts.add(true, found)
    return counts


def row(*ids: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.array([ids], np.int32)


def test_by_hand() -> None:
    true = Segmented(row(1, 1, 1, 1, 2, 2, 3, 3, 3, 3), {1: 0, 2: 0, 3: 1})
    found = Segmented(row(7, 7, 7, 8, 8, 8, 9, 9, 9, 9), {7: 0, 8: 0, 9: 1})
    pq, sq, rq = counted(true, found).quality()
    # class 0: IoU 3/4 and 2/3, both matched; class 1: 1; class 2 is nowhere
    assert sq[0] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert rq[0] == 1
    assert pq[1] == 1
    assert np.isnan([pq[2], sq[2], rq[2]]).all()


def test_iou_of_exactly_one_half_is_no_match() -> None:
    counts = counted(Segmented(row(1, 1, 0, 0), {1: 0}), Segmented(row(5, 0, 0, 0), {5: 0}))
    assert (counts.right[0], counts.wrong[0], counts.missed[0]) == (0, 1, 1)


def test_another_class_is_wrong_and_missed() -> None:
    counts = counted(Segmented(row(1, 1), {1: 0}), Segmented(row(1, 1), {1: 1}))
    assert counts.missed.tolist() == [1, 0, 0]
    assert counts.wrong.tolist() == [0, 1, 0]
    assert counts.quality()[0][:2].tolist() == [0, 0]


def test_void_is_out_of_the_union_and_excuses_what_mostly_lies_on_it() -> None:
    true = Segmented(row(1, 1, 1, 0, 0, 0, 0, 2), {1: 0, 2: 0})
    counts = counted(true, Segmented(row(1, 1, 1, 1, 1, 6, 6, 6), {1: 0, 6: 0}))
    assert counts.iou[0] == pytest.approx(1 + 1)  # the parts on void don't count in the union
    counts = counted(true, Segmented(row(0, 0, 0, 5, 5, 5, 0, 0), {5: 1}))
    assert counts.wrong.tolist() == [0, 0, 0]
    counts = counted(true, Segmented(row(0, 0, 5, 5, 0, 0, 0, 0), {5: 1}))
    assert counts.wrong.tolist() == [0, 1, 0]  # just half is not enough


def test_a_crowd_is_never_missed_nor_matched_and_excuses_its_class() -> None:
    true = Segmented(row(1, 1, 1, 1), {1: 0}, frozenset({1}))
    assert counted(true, Segmented(row(0, 0, 0, 0), {})).missed.sum() == 0
    same = counted(true, Segmented(row(4, 4, 4, 4), {4: 0}))
    assert (same.right.sum(), same.wrong.sum()) == (0, 0)
    assert counted(true, Segmented(row(4, 4, 4, 4), {4: 1})).wrong.tolist() == [0, 1, 0]


def test_what_is_not_marked_completely_can_not_be_wrong() -> None:
    found = Segmented(row(4, 4, 5, 5), {4: 0, 5: 1})
    true = Segmented(row(1, 1, 1, 1), {1: 2}, complete=frozenset({1}))
    assert counted(true, found).wrong.tolist() == [0, 1, 0]


def test_maps_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the true map is"):
        counted(Segmented(row(1, 1), {1: 0}), Segmented(row(1), {1: 0}))
    with pytest.raises(ValueError, match="segment 2"):
        counted(Segmented(row(1, 2), {1: 0}), Segmented(row(1, 1), {1: 0}))


def random_map(random: np.random.Generator, *, void: bool) -> Segmented:
    """Patches of 3 x 3 of up to 30 segments; stuff (labels 3 and 4) has one segment a class."""
    labels = {k: int(random.integers(0, 3)) for k in range(1, 29)} | {29: 3, 30: 4}
    cells = random.integers(0 if void else 1, 31, (8, 10))
    ids = np.kron(cells, np.ones((3, 3), int)).astype(np.int32)
    return Segmented(ids, {k: label for k, label in labels.items() if (ids == k).any()})


@pytest.mark.parametrize("seed", range(5))
def test_as_torchmetrics_without_crowds_and_without_void_in_what_was_found(seed: int) -> None:
    """Elsewhere torchmetrics leaves the definition: it knows no crowd, and treats void of the answer like true void."""
    detection = pytest.importorskip("torchmetrics.detection")
    import torch

    random = np.random.default_rng(seed)
    counts = PanopticCounts(5)
    metric = detection.PanopticQuality(
        things={0, 1, 2}, stuffs={3, 4}, allow_unknown_preds_category=True, return_sq_and_rq=True, return_per_class=True
    )
    for _ in range(4):
        true = random_map(random, void=True)
        found = random_map(random, void=False)
        keep = random.random(true.ids.shape) < 0.9  # most of what was found is right
        ids = np.where(keep & (true.ids > 0), true.ids + 100, found.ids).astype(np.int32)
        labels = dict(found.labels) | {k + 100: label for k, label in true.labels.items()}
        for k, label in list(labels.items()):
            if label >= 3:  # one segment for each class of stuff
                ids[ids == k] = 1000 + label
                labels[1000 + label] = label
        found = Segmented(ids, {k: label for k, label in labels.items() if (ids == k).any()})
        counts.add(true, found)
        tensors = []
        for one in (found, true):
            classes = np.full(one.ids.shape, 255)
            for k, label in one.labels.items():
                classes[one.ids == k] = label
            tensors.append(torch.tensor(np.stack([classes, one.ids], axis=-1))[None])
        metric.update(*tensors)
    theirs = metric.compute()[0].numpy() if metric.compute().ndim == 3 else metric.compute().numpy()
    ours = np.stack([np.nan_to_num(values) for values in counts.quality()], axis=-1)
    assert np.allclose(theirs, ours, atol=1e-6)
    assert 0.1 < ours[:, 0].mean() < 0.99
