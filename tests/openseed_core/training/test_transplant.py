"""After the transplant the selection scores tokens as the detector scores cells, without having learned anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from openseed_core.decoder import Memory
from openseed_core.model import OpenSeeD
from openseed_core.training.conditioned import encoded
from openseed_core.training.nanodet_teacher import CLASSES, NanoDet
from openseed_core.training.transplant import read_detector
from openseed_core.weights.nanodet import load_nanodet, load_neck
from tests.nanodet_file import small_nano, write_nanodet


def memories(model: OpenSeeD, pixels: torch.Tensor) -> list[Memory]:
    with torch.no_grad():
        return [encoded(model, pixels).memory]


def test_the_class_that_the_detector_sees_comes_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = write_nanodet(tmp_path / "n.npz")
    model, teacher = OpenSeeD(small_nano(neck=True)).eval(), NanoDet(path)
    load_nanodet(model.backbone, path)  # type: ignore[arg-type]
    load_neck(model.query_selection.neck, path)
    # names that mean similar things: all near one direction
    text = torch.nn.functional.normalize(torch.randn(1, 256) + 0.7 * torch.randn(CLASSES, 256), dim=-1)
    pixels = torch.randn(4, 3, 96, 96)
    memory = memories(model, pixels)

    def agreement() -> float:
        with torch.no_grad():
            features, _, valid = model.query_selection.features(memory[0])
            found = model.heads.classify(features, text, model.logit_scale).argmax(dim=-1)
            wanted = teacher(pixels)[0].argmax(dim=-1)
            return float((found == wanted)[:, valid].float().mean())

    assert agreement() < 0.1  # its scores are tiny, hence the strength
    read_detector(model, teacher, text, memory, rank=80, strength=300.0)
    assert agreement() > 0.8


def test_masks_for_boxes_stay_bit_for_bit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = write_nanodet(tmp_path / "n.npz")
    model = OpenSeeD(small_nano(neck=True)).eval()
    text = torch.nn.functional.normalize(torch.randn(CLASSES, 256), dim=-1)
    pixels, boxes = torch.randn(1, 3, 96, 96), torch.tensor([[[10.0, 10, 60, 70]]])

    def masks() -> torch.Tensor:
        with torch.no_grad():
            image = encoded(model, pixels)
            return model.masks_for_boxes(image, boxes, text[:1], torch.zeros(1, 1, dtype=torch.long)).masks

    before = masks()
    read_detector(model, NanoDet(path), text, memories(model, pixels))
    assert torch.equal(masks(), before)


def test_a_model_without_a_neck_is_refused(tmp_path: Path) -> None:
    model = OpenSeeD(small_nano())
    with pytest.raises(ValueError, match="neck = true"):
        read_detector(model, NanoDet(write_nanodet(tmp_path / "n.npz")), torch.randn(CLASSES, 256), [])
