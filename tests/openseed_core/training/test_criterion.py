"""What the golden numbers can't show: photos annotated in part, ignored regions, more targets than queries."""

from __future__ import annotations

import torch

from openseed_core.heads import Prediction
from openseed_core.training.criterion import Criterion, Sets, focal_of, share_inside
from openseed_core.training.points import random_points
from openseed_core.training.targets import Targets

PAIRS = [(torch.tensor([1]), torch.tensor([0]))]
BOX = torch.tensor([[0.5, 0.5, 0.2, 0.2]])


def _prediction() -> Prediction:
    boxes = torch.tensor([[0.2, 0.2, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.8, 0.8, 0.2, 0.2], [0.25, 0.75, 0.1, 0.1]])
    return Prediction(torch.full((1, 4, 3), 2.0), boxes[None], None)


def test_partial_photos_do_not_punish_what_may_be_there() -> None:
    whole = focal_of(_prediction(), [Targets(torch.tensor([0]), BOX)], PAIRS)
    assert (whole[0, [0, 2, 3]] > 0).all()
    listed = torch.tensor([False, True, False])
    partial = focal_of(_prediction(), [Targets(torch.tensor([0]), BOX, None, listed)], PAIRS)
    assert (partial[0, [0, 2, 3]][:, [0, 2]] == 0).all()
    assert torch.equal(partial[0, :, 1], whole[0, :, 1])
    assert torch.equal(partial[0, 1], whole[0, 1])


def test_predictions_on_crowds_are_excused_unless_matched() -> None:
    ignored = torch.zeros(40, 40)
    ignored[:20] = 1  # the upper half
    found = focal_of(_prediction(), [Targets(torch.tensor([0]), BOX, None, None, ignored)], PAIRS)
    assert (found[0, 0] == 0).all()
    assert (found[0, [1, 2, 3]] > 0).all()


def test_share_inside() -> None:
    region = torch.zeros(10, 20)
    region[:, :10] = 1
    boxes = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.5, 0.5, 0.5, 0.5], [0.75, 0.5, 0.1, 0.2], [0.0, 0.0, 0.0, 0.0]])
    assert share_inside(boxes, region).tolist() == [1.0, 0.5, 0.0, 0.0]


def test_more_targets_than_queries() -> None:
    """Every query has a target, and the masks of the right ones are compared."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.rand(1, 2, 8, 8, generator=generator)
    prediction = Prediction(torch.zeros(1, 2, 3), torch.tensor([[[0.5, 0.5, 0.2, 0.2]] * 2]), masks)
    targets = [Targets(torch.tensor([0, 1, 2]), BOX.repeat(3, 1), torch.ones(3, 32, 32))]
    losses = Criterion()(Sets(prediction, [], prediction), targets, random_points(16, generator, torch.device("cpu")))
    assert all(value.isfinite() for value in losses.values())
