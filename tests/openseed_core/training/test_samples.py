"""Training crops: image, boxes and masks stay on each other under crop, scale and flip."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from openseed_core.training.samples import TARGET_STRIDE, CropSettings, Record, draw


def _record(height: int = 300, width: int = 400) -> Record:
    """Two filled rectangles, painted in their own colours on black."""
    boxes = np.array([[40, 60, 140, 200], [180, 100, 300, 160]], np.float32)
    image = np.zeros((height, width, 3), np.uint8)
    masks = []
    for k, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
        mask = np.zeros((height, width), np.uint8)
        mask[y0:y1, x0:x1] = 1
        image[y0:y1, x0:x1, k] = 255
        masks.append(mask)
    return Record(image, boxes, np.array([3, 5]), lambda k: masks[k], np.ones(2, np.float32))


def _tight(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    xs, ys = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return np.array([xs[0], ys[0], xs[-1] + 1, ys[-1] + 1], np.float64)


@pytest.mark.parametrize("seed", range(12))
def test_masks_boxes_and_pixels_agree(seed: int) -> None:
    settings = CropSettings(size=192, colour=0.0, visible=0.99)
    sample = draw(_record(), 0, settings, np.random.default_rng(seed))
    assert sample.image.shape == (192, 192, 3)
    assert sample.labels[0] == 3
    for box, label, mask in zip(sample.boxes, sample.labels, sample.masks, strict=True):
        limit = np.array([sample.size[1], sample.size[0]] * 2)
        expected = np.clip(box, 0, limit)
        np.testing.assert_allclose(_tight(mask >= 128) * TARGET_STRIDE, expected, atol=2.5)
        painted = sample.image[:, :, {3: 0, 5: 1}[int(label)]] >= 128
        np.testing.assert_allclose(_tight(painted), expected, atol=1.5)


def test_the_same_generator_state_gives_the_same_sample() -> None:
    first, second = (draw(_record(), 1, CropSettings(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.masks, second.masks)


def test_padding_stays_black_when_colours_change() -> None:
    record = _record(height=100, width=400)
    record = Record(
        record.image + 90, record.boxes * 0.4, record.labels, lambda k: np.ones((100, 400), np.uint8), record.weights
    )
    for seed in range(10):
        sample = draw(record, 0, CropSettings(object_share=(0.2, 0.3)), np.random.default_rng(seed))
        assert not sample.image[sample.size[0] :].any()
        assert not sample.image[:, sample.size[1] :].any()


def test_tiny_objects_keep_their_surroundings() -> None:
    record = _record()
    tiny = Record(
        record.image,
        record.boxes * 0 + np.array([200, 150, 206, 156], np.float32),
        record.labels,
        record.mask,
        record.weights,
    )
    sample = draw(tiny, 0, CropSettings(smallest_window=48), np.random.default_rng(0))
    side = (sample.boxes[0, 2] - sample.boxes[0, 0]).item()
    assert side == pytest.approx(6 * 192 / 48, abs=0.5)
