"""Labelers by name, and that nothing heavy is imported before one is built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from labelers.build import LABELERS, UnknownDevice, UnknownLabeler, build_labeler, identity
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
    options = {"model": "swin-t", "weights": Path("w.pt"), "device": "cpu", "context": "joint", "zoom": False}
    compiled = {"runtime": "openvino-int8", "calibration": Path("photos")}
    built = build_labeler(**options, **compiled, batch_size=3, mirror=True)
    assert built == "the model"
    assert asked == {
        "model_name": "swin-t",
        "weights": Path("w.pt"),
        "device": "cpu",
        "context": "joint",
        "zoom": False,
        "chunk": 3,
        "mirror": True,
        "runtime": "openvino-int8",
        "calibration": Path("photos"),
    }
    build_labeler(**options)
    assert asked["chunk"] is None
    assert asked["runtime"] == "torch"


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named_before_anything_is_loaded(device: str) -> None:
    with pytest.raises(UnknownDevice, match=f"{device}.*use auto, cpu or cuda"):
        build_labeler(model="no such model either", device=device)


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


def test_what_a_labeler_would_be_is_known_without_building_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    names = {identity(weights=first), identity(weights=second), identity(weights=first, mirror=True), identity()}
    names.add(identity(weights=first, runtime="openvino"))
    assert len(names) == 5
    assert identity("grabcut") == "grabcut"
    assert identity(model="swin-l-that-nobody-has") == "swin-l-that-nobody-has-unknown"
