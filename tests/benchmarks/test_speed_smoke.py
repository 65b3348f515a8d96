"""Do the benchmarks run, and do their numbers follow from what was measured? No time is asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.contestants import Spec, Stages, build
from benchmarks.measure import Bar, box_count, click, paired_ratio, run_rounds
from benchmarks.photos import BUNDLED, SpeedPhoto, find_photos, parse_size, random_box, resized, with_boxes
from benchmarks.quality import match, read_quality
from benchmarks.speed import bars, compare, main
from benchmarks.table import as_markdown, as_text
from benchmarks.team import Team, WorkerFailed
from benchmarks.worker import flops, serve, timed

RECTANGLE = Spec("rectangle", "labeler", preset="rectangle", random_weights=False)
TINY = (
    Spec(
        "nano",
        "openseed",
        preset="nano",
        sizes={
            "hidden_dim": 32,
            "joint_dim": 32,
            "text_width": 32,
            "text_layers": 1,
            "decoder_layers": 1,
            "image_short_side": 64,
            "image_long_side": 96,
            "zoom_side": 64,
        },
    ),
    Spec(
        "sam-vit-b",
        "sam",
        sizes={
            "vision_config": {
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 64,
                "window_size": 2,
                "global_attn_indexes": [1],
                "output_channels": 32,
                "num_pos_feats": 16,
                "mlp_dim": 64,
            },
            "prompt_encoder_config": {"hidden_size": 32, "image_size": 64, "image_embedding_size": 4},
            "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2},
        },
    ),
    Spec(
        "sam2-tiny",
        "sam2",
        sizes={
            "vision_config": {
                "backbone_config": {
                    "model_type": "sam2_hiera_det_model",
                    "image_size": [64, 64],
                    "hidden_size": 8,
                    "blocks_per_stage": [1, 1, 1, 1],
                    "embed_dim_per_stage": [8, 16, 32, 64],
                    "num_attention_heads_per_stage": [1, 1, 1, 1],
                    "global_attention_blocks": [],
                },
                "backbone_channel_list": [64, 32, 16, 8],
                "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
                "fpn_hidden_size": 32,
            },
            "prompt_encoder_config": {"hidden_size": 32, "image_size": 64},
            "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 32, "num_attention_heads": 2},
        },
    ),
)


@pytest.fixture
def photos(tmp_path: Path) -> list[SpeedPhoto]:
    return with_boxes(resized(find_photos(BUNDLED, limit=2), (96, 72), tmp_path / "photos"), count=5)


def scripted(seconds: dict[str, list[float]]) -> Callable[..., Any]:
    """Answers in the place of workers: each contestant's next time."""
    left = {name: iter(values) for name, values in seconds.items()}

    def ask(name: str, do: str, /, **details: Any) -> Any:
        if do == "click":
            return [next(left[name]) for _ in details["photo"]["boxes"]]
        count = len(details["photo"]["boxes"])
        one = next(left[name])
        return {"seconds": one, "stages": {"encode": one}, "calls": {"encode": 2}, "rows": count, "masks": count}

    return ask


def test_ratios_are_paired(photos: list[SpeedPhoto]) -> None:
    """The load changes from round to round; slow is 4 times as slow in each pair but one, where it is hit alone."""
    fast = [9.0, 1.0, 2.0, 5.0, 1.0, 3.0, 3.0]
    slow = [9.0, 4.0, 8.0, 20.0, 400.0, 12.0, 12.0]
    times = run_rounds(scripted({"a": fast, "b": slow}), ["a", "b"], photos, rounds=3, tick=lambda: None)
    assert paired_ratio(times["b"], times["a"]) == 4.0
    assert paired_ratio(times["a"], times["b"]) == 0.25
    assert times["a"].by_photo() == [3.0, 2.0]  # rounds 1, 5, 3 of the first photo, 2, 1, 3 of the second
    assert times["a"].seconds() == 2.5
    assert times["a"].stages() == {"encode": 2.5}
    assert times["a"].encodes() == 2


def test_every_contestant_comes_first_in_turn(photos: list[SpeedPhoto]) -> None:
    asked: list[str] = []

    def ask(name: str, do: str, /, **details: Any) -> Any:
        asked.append(name)
        return {"seconds": 1.0, "stages": {}, "calls": {}, "rows": 1, "masks": 1}

    run_rounds(ask, ["a", "b"], photos, rounds=2, tick=lambda: None)
    assert asked == ["a", "b", *"ab", *"ba", *"ba", *"ab"]


def test_box_count_and_clicks(photos: list[SpeedPhoto]) -> None:
    counted = box_count(scripted({"a": [9, 9, 1, 1.5, 2, 3, 1, 9]}), "a", photos[0], few=1, rounds=3)
    assert (counted.few, counted.many, counted.ratio) == (1, 5, 1.5)
    assert (counted.few_seconds, counted.many_seconds) == (1, 3)
    found = click(scripted({"a": [9, *range(5), *range(5, 10)]}), "a", photos[0], new_crop=True, rounds=2)
    assert (found.median, found.high, found.count) == (4.5, 9, 10)


