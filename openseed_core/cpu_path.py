"""The fast way of layers on the CPU: block by block, without gradients, with oneDNN's matrix products."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 1024
"""Rows that go through a layer at a time: what is between its products then stays in the cache."""


def cpu_path(x: Tensor) -> bool:
    """Whether ``x`` is float32 on a CPU, no gradient is wanted and nothing is traced for another runtime."""
    traced = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined, no-untyped-call]
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled() and not traced


def linear(x: Tensor, layer: nn.Linear, then: Literal["none", "relu", "gelu"] = "none") -> Tensor:
    """``layer`` and what follows it, for ``cpu_path`` only.

    PyTorch multiplies float32 with MKL, which is a tenth slower than oneDNN on AMD processors, and it needs a pass of
    its own for the activation. oneDNN's product with the activation inside is an operation for compiled models; where
    a version of PyTorch doesn't have it, the usual one is as good but slower.
    """
    product = _product()
    if product is not None and layer.bias is not None:
        out: Tensor = product(x, layer.weight, layer.bias, then, [], "none" if then == "gelu" else "")
        return out
    out = F.linear(x, layer.weight, layer.bias)
    return out if then == "none" else out.relu_() if then == "relu" else F.gelu(out)


def _product() -> Any:
    usable = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled  # type: ignore[no-untyped-call]
    if not usable:
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
