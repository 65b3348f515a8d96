"""Clipping to boxes and sharing out overlapping pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.masks import decode, encode
from labelers.records import Boxes, Instances, Status
from labelers.refine import clip_to_boxes, resolve_overlaps

HEIGHT, WIDTH = 12, 16


def instances(masks: list[np.ndarray | None], scores: list[float], boxes: np.ndarray | None = None) -> Instances:
    n = len(masks)
    xyxy = np.tile([0, 0, WIDTH, HEIGHT], (n, 1)) if boxes is None else boxes
    return Instances(
        Boxes(xyxy, tuple("abcdefgh"[:n])),
        tuple(None if mask is None else encode(mask) for mask in masks),
        np.array(scores, np.float32),
        tuple(Status.FAILED if mask is None else Status.OK for mask in masks),
        tuple("broke" if mask is None else "" for mask in masks),
    )


def patch(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


random_instances = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 3))


def random(seed: int, n: int, levels: int) -> Instances:
    rng = np.random.default_rng(seed)
    masks: list[np.ndarray | None] = []
    boxes = np.zeros((n, 4))
    for k in range(n):
        xs, ys = np.sort(rng.uniform(-2, WIDTH + 2, 2)), np.sort(rng.uniform(-2, HEIGHT + 2, 2))
        boxes[k] = xs[0], ys[0], xs[1], ys[1]
        mask = patch(*rng.integers(0, 8, 2), *rng.integers(8, 16, 2)) & (rng.random((HEIGHT, WIDTH)) < 0.7)
        masks.append(mask if mask.any() and rng.random() < 0.9 else None)
    return instances(masks, [0 if m is None else rng.integers(1, levels + 1) / levels for m in masks], boxes)


@given(random_instances, st.sampled_from([0.0, 0.1, 0.5]))
def test_clipping_against_the_plain_definition(case: tuple[int, int, int], margin: float) -> None:
    before = random(*case)
    after = clip_to_boxes(before, margin)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    for k, (old, new) in enumerate(zip(before.masks, after.masks, strict=True)):
        if old is None:
            assert (after.status[k], after.reasons[k]) == (before.status[k], before.reasons[k])
            continue
        x0, y0, x1, y1 = before.boxes.xyxy[k].astype(float)
        dx, dy = margin * (x1 - x0), margin * (y1 - y0)
        inside = (xs + 1 > x0 - dx) & (xs < x1 + dx) & (ys + 1 > y0 - dy) & (ys < y1 + dy)
        expected = decode(old) & inside
        assert (new is None) == (not expected.any())
        if new is None:
            assert after.status[k] is Status.EMPTY
            assert after.reasons[k]
            assert after.scores[k] == 0
        else:
            np.testing.assert_array_equal(decode(new), expected)
            assert after.scores[k] == before.scores[k]
    assert after.boxes is before.boxes


def test_clipping_leaves_what_fits_bit_for_bit() -> None:
    before = instances([patch(2, 2, 6, 6)], [0.5], np.array([[2, 2, 6, 6]]))
    assert clip_to_boxes(before) is before


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_nonsense_margins_are_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        clip_to_boxes(instances([], []), margin)


@given(random_instances)
def test_overlaps_against_the_plain_definition(case: tuple[int, int, int]) -> None:
    before = random(*case)
    after = resolve_overlaps(before)
    owner = np.full((HEIGHT, WIDTH), -1)
    for k in sorted(range(len(before)), key=lambda k: (-before.scores[k], k)):
        if (old := before.masks[k]) is not None:
            owner[decode(old) & (owner == -1)] = k
    for k, new in enumerate(after.masks):
        if before.masks[k] is None:
            assert after.status[k] is before.status[k]
        elif new is None:
            assert not (owner == k).any()
            assert after.status[k] is Status.EMPTY
            assert "neighbours" in after.reasons[k]
        else:
            np.testing.assert_array_equal(decode(new), owner == k)


def test_the_higher_score_takes_the_pixel_and_the_lower_row_a_tie() -> None:
    left, right = patch(0, 0, 8, 8), patch(4, 0, 12, 8)
    first = resolve_overlaps(instances([left, right], [0.2, 0.9]))
    assert [int(decode(m).sum()) for m in first.masks if m] == [32, 64]
    tie = resolve_overlaps(instances([left, right], [0.5, 0.5]))
    assert [int(decode(m).sum()) for m in tie.masks if m] == [64, 32]


def test_a_mask_that_is_covered_whole_becomes_empty_and_keeps_its_row() -> None:
    after = resolve_overlaps(instances([patch(2, 2, 4, 4), patch(0, 0, 8, 8), None], [0.1, 0.9, 0]))
    assert after.status == (Status.EMPTY, Status.OK, Status.FAILED)
    assert after.masks[0] is None
    assert after.scores[0] == 0


def test_masks_without_neighbours_stay_bit_for_bit() -> None:
    before = instances([patch(0, 0, 4, 4), patch(4, 4, 8, 8)], [0.5, 0.6])
    assert resolve_overlaps(before) is before
    assert resolve_overlaps(instances([], [])).masks == ()
