"""Correcting clicks: always obeyed, whatever the labeler says; and what is known around them."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from exporters.masks import area, decode, encode, paste
from exporters.runs import contains
from labelers.clicks import CUES, GEOMETRY, GRID, Click, cues, distance_to_edge, look_around
from labelers.protocol import Hint, Hinting, Opened
from labelers.records import RLE, Boxes, Instances, Photo
from labelers.repair import GEOMETRY_ALONE, WITH_HINT, repair
from labelers.vocabulary import Vocabulary
from labelers.windows import PixelWindow
from tests.fakes import FakeLabeler

HEIGHT, WIDTH = 48, 60


def opened(height: int = HEIGHT, width: int = WIDTH) -> Opened:
    pixels = np.zeros((height, width, 3), np.uint8)
    return FakeLabeler().open(Photo("1", "black", height, width, lambda: pixels))


class Hints:
    """An opened photo with hints: sure of a disc, and that dark places are alike."""

    def __init__(self, *, stubborn: float = 0.0) -> None:
        self.inner = opened()
        self.stubborn = stubborn
        self.asked: list[tuple[float, float]] = []

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        return self.inner.masks(boxes, vocabulary)

    def propose(self, vocabulary: Vocabulary) -> Instances:
        return self.inner.propose(vocabulary)

    def hint(
        self, box: NDArray[np.float32], name: str, vocabulary: Vocabulary, *, at: tuple[float, float]
    ) -> Hint | None:
        self.asked.append(at)
        y, x = np.mgrid[:12, :15].astype(np.float32)
        logits = 4 - np.hypot(x - 7, y - 6) + np.float32(self.stubborn)
        return Hint(logits, np.clip(1 - x / 4, -1, 1), (0.0, 0.0, 60.0, 48.0))


def clicked(
    mask: RLE | None,
    x: float,
    y: float,
    *,
    include: bool,
    on: Opened | None = None,
    box: tuple[float, float, float, float] = (15, 12, 45, 36),
) -> RLE:
    return repair(
        on or opened(),
        Vocabulary(),
        mask=mask,
        box=box,
        name="cup",
        x=x,
        y=y,
        include=include,
        height=HEIGHT,
        width=WIDTH,
    )


def disc(cx: float, cy: float, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    found: NDArray[np.bool_] = np.hypot(x - cx, y - cy) <= radius
    return found


discs = st.builds(disc, st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(0, 30))
masks = st.builds(lambda a, b, c: (a | b) & ~c, discs, discs, discs)
inside_x, inside_y = st.floats(0, WIDTH, exclude_max=True), st.floats(0, HEIGHT, exclude_max=True)


@settings(max_examples=60, deadline=None)
@given(masks, inside_x, inside_y, st.booleans(), st.sampled_from([None, -50.0, 0.0, 50.0]))
@example(np.zeros((HEIGHT, WIDTH), bool), 0.0, 0.0, True, None)
@example(np.ones((HEIGHT, WIDTH), bool), 59.9, 47.9, False, 50.0)
def test_the_click_is_obeyed(
    mask: NDArray[np.bool_], x: float, y: float, include: bool, stubborn: float | None
) -> None:
    before = encode(mask)
    on: Opened | None = None if stubborn is None else Hints(stubborn=stubborn)
    after = clicked(before, x, y, include=include, on=on)
    column, row = math.floor(x), math.floor(y)
    assert contains(after, column, row) == include
    if mask[row, column] == include:
        assert after == before
    found = decode(after)
    assert (found >= mask).all() if include else (found <= mask).all()


@given(masks, inside_x, inside_y, st.booleans())
def test_distance_to_the_edge(mask: NDArray[np.bool_], x: float, y: float, include: bool) -> None:
    column, row = math.floor(x), math.floor(y)
    other = np.pad(mask if include else ~mask, 1, constant_values=True)  # the photo's border ends it too
    ys, xs = np.nonzero(other)
    wanted = np.hypot(ys - 1 - row, xs - 1 - column).min()
    assert distance_to_edge(encode(mask), column, row, include=include) == pytest.approx(wanted)


def test_a_click_beside_the_mask_adds_the_gap_and_not_the_photo() -> None:
    truth = disc(30, 24, 15)
    mask = truth & ~disc(38, 24, 6)
    after = decode(clicked(encode(mask), 38, 24, include=True))
    lost = truth & ~mask
    assert (after & lost).sum() > 0.7 * lost.sum()
    assert (after & ~truth).sum() < 0.1 * truth.sum()


def test_a_hint_moves_the_repair_to_where_the_labeler_agrees() -> None:
    mask = disc(20, 24, 8)
    on = Hints()
    assert isinstance(on, Hinting)
    # the labeler's disc is around (30, 26): clicking right of the mask follows it
    with_hint = decode(clicked(encode(mask), 34, 25, include=True, on=on))
    without = decode(clicked(encode(mask), 34, 25, include=True))
    assert on.asked == [(34, 25)]
    assert not np.array_equal(with_hint, without)


def test_a_labeler_without_hints_is_not_one_with() -> None:
    assert not isinstance(opened(), Hinting)


def test_including_without_a_mask_starts_from_the_box() -> None:
    first = opened().masks(Boxes(np.array([[15, 12, 45, 36]], np.float32), ("cup",)), Vocabulary()).masks[0]
    assert clicked(None, 30, 24, include=True) == first
    assert area(clicked(None, 30, 24, include=False)) == 0


def test_a_box_that_cannot_be_labelled_still_takes_the_click() -> None:
    after = clicked(None, 3, 4, include=True, box=(20, 20, 20, 20))
    assert contains(after, 3, 4)


def test_the_last_pixel_can_be_taken_away() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10, 12] = True
    assert area(clicked(encode(mask), 12.5, 10.5, include=False)) == 0


@pytest.mark.parametrize(("x", "y"), [(-0.1, 3), (60, 3), (3, 48), (math.nan, 3), (3, math.inf)])
def test_clicks_outside_the_photo_are_refused(x: float, y: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        clicked(encode(disc(30, 24, 10)), x, y, include=True)


def test_other_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        clicked(encode(disc(30, 24, 10)), 3, 3, include=True, box=(0, math.nan, 5, 5))
    with pytest.raises(ValueError, match="height, width"):
        clicked(encode(np.zeros((5, 5), bool)), 3, 3, include=True)


@pytest.mark.parametrize("include", [True, False])
def test_cues_are_what_they_are_called(include: bool) -> None:
    mask = disc(30, 24, 12) if not include else ~disc(30, 24, 12)
    click = Click(30, 24, include, 12.0, 24.0)
    around = look_around(encode(mask), click)
    hint = Hints().hint(np.zeros(4, np.float32), "", Vocabulary(), at=(30, 24))
    maps = cues(click, around, size=(HEIGHT, WIDTH), hint=hint, box=PixelWindow(0, 0, WIDTH, HEIGHT))
    found = dict(zip(CUES, maps, strict=True))
    assert {cue.shape for cue in maps} == {(HEIGHT, WIDTH)}
    assert found["distance"][24, 30] == pytest.approx(math.log(0.2))
    assert found["distance"][24, 42] == pytest.approx(math.log(1.2))
    assert found["size"][0, 0] == pytest.approx(math.log(0.5))
    assert found["edge"][24, 30] == pytest.approx(1, abs=0.1)
    assert found["edge"][0, 0] == 0
    assert (found["include"] == include).all()
    assert found["difference"][24, 30] == 0
    assert found["logit"][24, 30] == pytest.approx(found["logit at click"][0, 0])
    assert (found["logit"][24, 30] > 0) == include
    alone = cues(click, around, size=(HEIGHT, WIDTH), hint=None, box=PixelWindow(0, 0, WIDTH, HEIGHT))
    assert len(alone) == len(GEOMETRY) == len(GEOMETRY_ALONE)
    assert len(CUES) == len(WITH_HINT)


def test_far_clicks_are_looked_at_on_a_coarse_grid() -> None:
    mask = paste(np.ones((10, 10), bool), 0, 0, 900, 1200)
    around = look_around(mask, Click(800, 600, True, 300.0, 600.0))
    x, y = around.centres
    assert around.step > 1
    assert max(len(x), len(y)) <= GRID
    assert around.coarse().shape == (len(y), len(x))
    assert around.fine(np.ones((len(y), len(x)), np.float32)).all()
    assert around.fine(np.ones((len(y), len(x)), np.float32)).shape == around.wrong.shape


def test_twenty_megapixels_are_no_obstacle() -> None:
    """No array of floats the size of the photo is made."""
    height, width = 3888, 5184
    mask = paste(np.ones((3000, 3000), bool), 1000, 400, height, width)
    small = opened()
    tracemalloc.start()
    try:
        after = repair(
            small,
            Vocabulary(),
            mask=mask,
            box=(1000, 400, 4100, 3400),
            name="cup",
            x=4050,
            y=1500,
            include=True,
            height=height,
            width=width,
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert contains(after, 4050, 1500)
    assert peak < height * width
