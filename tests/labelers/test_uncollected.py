"""Building the labeler: what it must not import, and a collector that is back afterwards."""

from __future__ import annotations

import gc
import json
import subprocess
import sys

import pytest

from labelers.uncollected import uncollected

# Each takes a tenth of a second to seconds to import, and a mask needs none of them.
SLOW = ("torch._dynamo", "sympy", "scipy", "torchvision", "timm", "accelerate", "transformers.modeling_utils")

PROGRAM = """
import gc, json, sys
from labelers.build import build_labeler
build_labeler("conditioned", device="cpu")
print(json.dumps([gc.isenabled(), sorted(sys.modules)]))
"""


def test_building_nano_imports_nothing_that_is_slow_and_not_needed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    collecting, modules = json.loads(done.stdout.splitlines()[-1])
    assert collecting
    assert "torch" in modules
    assert not set(SLOW) & set(modules)


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    inside = []

    @uncollected()
    def failing() -> None:
        inside.append(gc.isenabled())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert inside == [False]
    assert gc.isenabled()
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