def test_bars_have_two_directions() -> None:
    assert Bar("", 25.0, 25.0, at_least=True).met
    assert not Bar("", 24.9, 25.0, at_least=True).met
    assert Bar("", 1.99, 2.0, at_least=False).met
    assert not Bar("", 2.0, 2.0, at_least=False).met


def test_inner_stage_is_taken_out_of_the_outer(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 4.0, 10.0])
    monkeypatch.setattr("benchmarks.contestants.time.perf_counter", lambda: next(clock))
    stages = Stages()
    with stages("finish"), stages("encode"):
        pass
    assert stages.seconds == {"encode": 3.0, "finish": 7.0}
    assert stages.calls == {"encode": 1, "finish": 1}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5000), st.integers(1, 5000))
def test_boxes_lie_in_the_photo(seed: int, height: int, width: int) -> None:
    x0, y0, x1, y1 = random_box(np.random.default_rng(seed), height=height, width=width)
    assert 0 <= x0 < x1 <= width + 1e-9
    assert 0 <= y0 < y1 <= height + 1e-9
    assert max(x1 - x0, y1 - y0) <= max(0.8 * max(height, width), 1) + 1e-9


def test_boxes_have_the_stated_sizes_and_follow_from_the_seed() -> None:
    random = np.random.default_rng(1)
    boxes = np.array([random_box(random, height=480, width=640) for _ in range(2000)])
    longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert longer.min() >= 16 - 1e-9
    # log-uniform: half of the boxes lie below the geometric mean of 16 and 512
    assert abs(float((longer < np.sqrt(16 * 512)).mean()) - 0.5) < 0.04
    again = np.random.default_rng(1)
    assert tuple(boxes[0]) == random_box(again, height=480, width=640)


def test_sizes() -> None:
    assert parse_size("640x480") == (640, 480)
    with pytest.raises(ValueError, match="WIDTHxHEIGHT"):
        parse_size("640")


def test_real_workers(photos: list[SpeedPhoto], tmp_path: Path) -> None:
    """Two processes without a model, through every measurement, and into every output."""
    twin = Spec("twin", "labeler", preset="rectangle", random_weights=False)
    result = compare([RECTANGLE, twin], {"96x72": photos}, threads=1, rounds=2)
    numbers = result["sizes"]["96x72"]["rectangle"]
    assert numbers["mask_share"] == 1.0
    assert numbers["boxes_per_second"] == pytest.approx(5 * numbers["photos_per_second"])
    assert numbers["peak_mb"] >= result["contestants"]["rectangle"]["loaded_mb"] > 5
    assert result["bars"] == []
    assert json.loads(json.dumps(result)) == result
    assert "rectangle" in as_text(result)
    assert "| twin |" in as_markdown(result)


def test_a_worker_that_fails_says_why(photos: list[SpeedPhoto]) -> None:
    with (
        Team([Spec("odd", "labeler", preset="unheard-of")], threads=1) as team,
        pytest.raises(WorkerFailed, match="unheard-of"),
    ):
        team.ask("odd", "facts")
    missing = SpeedPhoto("/nowhere/a.jpg", 10, 10, photos[0].boxes, photos[0].names)
    replies: list[dict[str, Any]] = []
    lines = [json.dumps({"do": "label", "photo": one.as_json()}) for one in (missing, photos[0])]
    serve(RECTANGLE, lines, lambda text: replies.append(json.loads(text)))
    assert replies[0] == {"result": "ready"}
    assert "/nowhere" in replies[1]["error"]
    assert replies[2]["result"]["masks"] == 5, "the next photo is answered"


@pytest.mark.parametrize("spec", TINY, ids=lambda spec: spec.name)
def test_each_model_makes_one_mask_for_each_box(spec: Spec, photos: list[SpeedPhoto]) -> None:
    contestant = build(spec)
    stages = Stages()
    masks = contestant.label(photos[0], stages)
    assert len(masks) == 5
    assert all(mask is None or list(mask["size"]) == [72, 96] for mask in masks)
    assert set(stages.seconds) == {"read", "encode", "decode", "finish"}
    assert timed(contestant, photos[0])["rows"] == 5
    clicks = contestant.click(photos[0].first(2), new_crop=False)
    assert len(clicks) == 2
    assert contestant.facts()["parameters"] > 1000
    few, many = flops(contestant, photos[0].first(1)), flops(contestant, photos[0])
    assert 0 < few < many


def test_the_encoder_alone_makes_no_masks(photos: list[SpeedPhoto]) -> None:
    contestant = build(Spec("tinyvit-5m", "tinyvit", sizes={"side": 64}))
    stages = Stages()
    assert contestant.label(photos[0], stages) == [None] * 5
    assert set(stages.seconds) == {"read", "encode"}
    assert contestant.facts()["parameters"] > 4e6


