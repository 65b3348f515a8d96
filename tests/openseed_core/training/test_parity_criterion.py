"""Criterion and matcher against the reference implementation's numbers (spec 8.3 - 8.5)."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from openseed_core.heads import Prediction
from openseed_core.training.criterion import Criterion, Sets, weight_of
from openseed_core.training.matching import Split, Weights
from openseed_core.training.points import Points, uncertain_points
from openseed_core.training.targets import Targets

GOLDEN = Path(__file__).parents[2] / "golden"
SCENARIOS = json.loads((GOLDEN / "criterion.json").read_text())


def _random(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def _boxes(name: str, n: int) -> NDArray[np.float32]:
    g = _random(name)
    centre = g.uniform(0.15, 0.85, (n, 2))
    size = g.uniform(0.05, 0.25, (n, 2))
    return np.concatenate((centre, size), axis=1).astype(np.float32)


def _prediction(tag: str, which: str, queries: int, classes: int) -> Prediction:
    logits = (1.5 * _random(f"crit/{tag}/{which}/logits").standard_normal((2, queries, classes)) - 2).astype(np.float32)
    boxes = np.stack([_boxes(f"crit/{tag}/{which}/boxes/{b}", queries) for b in range(2)])
    masks = None
    if tag.startswith("seg"):
        drawn = 3 * _random(f"crit/{tag}/{which}/masks").standard_normal((2, queries, 16, 16))
        masks = torch.from_numpy(drawn.astype(np.float32))
    return Prediction(torch.from_numpy(logits), torch.from_numpy(boxes), masks)


def _targets(tag: str, labels: list[list[int]]) -> list[Targets]:
    found = []
    for b, wanted in enumerate(labels):
        masks = None
        if tag.startswith("seg"):
            g = _random(f"crit/{tag}/gt/masks/{b}")
            masks = torch.zeros(len(wanted), 64, 64)
            y, x = (np.mgrid[:64, :64] + 0.5) / 64
            for k in range(len(wanted)):
                cy, cx, r = g.uniform(0.2, 0.8), g.uniform(0.2, 0.8), g.uniform(0.1, 0.35)
                masks[k] = torch.from_numpy(((y - cy) ** 2 + (x - cx) ** 2 < r**2).astype(np.float32))
        boxes = torch.from_numpy(_boxes(f"crit/{tag}/gt/boxes/{b}", len(wanted)))
        found.append(Targets(torch.tensor(wanted, dtype=torch.long), boxes, masks))
    return found


def _points(tag: str, count: int) -> Points:
    """The reference's points, in the order of its calls."""
    calls = {"matcher": 0, "loss": 0}

    def drawn(kind: str, sets: int) -> Tensor:
        g = _random(f"crit/{tag}/{kind}_points/{calls[kind]}")
        calls[kind] += 1
        return torch.from_numpy(g.random((sets, count, 2)).astype(np.float32))

    return Points(count, lambda sets, n: drawn("matcher", sets), lambda logits, n: drawn("loss", len(logits)))


def _sets(tag: str, scenario: dict[str, Any]) -> Sets:
    detection = tag.startswith("det")
    queries, classes = scenario["Q"], scenario["classes"]
    final, *aux = (_prediction(tag, which, queries, classes) for which in ("final", "aux0", "aux1"))
    interm = _prediction(tag, "interm", 400 if detection else queries, classes)
    groups = scenario["scalar"]
    if groups is None:
        return Sets(final, aux, interm)
    counts = [len(labels) for labels in scenario["labels"]]
    most = max(counts)
    used = torch.zeros(2, groups, most, dtype=torch.bool)
    for b, n in enumerate(counts):
        used[b, :, :n] = True
    used = used.flatten(1)
    matches = [(used[b].nonzero()[:, 0], torch.arange(n).repeat(groups)) for b, n in enumerate(counts)]
    denoised = [_prediction(tag, which, most * groups, classes) for which in ("dn", "dn_aux0", "dn_aux1")]
    return Sets(final, aux, interm, denoised, used, groups, matches)


def _criterion(tag: str, scenario: dict[str, Any]) -> Criterion:
    if tag.startswith("det"):
        return Criterion(masks=False, masks_in_cost=False)
    return Criterion(split=Split(300, torch.arange(scenario["classes"]) < 80))


@pytest.mark.parametrize("tag", list(SCENARIOS))
def test_losses_equal_the_reference(tag: str) -> None:
    scenario = SCENARIOS[tag]
    criterion = _criterion(tag, scenario)
    targets = _targets(tag, scenario["labels"])
    losses = criterion(_sets(tag, scenario), targets, _points(tag, scenario["num_points"]))
    wanted = scenario["losses_unweighted"]
    assert set(losses) == set(wanted)
    for name, value in wanted.items():
        assert losses[name].item() == pytest.approx(value, rel=2e-5, abs=1e-6), name
    assert criterion.total(losses).item() == pytest.approx(scenario["weighted_total"], rel=2e-5)


@pytest.mark.parametrize("tag", list(SCENARIOS))
def test_assignments_equal_the_reference(tag: str) -> None:
    scenario = SCENARIOS[tag]
    criterion, sets = _criterion(tag, scenario), _sets(tag, scenario)
    targets, points = _targets(tag, scenario["labels"]), _points(tag, scenario["num_points"])
    predictions = {"final": sets.final, "aux0": sets.aux[0], "aux1": sets.aux[1], "interm": sets.interm}
    for name, wanted in zip(scenario["match_order"], scenario["matches"], strict=True):
        pairs = criterion.matches(predictions[name], targets, points)
        assert [[q.tolist(), t.tolist()] for q, t in pairs] == wanted, name


def test_weights_equal_the_reference_for_every_name() -> None:
    for kind in json.loads((GOLDEN / "criterion_weight_dict.json").read_text()).values():
        table = kind["weights"]
        assert {name: weight_of(name, Weights()) for name in table} == table


def test_uncertain_points_equal_the_reference() -> None:
    logits = (3 * _random("crit/unc/logits").standard_normal((3, 1, 16, 16))).astype(np.float32)[:, 0]
    draws = iter(range(2))

    def draw(sets: int, points: int) -> Tensor:
        return torch.from_numpy(_random(f"crit/unc/rand/{next(draws)}").random((sets, points, 2)).astype(np.float32))

    found = uncertain_points(torch.from_numpy(logits), 64, draw)
    with np.load(GOLDEN / "criterion_uncertain_points.npz") as golden:
        np.testing.assert_allclose(found.numpy(), golden["coords"], atol=1e-6)
