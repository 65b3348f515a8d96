"""A neck is added without changing one answer, comes nearer to the detector's, and is listened to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import fit_neck
from openseed_core.config import OpenSeeDConfig
from openseed_core.model import OpenSeeD
from openseed_core.training.nanodet_teacher import NanoDet
from openseed_core.training.photos import Jitter
from openseed_core.weights.store import load_model, save_model
from tests.nanodet_file import small_nano, write_nanodet


def config() -> OpenSeeDConfig:
    return small_nano(hidden_dim=64, joint_dim=16, background_queries=2)


@torch.no_grad()
def test_a_new_neck_changes_no_answer(tmp_path: Path) -> None:
    old = OpenSeeD(config()).eval()
    new = fit_neck.grown(old, write_nanodet(tmp_path / "n.npz"))
    pixels = torch.randn(1, 3, 64, 64)
    text = torch.nn.functional.normalize(torch.randn(3, 16), dim=-1)
    before, after = old(pixels, text), new(pixels, text)
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.boxes, before.boxes)


def test_the_neck_alone_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_neck, "SIDE", 96)
    monkeypatch.setattr(fit_neck, "JITTER", Jitter(size=96, scale=(0.7, 1.5)))
    monkeypatch.setattr(fit_neck, "BATCH", 2)
    monkeypatch.setattr(fit_neck, "PHOTOS", 4)
    teacher = write_nanodet(tmp_path / "n.npz")
    old = OpenSeeD(config())
    for parameter in old.backbone.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    save_model(old, tmp_path / "old")
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), np.uint8)).save(tmp_path / "photos" / f"{i}.png")
    options = ["--teacher", str(teacher), "--photos", str(tmp_path / "photos"), "--steps", "12"]
    fit_neck.main(["--init", str(tmp_path / "old"), *options, "--output", str(tmp_path / "new")])
    start = fit_neck.grown(load_model(tmp_path / "old"), teacher)
    new, detector = load_model(tmp_path / "new"), NanoDet(teacher)
    changed = {
        key.rsplit(".", 1)[0] if "neck" in key or "evidence" in key else key
        for key, value in new.state_dict().items()
        if not torch.equal(value, start.state_dict()[key].half().float()) and "token_embedding" not in key
    }
    of_neck = {key for key in changed if ".neck." in key}
    assert len(of_neck) == 6  # three laterals, three towers
    evidence = {f"query_selection.evidence.{i}" for i in range(3)}
    assert changed - of_neck == evidence | {"heads.class_embed"}
    files = sorted((tmp_path / "photos").iterdir())
    pixels = fit_neck._drawn(files, np.random.default_rng(0), new.config)

    @torch.no_grad()
    def far(model: OpenSeeD) -> float:
        found = model.query_selection.neck(fit_neck._sources(model.backbone(pixels)))
        target = detector.neck(fit_neck._sources(detector.backbone(pixels)))
        return float(fit_neck.distance(found, target, detector, detector(pixels)[0]))

    assert far(new) < far(start)
