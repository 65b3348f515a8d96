"""What is there already, or found twice, is not proposed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.masks import encode
from labelers.duplicates import box_iou, select, suppress
from labelers.records import Boxes, Instances, Status
from labelers.vocabulary import Vocabulary
from labelers.windows import box_iou as pair_iou

SIDE = 40


def of(*rows: tuple[str, tuple[int, int, int, int], float], masks: bool = True) -> Instances:
    """Filled rectangles, with their masks or as boxes only."""
    found = []
    for _, (x0, y0, x1, y1), _ in rows:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[y0:y1, x0:x1] = True
        found.append(encode(mask))
    boxes = Boxes(np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4), tuple(name for name, _, _ in rows))
    scores = np.array([score for *_, score in rows], np.float32)
    if not masks:
        return Instances(boxes, (None,) * len(rows), scores, (Status.EMPTY,) * len(rows))
    return Instances(boxes, tuple(found), scores, (Status.OK,) * len(rows))


NONE = of()
CAT = ("cat", (0, 0, 10, 10), 0.9)


@pytest.mark.parametrize(
    ("found", "existing", "kept"),
    [
        ([CAT], [], [0]),
        ([CAT], [("cat", (0, 0, 10, 12), 0.1)], []),  # the same, with a lower score: what is there wins
        ([CAT], [("Cat", (0, 0, 10, 12), 0.1)], []),
        ([CAT], [("kitten", (0, 0, 10, 12), 0.1)], []),  # a synonym
        ([CAT], [("dog", (0, 0, 10, 12), 0.1)], [0]),  # IoU 0.83 with another class
        ([CAT], [("dog", (0, 0, 10, 11), 0.1)], []),  # IoU 0.91: one thing with two names
        ([CAT], [("cat", (5, 0, 15, 10), 0.1)], [0]),  # a neighbour, IoU 1/3
        ([CAT], [("cat", (0, 0, 40, 40), 0.1)], []),  # lies in it
        ([CAT], [("cat", (2, 2, 4, 4), 0.1)], []),  # holds it
        ([CAT], [("dog", (0, 0, 40, 40), 0.1)], [0]),
        ([("cat", (0, 0, 10, 10), 0.2), CAT], [], [1]),  # the better of two
        ([CAT, ("cat", (20, 20, 30, 30), 0.95)], [], [1, 0]),
    ],
)
def test_the_rule(found: list, existing: list, kept: list[int]) -> None:
    words = Vocabulary.parse("cat = cat | kitten\ndog")
    assert suppress(of(*found), of(*existing), vocabulary=words).tolist() == kept


def test_boxes_are_compared_where_there_is_no_mask() -> None:
    existing = of(("cat", (0, 0, 10, 12), 1.0), masks=False)
    assert suppress(of(CAT), existing).tolist() == []
    inside = of(("cat", (0, 0, 4, 4), 0.5), masks=False)
    assert suppress(inside, existing).tolist() == [0]  # a box in a box is often a neighbour


def test_a_box_without_area_is_never_new() -> None:
    bad = Boxes(np.array([[3, 3, 3, 9], [np.nan, 0, 1, 1]], np.float32), ("cat", "cat"))
    assert suppress(Instances.none_of(bad, Status.EMPTY, ""), NONE).tolist() == []


rectangles = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 10), st.integers(1, 10)).map(
    lambda t: (t[0], t[1], t[0] + t[2], t[1] + t[3])
)
lists = st.lists(st.tuples(st.sampled_from(["cat", "dog"]), rectangles, st.floats(0, 1, width=32)), max_size=8)


@given(lists, lists)
def test_what_is_kept_is_new_and_what_is_left_out_is_not(found: list, existing: list) -> None:
    ours, theirs = of(*found), of(*existing)
    kept = suppress(ours, theirs)
    assert len(set(kept.tolist())) == len(kept)
    assert (np.diff(ours.scores[kept]) <= 0).all()
    # Asked again with the answer already annotated, nothing is new; and the answer itself stands.
    picked = select(ours, kept)
    assert suppress(picked, theirs).tolist() == list(range(len(kept)))
    assert suppress(ours, picked).tolist() == [] or set(suppress(ours, picked).tolist()).isdisjoint(kept.tolist())
    if len(kept) == 0:
        assert not found or existing


@given(lists)
def test_everything_twice_is_everything_once(found: list) -> None:
    ours = of(*found)
    once = suppress(ours, NONE)
    assert suppress(of(*found, *found), NONE).tolist() == once.tolist()
    assert suppress(ours, ours).tolist() == []


@given(rectangles, rectangles)
def test_box_iou_counts_pixels(first: tuple, second: tuple) -> None:
    def pixels(box: tuple) -> np.ndarray:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[box[1] : box[3], box[0] : box[2]] = True
        return mask

    one, two = pixels(first), pixels(second)
    expected = (one & two).sum() / (one | two).sum()
    assert box_iou(np.array([first]), np.array([second]))[0, 0] == pytest.approx(expected)


def test_box_iou_of_all_pairs() -> None:
    xyxy = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 19], [0, 0, 10, 10]], np.float32)
    found = box_iou(xyxy, xyxy)
    assert np.array_equal(found, found.T)
    assert np.array_equal(np.diag(found), np.ones(4))
    assert found[0, 1] == 0.9
    assert found[0, 2] == 100 / 190
    odd = [(0, 0, 0, 0), (5, 5, 2, 2), (0, 0, np.inf, 10), (np.nan, 0, 10, 10)]
    assert np.array_equal(box_iou(odd, xyxy[0]), np.zeros((4, 1)))
    assert box_iou(xyxy[:0], xyxy).shape == (0, 4)


@given(rectangles, rectangles)
def test_one_pair_and_all_pairs_agree(first: tuple, second: tuple) -> None:
    third = [0.3 * value for value in second]
    assert box_iou([first, second], [second, third]).tolist() == [
        [pair_iou(a, b) for b in (second, third)] for a in (first, second)
    ]
