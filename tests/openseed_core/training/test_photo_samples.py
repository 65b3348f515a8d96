"""Large-scale jitter: image, boxes, masks and ignored regions stay on each other; nothing else changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from openseed_core.training.photos import PADDING, Jitter, PhotoRecord, PhotoSample, _View, draw_photo, tight_boxes

HEIGHT, WIDTH = 90, 140
BOXES = np.array([[20, 10, 70, 50], [60, 40, 130, 85]], np.float32)


def record(*, masks: bool = True, annotated: NDArray[np.int64] | None = None) -> PhotoRecord:
    """Two rectangles, red and green, on black; the top 5 rows are ignored."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    drawn = []
    for k, (x0, y0, x1, y1) in enumerate(BOXES.astype(int)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[y0:y1, x0:x1] = 1
        image[y0:y1, x0:x1, k] = 255
        drawn.append(mask)
    ignored = np.zeros((HEIGHT, WIDTH), np.uint8)
    ignored[:5] = 1
    return PhotoRecord(
        key="a.json: image 1 (a.png)",
        pixels=lambda: image,
        boxes=BOXES.copy(),
        labels=np.array([7, 9]),
        mask=(lambda k: drawn[k]) if masks else None,
        ignored=lambda: ignored,
        annotated=annotated,
    )


def drawn(seed: int, *, jitter: Jitter | None = None, masks: bool = True) -> PhotoSample:
    return draw_photo(record(masks=masks), jitter or Jitter(size=128), np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(30))
def test_image_boxes_and_masks_agree(seed: int) -> None:
    sample = drawn(seed)
    assert sample.image.shape == (128, 128, 3)
    assert sample.masks is not None
    assert sample.labels.tolist() == [7, 9]
    height, width = sample.size
    np.testing.assert_array_equal(sample.boxes, tight_boxes(sample.masks))
    for label, mask in zip(sample.labels, sample.masks, strict=True):
        assert not mask[height:].any()
        assert not mask[:, width:].any()
        painted = sample.image[:height, :width, {7: 0, 9: 1}[int(label)]] >= 128
        # off by a pixel along the outline at most
        assert np.count_nonzero(painted != mask[:height, :width]) <= max(4 * (height + width) * 0.5, 4)


@pytest.mark.parametrize("seed", range(30))
def test_boxes_without_masks_go_the_same_way(seed: int) -> None:
    plain, masked = drawn(seed, masks=False), drawn(seed)
    assert plain.masks is None
    assert masked.masks is not None
    np.testing.assert_array_equal(plain.image, masked.image)
    assert (plain.boxes[:, 2:] > plain.boxes[:, :2]).all()  # what was cropped away is gone
    for label, box in zip(plain.labels, plain.boxes, strict=True):
        np.testing.assert_allclose(masked.boxes[masked.labels == label][0], box, atol=1.0)


def test_the_box_of_a_whole_photo_is_scaled_exactly() -> None:
    sample = drawn(0, jitter=Jitter(size=280, scale=(1.0, 1.0), flip=0.0), masks=False)
    np.testing.assert_allclose(sample.boxes, BOXES * 2)
    assert sample.size == (180, 280)
    mirrored = drawn(0, jitter=Jitter(size=280, scale=(1.0, 1.0), flip=1.0), masks=False)
    np.testing.assert_allclose(mirrored.boxes, [[140, 20, 240, 100], [20, 80, 160, 170]])
    np.testing.assert_array_equal(mirrored.image[:180], sample.image[:180, ::-1])


def test_without_jitter_the_pixels_are_the_photos() -> None:
    sample = drawn(0, jitter=Jitter(size=WIDTH, scale=(1.0, 1.0), flip=0.0))
    np.testing.assert_array_equal(sample.image[:HEIGHT], record().pixels())
    assert (sample.image[HEIGHT:] == PADDING).all()


@pytest.mark.parametrize("full", [(45, 70), (77, 120), (90, 140), (133, 207), (180, 280)])
def test_masks_are_taken_from_the_nearest_pixel_as_opencv_does(full: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).integers(0, 2, (HEIGHT, WIDTH), np.uint8)
    view = _View((HEIGHT, WIDTH), False, full, (0, 0), full, 280)
    expected = cv2.resize(mask, full[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.mean(view.region(mask)[: full[0], : full[1]] != expected) < 0.002


def test_a_cut_out_is_a_part_of_the_whole() -> None:
    """Only what is shown is computed, but it is what cutting the whole scaled photo would give."""
    pixels = np.random.default_rng(2).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for flip in (False, True):
        whole = _View((HEIGHT, WIDTH), flip, (180, 280), (0, 0), (180, 280), 280)
        part = _View((HEIGHT, WIDTH), flip, (180, 280), (30, 47), (128, 128), 128)
        expected = whole.image(pixels)[30:158, 47:175].astype(int)
        inner = np.abs(part.image(pixels) - expected)[2:-2, 2:-2]  # PIL sees no pixels beyond the part's border
        assert inner.max() <= 1
        mask = (pixels[..., 0] > 100).astype(np.uint8)
        np.testing.assert_array_equal(part.region(mask), whole.region(mask)[30:158, 47:175])


def test_sizes_and_places_follow_the_specification() -> None:
    jitter = Jitter(size=128)
    scales, flips = [], 0
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = np.arange(WIDTH)  # tells place and mirror image
    plain = PhotoRecord("a", lambda: image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None)
    for seed in range(300):
        sample = draw_photo(plain, jitter, np.random.default_rng(seed))
        row = sample.image[0, : sample.size[1], 0].astype(int)
        flips += row[0] > row[-1]
        if max(sample.size) < 128:
            scales.append(max(sample.size) / 128)
    assert 0.4 < flips / 300 < 0.6
    assert 0.1 <= min(scales) < 0.15
    assert 0.35 < len(scales) / 300 < 0.6  # 0.9 / 1.9 of the range is smaller than the window


def test_both_axes_are_cut_at_the_same_share() -> None:
    square = np.zeros((100, 100, 3), np.uint8)
    square[..., 0], square[..., 1] = np.arange(100)[:, None], np.arange(100)
    plain = PhotoRecord("a", lambda: square, np.zeros((0, 4), np.float32), np.zeros(0, np.int64), None)
    places = set()
    for seed in range(20):
        sample = draw_photo(plain, Jitter(size=64, scale=(2.0, 2.0), flip=0.0), np.random.default_rng(seed))
        y, x = sample.image[0, 0, :2].tolist()
        assert abs(y - x) <= 1
        places.add(y)
    assert len(places) > 8


def test_objects_that_are_cropped_away_stay_only_where_asked() -> None:
    jitter = Jitter(size=48, scale=(6.0, 6.0))
    for seed in range(20):
        kept, dropped = drawn(seed, jitter=jitter), drawn(seed, jitter=Jitter(size=48, scale=(6.0, 6.0), empty=False))
        assert len(kept.labels) == 2
        assert kept.masks is not None
        assert dropped.masks is not None
        assert dropped.masks.any(axis=(1, 2)).all()
        gone = ~kept.masks.any(axis=(1, 2))
        assert (kept.boxes[gone] == 0).all()
        assert len(dropped.labels) == 2 - gone.sum()
        if gone.any():
            return
    pytest.fail("no object was ever cropped away")


def test_ignored_regions_and_annotated_classes_come_along() -> None:
    sample = draw_photo(
        record(annotated=np.array([7])), Jitter(size=280, scale=(1.0, 1.0), flip=0.0), np.random.default_rng(0)
    )
    assert sample.annotated is not None
    assert sample.annotated.tolist() == [7]
    assert sample.ignored is not None
    assert sample.ignored[:10].all()
    assert not sample.ignored[10:].any()
    assert record().without_masks().mask is None


def test_the_same_generator_state_gives_the_same_sample() -> None:
    first, second = drawn(11), drawn(11)
    for name in ("image", "boxes", "labels", "masks", "ignored"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert not np.array_equal(drawn(12).image, first.image)


def test_one_pixel_photos_survive() -> None:
    tiny = PhotoRecord(
        "a", lambda: np.zeros((1, 300, 3), np.uint8), np.array([[0, 0, 9, 1]], np.float32), np.array([0]), None
    )
    for seed in range(20):
        sample = draw_photo(tiny, Jitter(size=32), np.random.default_rng(seed))
        assert sample.size[0] >= 1


def test_what_does_not_fit_is_named() -> None:
    wrong = PhotoRecord(
        "b.json: image 5 (b.png)",
        lambda: np.zeros((10, 10, 3), np.uint8),
        np.array([[0, 0, 5, 5]], np.float32),
        np.array([0]),
        lambda k: np.zeros((10, 11), np.uint8),
    )
    with pytest.raises(ValueError, match=r"image 5 \(b.png\): mask of object 0"):
        draw_photo(wrong, Jitter(size=32), np.random.default_rng(0))
    with pytest.raises(ValueError, match="scale"):
        Jitter(scale=(2.0, 1.0))
    with pytest.raises(ValueError, match="2 labels but boxes"):
        PhotoRecord("a", wrong.pixels, wrong.boxes, np.array([0, 1]), None)
