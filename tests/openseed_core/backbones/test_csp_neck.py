"""The neck keeps the strides, is read from the detector's file, and lets its levels see each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from openseed_core.backbones.csp_neck import WIDTH, Neck
from openseed_core.weights.nanodet import NECK, load_neck
from tests.nanodet_file import write_nanodet

CHANNELS = (128, 256, 512)


def maps() -> list[torch.Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return [torch.randn(2, c, side, side + 2, generator=drawn) for c, side in zip(CHANNELS, (8, 4, 2), strict=True)]


@torch.no_grad()
def test_strides_stay_and_levels_see_each_other() -> None:
    torch.manual_seed(0)
    neck = Neck(CHANNELS)
    before = neck(maps())
    assert [x.shape for x in before] == [(2, WIDTH, side, side + 2) for side in (8, 4, 2)]
    for changed in range(3):
        after = neck([x + (i == changed) for i, x in enumerate(maps())])
        assert all(not torch.allclose(a, b) for a, b in zip(after, before, strict=True))


def test_the_file_is_read_in_the_order_of_the_strides(tmp_path: Path) -> None:
    path = write_nanodet(tmp_path / "n.npz")
    neck = Neck(CHANNELS)
    load_neck(neck, path)
    with np.load(path) as arrays:
        for number, layer in zip(NECK, (*neck.laterals, *neck.towers), strict=True):
            assert np.array_equal(layer.weight.detach().numpy(), arrays[f"conv{number:02d}.weight"].astype(np.float32))