def test_every_runtime_of_nano_has_the_bars() -> None:
    ratios = {"nano-openvino": {"sam-vit-b": 49.0, "tinyvit-5m": 8.5}}
    clicks = {"nano-openvino": {"encoded": {"median": 0.019}}}
    found = bars({"ratios": {"640x480": ratios}, "box_count": {}, "click": {"640x480": clicks}})
    assert [(bar.limit, bar.met) for bar in found] == [(50.0, False), (8.0, True), (0.02, True)]
    assert all(bar.title.startswith("nano-openvino") for bar in found)


def test_zoom_encodes_crops_and_the_plain_labeler_one_photo(photos: list[SpeedPhoto]) -> None:
    contestant = build(TINY[0])
    calls = {zoom: timed(contestant, photos[0], zoom=zoom)["calls"]["encode"] for zoom in (True, False)}
    assert calls[False] == 1
    assert calls[True] > 1


def test_flops_count_attention_and_products_in_inference_mode() -> None:
    torch = pytest.importorskip("torch")

    class One:
        layer = torch.nn.MultiheadAttention(8, 2, batch_first=True).eval()

        @torch.inference_mode()
        def label(self, photo: Any, stages: Any, *, zoom: bool = True) -> list[Any]:
            tokens = torch.zeros(1, 16, 8)
            return [self.layer(tokens, tokens, tokens, need_weights=False)]

    projections = 4 * 2 * 16 * 8 * 8
    attention = 2 * 2 * 16 * 16 * 8  # queries x keys, weights x values
    assert flops(One(), None) == projections + attention  # type: ignore[arg-type]


def test_quality_counts_only_for_the_same_version(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    path.write_text(json.dumps({"labelers": [{"labeler": "conditioned", "version": "a", "iou": {"all": 0.8}}]}))
    quality = read_quality([path])
    assert match(quality, kind="openseed", preset="nano", version="a") == {"all": 0.8}
    assert match(quality, kind="openseed", preset="nano", version="b") is None
    assert match(quality, kind="labeler", preset="rectangle", version="a") is None
    path.write_text("[]")
    with pytest.raises(ValueError, match=r"quality\.json"):
        read_quality([path])


def test_bars_and_tables_of_a_whole_document() -> None:
    """A document as ``compare`` makes it, with round numbers."""
    numbers = {"seconds": 0.5, "photos_per_second": 2.0, "boxes_per_second": 40.0, "by_photo": [0.5], "encodes": 3}
    numbers |= {"stages": {"read": 0.1, "encode": 0.4}, "mask_share": 1.0, "peak_mb": 500.0, "flops": 2_500_000_000}
    facts = {"kind": "openseed", "weights": "shipped", "version": "a", "parameters": 2_000_000, "input": "192x192"}
    result: dict[str, Any] = {
        "machine": {"processor": "cpu", "cores": 2, "threads": 2, "python": "3", "torch": "2", "transformers": "5"}
        | {"load_before": [3.0, 1.0, 1.0]},
        "contestants": {
            "nano": {**facts, "iou": {"all": 0.7712}},
            "sam-vit-b": {**facts, "weights": "random", "iou": None},
        },
        "sizes": {"640x480": {"nano": numbers, "sam-vit-b": numbers}},
        "ratios": {"640x480": {"nano": {"sam-vit-b": 51.0, "sam2-tiny": 7.0}}},
        "box_count": {"nano": {"few": 1, "many": 100, "few_seconds": 0.1, "many_seconds": 0.25, "ratio": 2.5}},
        "click": {"640x480": {"nano": {"encoded": {"median": 0.012, "high": 0.02, "count": 9}}}},
    }
    found = bars(result)
    assert [bar.met for bar in found] == [True, False, False, True]
    result["bars"] = [
        {"title": bar.title, "value": bar.value, "limit": bar.limit, "at_least": bar.at_least, "met": bar.met}
        for bar in found
    ]
    text = as_text(result)
    assert "load 3.0" in text
    assert "51.0 x" in text
    assert "77.1" in text
    assert "12.0" in text
    assert "Random weights, so no IoU: sam-vit-b." in text
    assert as_markdown(result).count("| nano |") == 3


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = {name: tmp_path / f"speed.{name}" for name in ("json", "markdown", "png")}
    words = ["--models", "rectangle", "--sizes", "64x48,32x24", "--count", "1", "--boxes", "3", "--rounds", "1"]
    words += ["--threads", "1", "--json", str(out["json"]), "--markdown", str(out["markdown"])]
    assert main([*words, "--plot", str(out["png"]), "--quiet"]) == 0
    assert list(json.loads(out["json"].read_text())["sizes"]) == ["32x24", "64x48"], "smallest first"
    assert out["png"].read_bytes().startswith(b"\x89PNG")
    assert "32x24" in capsys.readouterr().out
    assert main(["--models", "nobody"]) == 2
    assert "choose from" in capsys.readouterr().err
