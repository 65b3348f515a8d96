"""The detector reads its file and its bins; a model learns from it, and only what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from openseed_core.config import OpenSeeDConfig
from openseed_core.decoder import Memory
from openseed_core.model import OpenSeeD
from openseed_core.training.conditioned import encoded
from openseed_core.training.dense import Teacher
from openseed_core.training.nanodet_teacher import CLASSES, NanoDet
from tests.nanodet_file import small_nano, write_nanodet


def config() -> OpenSeeDConfig:
    return small_nano(hidden_dim=32, joint_dim=16, background_queries=2)


def test_a_box_reaches_from_the_cell_centre_as_far_as_its_bins_say(tmp_path: Path) -> None:
    detector = NanoDet(write_nanodet(tmp_path / "n.npz", bins=(1, 2, 3, 1)))
    probabilities, boxes = detector(torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(0)))
    cells = 3 * 2 + 6 * 4 + 12 * 8
    assert probabilities.shape == (2, cells, CLASSES)
    assert boxes.shape == (2, cells, 4)
    # stride 8 comes last; its cell in row 5, column 2 has the centre (20, 44)
    cx, cy, w, h = (boxes[0, 3 * 2 + 6 * 4 + 5 * 8 + 2] * torch.tensor([64.0, 96, 64, 96])).tolist()
    found = [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
    assert found == pytest.approx([20 - 8, 44 - 16, 20 + 24, 44 + 8], abs=1e-3)
    # stride 32 comes first; the box of the cell at (16, 16) would leave the picture
    cx, cy, w, h = (boxes[0, 0] * torch.tensor([64.0, 96, 64, 96])).tolist()
    assert [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2] == pytest.approx([0, 0, 64, 48], abs=1e-3)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = write_nanodet(tmp_path / "n.npz")
    with np.load(path) as arrays:
        wrong = {name: arrays[name] for name in arrays.files}
    wrong["conv29.weight"] = wrong["conv29.weight"][:100]
    np.savez(path, **wrong)
    with pytest.raises(ValueError, match=r"conv29.weight is \[100, 128, 1, 1\].*not NanoDet-g"):
        NanoDet(path)


def test_the_selection_learns_what_the_detector_finds(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, detector = OpenSeeD(config()), NanoDet(write_nanodet(tmp_path / "n.npz", bins=(1, 1, 1, 1)))
    teacher = Teacher(detector, torch.nn.functional.normalize(torch.randn(CLASSES, 16), dim=-1))
    pixels = torch.randn(2, 3, 64, 64)
    memory = _memory(model, pixels)
    optimiser = torch.optim.Adam([*model.query_selection.parameters(), *model.heads.parameters()], 1e-2)
    losses = []
    for _ in range(30):
        loss = teacher.loss(model, memory, pixels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert model.heads.mask_embed.layers[0].weight.grad is None  # it teaches names and boxes, not masks


def test_where_the_detector_finds_nothing_it_teaches_no_boxes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = OpenSeeD(config())
    detector = NanoDet(write_nanodet(tmp_path / "n.npz"))
    text = torch.nn.functional.normalize(torch.randn(CLASSES, 16), dim=-1)
    pixels = torch.randn(1, 3, 64, 64)
    memory = _memory(model, pixels)

    class Unsure(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            scores, boxes = detector(x)
            return scores * 0, boxes

    nothing = Teacher(Unsure(), text).loss(model, memory, pixels)  # type: ignore[arg-type]
    nothing.backward()
    assert not model.heads.bbox_embed.layers[0].weight.grad.any()
    assert model.heads.class_embed.grad is not None
    assert model.heads.class_embed.grad.any()


def test_other_strides_are_refused(tmp_path: Path) -> None:
    model = OpenSeeD(config())
    teacher = Teacher(NanoDet(write_nanodet(tmp_path / "n.npz")), torch.randn(CLASSES, 16))
    memory = _memory(model, torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match="strides 8, 16 and 32"):
        teacher.loss(model, memory, torch.randn(1, 3, 96, 64))


def _memory(model: OpenSeeD, pixels: torch.Tensor) -> Memory:
    with torch.no_grad():
        return encoded(model, pixels).memory
