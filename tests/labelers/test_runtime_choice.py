"""``runtime`` from the labeler's options to its masks, with the embedded model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.examples import PHOTOS
from exporters.masks import decode
from labelers.photos import open_photo
from labelers.records import Boxes
from labelers.vocabulary import Vocabulary

pytest.importorskip("torch")

from labelers.conditioned import ConditionedLabeler
from openseed_core.runtimes.errors import RuntimeUnavailable

BOXES = Boxes(np.array([[100, 60, 300, 260], [30, 20, 90, 110]], np.float32), ("cat", "cup"))


@pytest.mark.slow  # the embedded model is traced and converted twice
@pytest.mark.parametrize(("runtime", "least"), [("openvino", 0.999), ("openvino-int8", 0.8)])
def test_masks_are_those_of_torch_and_the_version_tells(
    runtime: str, least: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    pytest.importorskip("nncf", reason="needs the extra openvino")
    monkeypatch.setenv("OPENSEED_LABEL_CACHE", str(tmp_path))
    ours = ConditionedLabeler.from_model(runtime=runtime, calibration=PHOTOS)
    plain = ConditionedLabeler.from_model(device="cpu")
    assert ours.spec.version == plain.spec.version.replace("-solo", f"-{runtime}-solo")
    assert list((tmp_path / "graphs").iterdir())
    photo = open_photo(PHOTOS, "cat.jpg", key="1")
    found = [labeler.open(photo).masks(BOXES, Vocabulary()) for labeler in (ours, plain)]
    for mine, other in zip(found[0].masks, found[1].masks, strict=True):
        assert mine is not None
        assert other is not None
        a, b = decode(mine), decode(other)
        assert (a & b).sum() / (a | b).sum() >= least
    alone = ours.open(photo).masks(BOXES[[1]], Vocabulary())
    assert alone.masks[0] == found[0].masks[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "openvino", "device": "cuda"}, "works on the CPU; leave out --device cuda"),
        ({"runtime": "openvino", "zoom": False}, "use torch without zoom"),
        ({"runtime": "openvino", "context": "joint"}, "use torch"),
        ({"runtime": "onnx"}, "there is no runtime 'onnx'; use torch, openvino or openvino-int8"),
        ({"runtime": "openvino-int8"}, "needs a folder of photos"),
    ],
)
def test_what_does_not_fit_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises(RuntimeUnavailable, match=message):
        ConditionedLabeler.from_model(**options)  # type: ignore[arg-type]
