"""The quality score: what it rewards and punishes."""

from __future__ import annotations

import numpy as np
import pytest

from labelers.quality import expected_iou, quality


def test_a_sure_mask_that_fills_its_box_scores_one() -> None:
    probability = np.ones((10, 20), np.float32)
    assert quality(probability, probability > 0.5, np.array([5, 7, 25, 17]), 5, 7) == pytest.approx(1.0)


def test_doubt_lowers_the_score() -> None:
    mask = np.ones((4, 4), bool)
    assert expected_iou(np.full((4, 4), 0.6, np.float32), mask) == pytest.approx(0.6)
    # doubt outside the mask counts too: the truth may be larger
    probability = np.array([[1.0, 0.4]], np.float32)
    assert expected_iou(probability, probability > 0.5) == pytest.approx(1 / 1.4)


def test_a_mask_that_misses_part_of_its_box_scores_lower() -> None:
    probability = np.zeros((10, 10), np.float32)
    probability[:, :5] = 1.0
    score = quality(probability, probability > 0.5, np.array([0, 0, 10, 10]), 0, 0)
    assert score == pytest.approx(np.sqrt(0.5))


def test_an_empty_mask_scores_zero() -> None:
    probability = np.zeros((3, 3), np.float32)
    assert quality(probability, probability > 0.5, np.array([0, 0, 3, 3]), 0, 0) == 0.0
