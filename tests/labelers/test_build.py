"""Labelers by name, and that nothing heavy is imported before one is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labelers.build import LABELERS, UnknownLabeler, build_labeler
from labelers.grabcut import GrabCutLabeler
from labelers.rectangle import RectangleLabeler

ROOT = Path(__file__).resolve().parents[2]


def test_baselines_are_built() -> None:
    assert build_labeler("grabcut", model="ignored") == GrabCutLabeler()
    assert build_labeler("rectangle") == RectangleLabeler()


def test_the_model_gets_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class ConditionedLabeler:
        @staticmethod
        def from_model(**options: Any) -> str:
            asked.update(options)
            return "the model"

    module = ModuleType("labelers.conditioned")
    module.ConditionedLabeler = ConditionedLabeler  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "labelers.conditioned", module)
    built = build_labeler(model="swin-t", weights=Path("w.pt"), device="cpu", context="joint", zoom=False)
    assert built == "the model"
    assert asked == {
        "model_name": "swin-t",
        "weights": Path("w.pt"),
        "device": "cpu",
        "context": "joint",
        "zoom": False,
    }


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownLabeler, match="conditioned, grabcut, rectangle"):
        build_labeler("sam")
    assert LABELERS[0] == "conditioned"


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    modules = "build, driver, frames, journal, photos, protocol, records, rectangle, refine, vocabulary"
    code = (
        f"import sys; from labelers import {modules}; build.build_labeler('rectangle');"
        "print([name for name in ('torch', 'transformers', 'timm', 'cv2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
