"""One forward and backward pass of the decoupled Swin-T model against the reference (spec section 8)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import torch
from torch import Tensor

from openseed_core.model import OpenSeeD
from openseed_core.preprocess import NetworkInput, prepare
from openseed_core.training.criterion import Criterion, Sets
from openseed_core.training.joint import predict_sets
from openseed_core.training.matching import Split
from openseed_core.training.points import Points
from openseed_core.training.targets import Targets
from openseed_core.weights.official import official_names

GOLDEN = Path(__file__).parents[2] / "golden"
WANTED = json.loads((GOLDEN / "train_step.json").read_text())
CONFIG = "swint_lang_o365_decouple"
HEIGHT, WIDTH = 160, 224

pytestmark = pytest.mark.slow


def _random(name: str, *shape: int) -> Tensor:
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return torch.from_numpy(generator.random(shape).astype(np.float32))


@dataclass(frozen=True)
class Step:
    """What our model makes of one task: predictions, losses, and a backward pass over a part of them."""

    model: OpenSeeD
    sets: Sets
    losses: dict[str, Tensor]
    criterion: Criterion
    text: Tensor

    def norms(self, *, without_class: bool) -> tuple[dict[str, tuple[float, float]], float]:
        """(L2 norm, sum) of the gradient by official name, and the norm over all parameters."""
        chosen = {k: v for k, v in self.losses.items() if not (without_class and "mask_cls" in k)}
        self.model.zero_grad()
        self.criterion.total(chosen).backward(retain_graph=True)
        found, square = {}, 0.0
        for name, parameter in self.model.named_parameters():
            if parameter.grad is None:
                continue
            gradient = parameter.grad.double()
            square += gradient.square().sum().item()
            found[official_names(name, self.model.config)[0]] = (gradient.norm().item(), gradient.sum().item())
        return found, square**0.5


@pytest.fixture(scope="module")
def model() -> OpenSeeD:
    built = reference.build(CONFIG, text=True)
    with torch.no_grad():
        built.text_encoder.logit_scale.fill_(1.0)
    return built


def _targets(task: str) -> list[Targets]:
    found = []
    y, x = (np.mgrid[:HEIGHT, :WIDTH] + 0.5) / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
    for b, labels in enumerate(WANTED[task]["labels"]):
        g = np.random.Generator(np.random.PCG64(zlib.crc32(f"train/{task}/masks/{b}".encode())))
        masks, boxes = [], []
        for _ in labels:
            cy, cx, r = g.uniform(0.2, 0.8), g.uniform(0.2, 0.8), g.uniform(0.1, 0.35)
            mask = (y - cy) ** 2 + (x - cx) ** 2 < r**2
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            boxes.append([(x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT])
            masks.append(mask)
        stack = torch.from_numpy(np.stack(masks)).float()
        wanted = Targets(torch.tensor(labels), torch.tensor(boxes, dtype=torch.float32), stack)
        found.append(wanted if task == "seg" else wanted.with_masks(None))
    return found


def _points(task: str) -> Points:
    calls = {"matcher": 0, "loss": 0}

    def drawn(kind: str) -> Callable[[int], Tensor]:
        def draw(sets: int) -> Tensor:
            calls[kind] += 1
            return _random(f"train/{task}/{kind}_points/{calls[kind] - 1}", sets, 256, 2)

        return draw

    matcher, loss = drawn("matcher"), drawn("loss")
    return Points(256, lambda sets, n: matcher(sets), lambda logits, n: loss(len(logits)))


@pytest.fixture(scope="module", params=["seg", "det"])
def step(request: pytest.FixtureRequest, model: OpenSeeD) -> tuple[str, Step]:
    task = request.param
    with np.load(GOLDEN / f"{CONFIG}_a.npz") as file:
        image = np.ascontiguousarray(file["image_uint8"].transpose(1, 2, 0))
    pixels = prepare([image], mean=model.config.mean, std=model.config.std).pixels
    batch = torch.cat((pixels, pixels.flip(-1)))
    names = json.loads((GOLDEN / "coco_training_names.json").read_text())
    text = model.text_encoder.encode_texts([f"a photo of a {name}." for name in names])
    features = model.encode_input(NetworkInput(batch, ((HEIGHT, WIDTH),) * 2))
    targets = _targets(task)
    sets = predict_sets(
        model,
        features,
        text,
        targets,
        draw=lambda rows: _random(f"train/{task}/dn_noise", rows, 4),
        detection=task == "det",
        masks=task == "seg",
    )
    if task == "seg":
        criterion = Criterion(split=Split(300, torch.arange(len(names)) < 80))
    else:
        criterion = Criterion(masks=False, masks_in_cost=False)
    losses = criterion(sets, targets, _points(task))
    return task, Step(model, sets, losses, criterion, text)


def test_predictions(step: tuple[str, Step]) -> None:
    task, found = step
    with np.load(GOLDEN / "train_step.npz") as file:
        golden = {key[4:]: file[key] for key in file.files if key.startswith(task)}
        text = file["text_single_template_133_s"]
    np.testing.assert_allclose(found.text[:, ::16].detach(), text, atol=1e-4)
    denoised, final = found.sets.denoised, found.sets.final
    np.testing.assert_allclose(denoised[1].boxes[:, :40].detach(), golden["dn_init_boxes"], atol=1e-6)
    np.testing.assert_allclose(denoised[0].boxes[:, :40].detach(), golden["dn_pred_boxes"], atol=1e-4)
    np.testing.assert_allclose(denoised[0].logits[:, :40, ::8].detach(), golden["dn_pred_logits_s"], atol=2e-3)
    # a near-tie in the selection may swap two rows
    same = np.abs(final.boxes[:, ::10].detach().numpy() - golden["pred_boxes"]).max(-1) < 1e-3
    assert same.mean() > 0.95


def test_losses(step: tuple[str, Step]) -> None:
    task, found = step
    wanted: dict[str, Any] = WANTED[task]
    assert set(found.losses) == set(wanted["losses_unweighted"])
    for name, value in wanted["losses_unweighted"].items():
        assert found.losses[name].item() == pytest.approx(value, rel=1e-3, abs=1e-5), name
    assert found.criterion.total(found.losses).item() == pytest.approx(wanted["weighted_total"], rel=1e-3)


@pytest.mark.parametrize("suffix", ["", "_without_class"])
def test_gradients(step: tuple[str, Step], suffix: str) -> None:
    task, found = step
    wanted = WANTED[task]
    norms, total = found.norms(without_class=bool(suffix))
    assert total == pytest.approx(wanted[f"total_grad_norm{suffix}"], rel=0.02)
    for name, norm_and_sum in wanted[f"grad_norm_and_sum{suffix}"].items():
        norm = norm_and_sum[0] if norm_and_sum else 0.0
        assert norms.get(name, (0.0, 0.0))[0] == pytest.approx(norm, rel=0.02, abs=1e-6 * total), name
