"""The labeling engine with the embedded model: rows, independence, threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from exporters.masks import area, box_xyxy, decode
from labelers.answers import MASK_MARGIN
from labelers.conditioned import ConditionedLabeler
from labelers.protocol import Hinting
from labelers.records import Boxes, Photo, Status
from labelers.vocabulary import Vocabulary

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def labeler() -> ConditionedLabeler:
    return ConditionedLabeler.from_model()


def _photo(height: int = 360, width: int = 500) -> Photo:
    """Three discs of different size and colour on a soft gradient."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack((60 + 60 * x / width, 90 + 50 * y / height, np.full_like(x, 110)), axis=-1)
    for cx, cy, radius, colour in DISCS:
        image[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = colour
    pixels = image.astype(np.uint8)
    return Photo("1", "discs", height, width, lambda: pixels)


DISCS = ((120, 120, 70, (220, 40, 30)), (330, 200, 110, (30, 60, 200)), (450, 60, 22, (240, 220, 40)))
BOXES = Boxes(
    np.array([[cx - r, cy - r, cx + r, cy + r] for cx, cy, r, _ in DISCS], np.float32),
    ("sports ball", "plate", "orange"),
)


def _truth(k: int, height: int = 360, width: int = 500) -> NDArray[np.bool_]:
    cx, cy, radius, _ = DISCS[k]
    y, x = np.mgrid[:height, :width]
    disc: NDArray[np.bool_] = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return disc


def test_discs_become_discs(labeler: ConditionedLabeler) -> None:
    result = labeler.open(_photo()).masks(BOXES, Vocabulary())
    for k, mask in enumerate(result.masks):
        assert mask is not None
        found, truth = decode(mask), _truth(k)
        assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_row_k_answers_box_k_whatever_is_wrong_with_the_others(labeler: ConditionedLabeler) -> None:
    nan = float("nan")
    xyxy = np.array([[nan, 0, 5, 5], BOXES.xyxy[0], [9, 9, 9, 30], [900, 900, 950, 950], BOXES.xyxy[2]], np.float32)
    result = labeler.open(_photo()).masks(Boxes(xyxy, ("a", "sports ball", "b", "c", "orange")), Vocabulary())
    expected = [Status.DEGENERATE, Status.OK, Status.DEGENERATE, Status.OUTSIDE, Status.OK]
    assert list(result.status) == expected
    alone = labeler.open(_photo()).masks(BOXES[[0, 2]], Vocabulary())
    assert result.masks[1] == alone.masks[0]
    assert result.masks[4] == alone.masks[1]


def test_a_mask_depends_on_its_own_box_only(labeler: ConditionedLabeler) -> None:
    """Bit for bit: among 40 others, alone, in another order, asked twice."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 400, (40, 2))
    others = np.concatenate((corner, corner + rng.uniform(5, 200, (40, 2))), axis=1)
    many = Boxes(np.concatenate((others, BOXES.xyxy)).astype(np.float32), ("cup",) * 40 + BOXES.names)
    together = labeler.open(_photo()).masks(many, Vocabulary())
    opened = labeler.open(_photo())
    for k in range(3):
        alone = opened.masks(BOXES[[k]], Vocabulary())
        assert alone.masks[0] == together.masks[40 + k]
        assert alone.scores[0] == together.scores[40 + k]


def test_masks_stay_near_their_boxes_and_scores_in_range(labeler: ConditionedLabeler) -> None:
    result = labeler.open(_photo()).masks(BOXES, Vocabulary())
    for mask, box, score in zip(result.masks, BOXES.xyxy, result.scores, strict=True):
        assert mask is not None
        assert area(mask) > 0
        reach = MASK_MARGIN * max(box[2] - box[0], box[3] - box[1]) + 1
        assert (box_xyxy(mask)[:2] >= box[:2] - reach).all()
        assert (box_xyxy(mask)[2:] <= box[2:] + reach).all()
        assert 0 < score <= 1


def test_an_opened_photo_serves_several_threads(labeler: ConditionedLabeler) -> None:
    opened = labeler.open(_photo())
    expected = opened.masks(BOXES, Vocabulary())
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda k: opened.masks(BOXES[[k % 3]], Vocabulary()), range(12)))
    for i, result in enumerate(results):
        assert result.masks[0] == expected.masks[i % 3]


def test_prompts_reach_the_model(labeler: ConditionedLabeler) -> None:
    names = ("zzz",)
    plain = labeler.text(names, Vocabulary())
    prompted = labeler.text(names, Vocabulary().with_prompts(["zzz = dog"]))
    dog = labeler.text(("dog",), Vocabulary())
    assert torch.equal(prompted, dog)
    assert not torch.allclose(plain, dog, atol=1e-2)


def test_no_boxes_no_rows(labeler: ConditionedLabeler) -> None:
    result = labeler.open(_photo()).masks(Boxes(np.zeros((0, 4), np.float32), ()), Vocabulary())
    assert len(result) == 0


def test_mirror_averaging_is_symmetric_and_another_version(labeler: ConditionedLabeler) -> None:
    """The mirrored photo's mask is the mirror image of the photo's mask."""
    both = ConditionedLabeler(labeler.model, name="nano", version="1", mirror=True)
    assert both.spec.version.endswith("-mirror")
    photo = _photo(360, 384)
    flipped = Photo("2", "flipped", 360, 384, lambda: np.ascontiguousarray(photo.pixels()[:, ::-1]))
    box = np.array([[0, 0, 384, 360]], np.float32)  # the whole photo, so that both look through the same window
    mask = both.open(photo).masks(Boxes(box, ("plate",)), Vocabulary()).masks[0]
    mirrored = both.open(flipped).masks(Boxes(box, ("plate",)), Vocabulary()).masks[0]
    assert mask is not None
    assert mirrored is not None
    a, b = decode(mask), decode(mirrored)[:, ::-1]
    assert (a & b).sum() / (a | b).sum() > 0.98


@pytest.mark.parametrize("k", [0, 1, 2])
def test_hints_lie_where_the_object_is(labeler: ConditionedLabeler, k: int) -> None:
    opened = labeler.open(_photo())
    assert isinstance(opened, Hinting)
    cx, cy, radius, _ = DISCS[k]
    hint = opened.hint(BOXES.xyxy[k], BOXES.names[k], Vocabulary(), at=(cx, cy))
    assert hint is not None
    assert hint.logits.shape == hint.likeness.shape
    x0, y0, x1, y1 = hint.window

    def at(values: NDArray[np.float32], x: float, y: float) -> float:
        rows, columns = values.shape
        return float(values[int((y - y0) / (y1 - y0) * rows), int((x - x0) / (x1 - x0) * columns)])

    assert at(hint.likeness, cx, cy) == pytest.approx(1, abs=1e-4)
    assert hint.likeness.max() <= 1 + 1e-4
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        inside, outside = 0.7 * radius, 1.2 * radius
        assert at(hint.logits, cx + inside * dx, cy + inside * dy) > 0
        if x0 < cx + outside * dx < x1 and y0 < cy + outside * dy < y1:
            assert at(hint.logits, cx + outside * dx, cy + outside * dy) < 0


def test_no_hint_for_a_box_without_area_and_one_for_a_point_outside_the_view(labeler: ConditionedLabeler) -> None:
    opened = labeler.open(_photo())
    assert opened.hint(np.array([9, 9, 9, 30], np.float32), "cup", Vocabulary(), at=(9, 9)) is None
    far = opened.hint(BOXES.xyxy[2], "orange", Vocabulary(), at=(0, 359))
    assert far is not None
    assert np.isfinite(far.likeness).all()


def test_the_whole_photo_in_several_passes_gives_each_box_its_own_mask(labeler: ConditionedLabeler) -> None:
    """Without zoom all boxes are decoded from one view, more of them than fit into one pass."""
    plain = ConditionedLabeler(labeler.model, name="nano", version="1", zoom=False)
    many = BOXES[[k % 3 for k in range(plain.whole_chunk + 5)]]
    together = plain.open(_photo()).masks(many, Vocabulary())
    for k in range(3):
        alone = plain.open(_photo()).masks(BOXES[[k]], Vocabulary())
        assert {mask["counts"] for mask in together.masks[k::3] if mask} == {alone.masks[0]["counts"]}  # type: ignore[index]
        assert set(together.scores[k::3].tolist()) == set(alone.scores.tolist())


def test_a_view_is_encoded_once_and_again_after_a_failure(labeler: ConditionedLabeler) -> None:
    asked: list[int] = []

    class Slow:
        """The labeler's own runtime, which fails the first time and lets others catch up."""

        def encode(self, images, size):  # type: ignore[no-untyped-def]
            asked.append(len(images))
            if len(asked) == 1:
                raise RuntimeError("out of memory")
            time.sleep(0.05)
            return labeler.runtime.encode(images, size)

        masks = labeler.runtime.masks

    opened = ConditionedLabeler(labeler.model, name="nano", version="1", runtime=Slow()).open(_photo())
    with pytest.raises(RuntimeError, match="out of memory"):
        opened.masks(BOXES[[0]], Vocabulary())
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: opened.masks(BOXES[[0]], Vocabulary()), range(4)))
    assert len(asked) == 2
    assert all(result.masks[0] == results[0].masks[0] for result in results)
