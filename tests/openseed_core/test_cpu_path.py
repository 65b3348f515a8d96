"""The product for the CPU is the layer and its activation, whoever computes it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from openseed_core import cpu_path as module
from openseed_core.cpu_path import cpu_path, linear


@torch.no_grad()
@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize(("then", "activation"), [("none", lambda x: x), ("relu", F.relu), ("gelu", F.gelu)])
def test_linear(monkeypatch, onednn, then, activation):
    if not onednn:
        monkeypatch.setattr(module, "_product", lambda: None)
    torch.manual_seed(0)
    for bias in (True, False):
        layer = nn.Linear(20, 30, bias=bias)
        for shape in ((7, 20), (2, 5, 20), (1, 1, 20)):
            x = torch.randn(shape)
            torch.testing.assert_close(linear(x, layer, then), activation(layer(x)), rtol=1e-5, atol=1e-5)


def test_training_and_other_types_take_the_plain_way():
    x = torch.zeros(1)
    assert not cpu_path(x)  # gradients are on
    with torch.no_grad():
        assert cpu_path(x)
        assert not cpu_path(x.bfloat16())
        assert not cpu_path(x.to("meta"))
        traced = torch.jit.trace(lambda y: y + (1 if cpu_path(y) else 2), (x,), check_trace=False)
        assert traced(x).item() == 2
