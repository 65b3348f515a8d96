"""OpenVINO beside torch: the same masks, one shape at a time, converted once. A small model without training."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("openvino", reason="needs the extra openvino")

from openseed_core.config import nano  # noqa: E402
from openseed_core.model import OpenSeeD  # noqa: E402
from openseed_core.runtimes import openvino_runtime  # noqa: E402
from openseed_core.runtimes.errors import RuntimeUnavailable  # noqa: E402
from openseed_core.runtimes.openvino_runtime import OpenVINORuntime, require  # noqa: E402
from openseed_core.runtimes.runtime import TorchRuntime  # noqa: E402

SIDE, CHUNK = 64, 3


@pytest.fixture(scope="module")
def model() -> OpenSeeD:
    torch.manual_seed(0)
    made = OpenSeeD(nano(zoom_side=SIDE)).eval()
    with torch.no_grad():  # what starts at zero would hide mistakes: box encoding, offsets, refinement
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def runtime(model: OpenSeeD, cache: Path) -> OpenVINORuntime:
    return OpenVINORuntime.of(model, chunk=CHUNK, cache=cache)


def _crop(seed: int, side: int = SIDE) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def _asked(model: OpenSeeD, count: int = CHUNK) -> tuple[Any, Any]:
    random = torch.Generator().manual_seed(1)
    low = torch.rand(1, count, 2, generator=random) * 30
    boxes = torch.cat((low, low + 5 + torch.rand(1, count, 2, generator=random) * 40), dim=-1)  # some reach outside
    return boxes, torch.randn(count, model.config.joint_dim, generator=random)


@pytest.mark.parametrize("size", [(SIDE, SIDE), (40, SIDE)])
@torch.inference_mode()
def test_the_same_features_and_logits_as_torch(model: OpenSeeD, runtime: OpenVINORuntime, size: Any) -> None:
    crop = _crop(0)
    crop[size[0] :] = 0
    ours, theirs = runtime.encode([crop], size), TorchRuntime(model).encode([crop], size)
    assert ours.sizes == theirs.sizes
    assert ours.padded == theirs.padded
    assert ours.memory.shapes == theirs.memory.shapes
    torch.testing.assert_close(ours.memory.tokens, theirs.memory.tokens, atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.memory.mask_features, theirs.memory.mask_features, atol=1e-3, rtol=0)
    boxes, text = _asked(model)
    logits = TorchRuntime(model).masks(theirs, boxes, text)
    assert logits.std() > 0.01, "nothing to compare"
    torch.testing.assert_close(runtime.masks(ours, boxes, text), logits, atol=1e-3, rtol=0)


@torch.inference_mode()
def test_images_of_one_call_do_not_touch_each_other(model: OpenSeeD, runtime: OpenVINORuntime) -> None:
    crops = [_crop(0), _crop(1)]
    both = runtime.encode(crops, (SIDE, SIDE))
    boxes, text = _asked(model)
    masks = runtime.masks(both, boxes.expand(2, -1, -1), text)
    for i, crop in enumerate(crops):
        alone = runtime.encode([crop], (SIDE, SIDE))
        assert torch.equal(alone.memory.tokens[0], both.memory.tokens[i])
        assert torch.equal(runtime.masks(alone, boxes, text)[0], masks[i])
    assert not torch.equal(masks[0], masks[1])


@torch.inference_mode()
def test_a_mask_is_the_same_beside_others_and_in_every_thread(model: OpenSeeD, runtime: OpenVINORuntime) -> None:
    features = runtime.encode([_crop(0)], (SIDE, SIDE))
    boxes, text = _asked(model)
    together = runtime.masks(features, boxes, text)
    for k in range(CHUNK):
        alone = runtime.masks(features, boxes[:, [k] * CHUNK], text[[k] * CHUNK])
        assert torch.equal(alone[0, 0], together[0, k])
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda seed: runtime.encode([_crop(seed)], (SIDE, SIDE)), [0, 1] * 6))
    assert all(torch.equal(found.memory.tokens, features.memory.tokens) for found in again[::2])


@torch.inference_mode()
def test_other_shapes_are_left_to_torch(model: OpenSeeD, runtime: OpenVINORuntime) -> None:
    whole = _crop(0, side=96)
    features = runtime.encode([whole], (96, 96))
    assert torch.equal(features.memory.tokens, TorchRuntime(model).encode([whole], (96, 96)).memory.tokens)
    boxes, text = _asked(model, count=5)
    assert runtime.masks(features, boxes, text).shape == (1, 5, 24, 24)
    assert runtime.masks(runtime.encode([_crop(0)], (SIDE, SIDE)), boxes, text).shape == (1, 5, 16, 16)


def test_the_second_start_converts_nothing(
    model: OpenSeeD, runtime: OpenVINORuntime, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def graphs(*args: Any, **options: Any) -> Any:
        raise RuntimeError("converted again")

    monkeypatch.setattr(openvino_runtime, "graphs", graphs)
    again = OpenVINORuntime.of(model, chunk=CHUNK, cache=cache)
    crop = _crop(0)
    found = [one.encode([crop], (SIDE, SIDE)).memory.mask_features for one in (runtime, again)]
    assert torch.equal(*found)
    with pytest.raises(RuntimeUnavailable, match=r"converted again.*leave --runtime out"):
        OpenVINORuntime.of(model, chunk=CHUNK + 1, cache=cache)


@pytest.mark.slow  # two quantisations
@torch.inference_mode()
def test_int8_is_close_and_repeatable(model: OpenSeeD, runtime: OpenVINORuntime, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="needs the extra openvino")
    crops = [(_crop(seed), (SIDE, SIDE)) for seed in range(4)]
    found = [
        OpenVINORuntime.of(model, chunk=CHUNK, crops=lambda: crops, cache=tmp_path / name).encode(
            [_crop(9)], (SIDE, SIDE)
        )
        for name in ("a", "b")
    ]
    exact = runtime.encode([_crop(9)], (SIDE, SIDE)).memory.mask_features
    ours = [one.memory.mask_features for one in found]
    assert torch.equal(*ours)
    error = (ours[0] - exact).pow(2).mean().sqrt() / exact.std()
    assert 1e-4 < error < 0.3


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_runtime, "find_spec", lambda name: None if name == "nncf" else object())
    require(int8=False)
    with pytest.raises(RuntimeUnavailable, match=r"nncf; run: pip install \"openseed-label\[openvino\]\""):
        require(int8=True)
