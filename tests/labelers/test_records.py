"""The shared types refuse what doesn't fit together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.masks import encode
from labelers.records import Boxes, Instances, Photo, Status

MASK = encode(np.ones((2, 2), bool))
TWO = Boxes(np.array([[0, 0, 1, 1], [1, 1, 2, 2]]), ("a", "b"))


def test_a_photo_decodes_on_demand_only() -> None:
    calls: list[int] = []

    def load() -> np.ndarray:
        calls.append(1)
        return np.zeros((3, 4, 3), np.uint8)

    photo = Photo("1", "a.jpg", 3, 4, load)
    assert calls == []
    assert photo.pixels().shape == (3, 4, 3)
    assert photo == Photo("1", "a.jpg", 3, 4, lambda: load())
    assert "load" not in repr(photo)


@pytest.mark.parametrize("image", [np.zeros((4, 3, 3), np.uint8), np.zeros((3, 4), np.uint8), np.zeros((3, 4, 3))])
def test_other_pixels_than_promised_are_an_error(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a\.jpg.*changed since"):
        Photo("1", "a.jpg", 3, 4, lambda: image).pixels()


def test_boxes_become_float32_rows() -> None:
    boxes = Boxes([[0, 1, 2, 3]], ["cat"])  # type: ignore[arg-type]
    assert boxes.xyxy.dtype == np.float32
    assert boxes.names == ("cat",)
    assert Boxes(np.zeros(0), ()).xyxy.shape == (0, 4)
    with pytest.raises(ValueError, match="1 boxes but 2 names"):
        Boxes(np.zeros((1, 4)), ("a", "b"))


def test_rows_of_boxes_can_be_picked() -> None:
    assert TWO[[1, 0]].names == ("b", "a")
    assert TWO[1:].xyxy.tolist() == [[1, 1, 2, 2]]
    assert len(TWO[[]]) == 0
    assert TWO[np.array([1, 1])].names == ("b", "b")


@pytest.mark.parametrize(
    ("box", "status"),
    [
        ([1, 1, 5, 5], None),
        ([-5, -5, 1, 1], None),  # reaches in
        ([9, 7, 20, 20], None),
        ([-100, -100, 100, 100], None),
        ([3, 3, 3, 5], Status.DEGENERATE),
        ([5, 5, 1, 1], Status.DEGENERATE),
        ([np.nan, 0, 1, 1], Status.DEGENERATE),
        ([0, 0, np.inf, 1], Status.DEGENERATE),
        ([10, 0, 12, 5], Status.OUTSIDE),  # touches the edge only
        ([-4, 0, 0, 5], Status.OUTSIDE),
        ([0, 8, 5, 9], Status.OUTSIDE),
    ],
)
def test_problems_of_boxes(box: list[float], status: Status | None) -> None:
    (problem,) = Boxes(np.array([box]), ("a",)).problems(height=8, width=10)
    assert (problem[0] if problem else None) is status
    assert problem is None or problem[1]


@given(st.lists(st.lists(st.floats(width=32), min_size=4, max_size=4), max_size=5))
def test_clamped_boxes_lie_in_the_photo_and_keep_their_rows(rows: list[list[float]]) -> None:
    boxes = Boxes(np.array(rows, np.float32).reshape(-1, 4), tuple(str(k) for k in range(len(rows))))
    cut = boxes.clamped(height=8, width=10)
    assert cut.names == boxes.names
    known = ~np.isnan(boxes.xyxy)
    assert (cut.xyxy[known] >= 0).all()
    assert (cut.xyxy[:, [0, 2]][known[:, [0, 2]]] <= 10).all()
    assert (cut.xyxy[:, [1, 3]][known[:, [1, 3]]] <= 8).all()
    np.testing.assert_array_equal(np.isnan(cut.xyxy), ~known)


def test_instances_need_a_mask_exactly_where_ok() -> None:
    good = Instances(TWO, (MASK, None), [0.5, 0], (Status.OK, Status.EMPTY), ("", "why"))  # type: ignore[arg-type]
    assert good.scores.dtype == np.float32
    assert len(good) == 2
    assert Instances(TWO, (MASK, MASK), np.ones(2), (Status.OK, Status.OK)).reasons == ("", "")
    with pytest.raises(ValueError, match="row 0"):
        Instances(TWO, (None, None), np.ones(2), (Status.OK, Status.EMPTY))
    with pytest.raises(ValueError, match="row 1"):
        Instances(TWO, (MASK, MASK), np.ones(2), (Status.OK, Status.FAILED))


@pytest.mark.parametrize("field", ["masks", "scores", "status", "reasons"])
def test_instances_need_a_value_for_each_box(field: str) -> None:
    values = {"masks": (MASK, MASK), "scores": np.ones(2), "status": (Status.OK,) * 2, "reasons": ("", "")}
    values[field] = values[field][:1]
    with pytest.raises(ValueError, match=f"2 boxes but 1 {field}"):
        Instances(TWO, **values)  # type: ignore[arg-type]


def test_none_of_says_why_in_every_row() -> None:
    none = Instances.none_of(TWO, Status.FAILED, "no memory")
    assert none.status == (Status.FAILED,) * 2
    assert none.reasons == ("no memory",) * 2
    assert none.masks == (None, None)
    assert none.scores.tolist() == [0, 0]
    assert len(Instances.none_of(TWO[[]], Status.EMPTY, "")) == 0
