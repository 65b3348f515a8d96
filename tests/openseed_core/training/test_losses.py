"""Losses against values worked out by hand or by another library."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

from openseed_core.training.losses import (
    box_losses,
    mask_losses,
    paired_giou,
    sample_points,
    sigmoid_focal,
    window_points,
    xyxy,
)


def test_focal_equals_torchvision() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 7, generator=generator)
    targets = (torch.rand(5, 7, generator=generator) > 0.7).float()
    expected = sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2, reduction="none")
    torch.testing.assert_close(sigmoid_focal(logits, targets), expected)


def test_giou_equals_torchvision() -> None:
    generator = torch.Generator().manual_seed(1)
    a, b = (xyxy(torch.rand(20, 4, generator=generator) * 0.4 + 0.2) for _ in range(2))
    torch.testing.assert_close(paired_giou(a, b), generalized_box_iou(a, b).diagonal(), atol=1e-3, rtol=1e-3)


def test_box_losses_of_equal_boxes_vanish() -> None:
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.4]])
    l1, giou = box_losses(boxes, boxes)
    assert l1.item() == 0
    assert giou.item() == pytest.approx(0, abs=1e-4)
    l1, _ = box_losses(boxes + 0.1, boxes)
    assert l1.item() == pytest.approx(0.4)


def test_mask_losses_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [20.0, -20.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    bce, dice = mask_losses(logits, targets)
    assert bce.item() == pytest.approx(math.log(2), abs=1e-6)
    # first: 1 - (2 * 0.5 + 1) / (1 + 1 + 1); second: no error
    assert dice.item() == pytest.approx(1 / 3, abs=1e-6)


def test_points_cover_the_grown_box_and_read_the_right_place() -> None:
    boxes = torch.tensor([[0.5, 0.25, 0.2, 0.1]])
    points = window_points(boxes, 8, margin=0.5, jitter=torch.full((1, 64, 2), 0.5))
    assert points.shape == (1, 64, 2)
    low, high = points[0].amin(0), points[0].amax(0)
    torch.testing.assert_close(low, torch.tensor([0.5 - 0.175, 0.25 - 0.0875]))
    torch.testing.assert_close(high, torch.tensor([0.5 + 0.175, 0.25 + 0.0875]))
    ramp = ((torch.arange(16) + 0.5) / 16).expand(1, 16, 16)  # value = x
    torch.testing.assert_close(sample_points(ramp, points), points[..., 0])
