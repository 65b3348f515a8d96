"""The level at which probabilities become a mask."""

from __future__ import annotations

import numpy as np

from labelers.threshold import fitting_level


def test_a_clear_mask_is_cut_in_the_middle() -> None:
    probability = np.zeros((20, 20), np.float32)
    probability[5:15, 5:15] = 0.95
    assert fitting_level(probability, np.array([5, 5, 15, 15]), 0, 0) == 0.5


def test_a_faint_part_that_the_box_holds_is_kept() -> None:
    probability = np.zeros((20, 20), np.float32)
    probability[5:10, 5:15] = 0.9
    probability[10:15, 5:15] = 0.35
    assert fitting_level(probability, np.array([105, 55, 115, 65]), 100, 50) == 0.3


def test_a_faint_part_outside_the_box_is_cut() -> None:
    probability = np.zeros((20, 20), np.float32)
    probability[5:15, 5:15] = 0.9
    probability[5:20, 5:15] = np.maximum(probability[5:20, 5:15], 0.55)
    assert fitting_level(probability, np.array([5, 5, 15, 15]), 0, 0) == 0.6


def test_a_small_gain_is_not_worth_leaving_the_middle() -> None:
    probability = np.zeros((100, 100), np.float32)
    probability[:99] = 0.9
    probability[99] = 0.45
    assert fitting_level(probability, np.array([0, 0, 100, 100]), 0, 0) == 0.5


def test_nothing_anywhere() -> None:
    assert fitting_level(np.zeros((4, 4), np.float32), np.array([0, 0, 4, 4]), 0, 0) == 0.5


def test_a_window_without_pixels_gives_the_first_level() -> None:
    for shape in ((0, 4), (4, 0)):
        assert fitting_level(np.zeros(shape, np.float32), np.array([0, 0, 4, 4]), 0, 0) == 0.5
