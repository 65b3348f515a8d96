"""The simulated annotator, and the comparison of repairs on the bundled photos with a labeler that needs no model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import repair
from benchmarks.clicks import next_click
from benchmarks.repair_fit import logistic

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"


def test_the_click_goes_into_the_middle_of_the_largest_error() -> None:
    truth, mask = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    truth[5:20, 5:30] = True
    mask[5:20, 5:19] = True  # 11 x 15 pixels are missing
    mask[25:28, 5:25] = True  # 3 x 20 are too many
    assert next_click(mask, truth, None) in [(x, y, True) for x in (24,) for y in range(10, 15)]
    mask[5:20, 5:30] = True
    x, y, include = next_click(mask, truth, None) or (0, 0, True)
    assert (y, include) == (26, False)
    assert mask[y, x]
    assert next_click(truth, truth, None) is None


def test_drawn_clicks_stay_in_the_error() -> None:
    truth, mask = np.zeros((30, 40), bool), np.zeros((30, 40), bool)
    truth[5:20, 5:30] = True
    generator = np.random.default_rng(0)
    places = {next_click(mask, truth, generator) for _ in range(40)}
    assert len(places) > 10
    assert all(place is not None and truth[place[1], place[0]] and place[2] for place in places)


@pytest.mark.slow
def test_ways_are_compared_on_the_same_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "repair.json"
    arguments = ["--dataset", str(EXAMPLES / "truth.json"), "--labeler", "rectangle", "--clicks", "2"]
    assert repair.main([*arguments, "--json", str(written)]) == 0
    result = json.loads(written.read_text())
    assert result["objects"] > 0
    assert "clicks to 0.85" in capsys.readouterr().out
    ways = result["ways"]
    assert len(ways) > 3
    assert {way["disobeyed"] for way in ways.values()} == {0}
    assert len({way["iou"]["0"] for way in ways.values()}) == 1
    assert len({way["iou"]["2"] for way in ways.values()}) > 1


def test_nothing_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert repair.main(["--dataset", "/nowhere/truth.json"]) == 2
    assert "/nowhere/truth.json" in capsys.readouterr().err
    assert repair.main(["--dataset", "/nowhere/truth.json", "--ways", "no such way"]) == 2


def test_the_fit_finds_what_made_the_samples() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([np.ones((4000, 1)), generator.normal(size=(4000, 2)) * [1, 50]], axis=1)
    follows = generator.random(4000) < 1 / (1 + np.exp(-values @ np.array([0.5, -1.0, 0.02])))
    found, loss = logistic(values, follows, np.ones(4000))
    assert found == pytest.approx([0.5, -1.0, 0.02], rel=0.25)
    assert 0.3 < loss < 0.7
