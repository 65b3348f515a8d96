"""What Label Studio draws of a proposal is the mask that the labeler made, pixel for pixel.

The brush is decoded by Label Studio's own converter, not by ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from backend_client import backend, captured
from fakes import FakeFinder, FakeFound
from label_studio_sdk.converter.brush import decode_from_annotation
from photo_site import Site, photo_site, picture

from app.label_studio.settings import Answering
from exporters.masks import decode, encode
from labelers.build import build_labeler
from labelers.protocol import Labeler, LabelerSpec
from labelers.records import Boxes, Instances, Photo, Status
from labelers.vocabulary import Vocabulary

CONFIG = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image" model_score_threshold="0.05">
<Label value="person"/><Label value="cat"/><Label value="wall" model_stuff="true" predicted_values="wall, background"/>
<Label value="sky" model_stuff="true"/></BrushLabels></View>"""
ASTRONAUT = Path(__file__).parents[3] / "app" / "examples" / "photos" / "astronaut.jpg"


@pytest.fixture
def site() -> Iterator[Site]:
    with photo_site() as found:
        yield found


@dataclass(frozen=True)
class Recording:
    """A labeler that keeps what it proposed."""

    labeler: Labeler
    records: list[Instances]

    @property
    def spec(self) -> LabelerSpec:
        return self.labeler.spec

    def open(self, photo: Photo) -> Any:
        return _Recorded(self.labeler.open(photo), self.records)


class _Recorded:
    def __init__(self, opened: Any, records: list[Instances]) -> None:
        self.opened, self.records = opened, records

    def propose(self, vocabulary: Vocabulary) -> Instances:
        found: Instances = self.opened.propose(vocabulary)
        self.records.append(found)
        return found


class Scattered(FakeFinder):
    """Proposes for each class a mask of single pixels, stripes, holes and corners: nothing that a brush would draw."""

    def open(self, photo: Photo) -> FakeFound:
        return _Scattered(self, photo.key, photo.pixels())


class _Scattered(FakeFound):
    def propose(self, vocabulary: Vocabulary) -> Instances:
        height, width = self.pixels.shape[:2]
        rng = np.random.default_rng(0)
        masks = [rng.random((height, width)) < share for share in np.linspace(0.02, 0.98, len(vocabulary.names))]
        for mask in masks:
            mask[:, width // 2 :: 3] = True
            mask[0, 0] = mask[-1, -1] = True
        masks[-1][:] = True
        n = len(masks)
        boxes = Boxes(np.tile(np.array([0, 0, width, height], np.float32), (n, 1)), vocabulary.names)
        return Instances(boxes, tuple(map(encode, masks)), np.full(n, 0.9, np.float32), (Status.OK,) * n)


def compare(site: Site, labeler: Labeler, photo: bytes, *, least: int) -> set[str]:
    """Ask for proposals as Label Studio does, and compare each; returns the labels."""
    site.photos["/data/upload/1/1.png"] = photo
    recording = Recording(labeler, [])
    task = {"id": 1, "data": {"image": "/data/upload/1/1.png"}, "annotations": [], "predictions": []}
    with backend(site, recording, answering=Answering(shape="brush")) as client:
        answer = client.post("/predict", json={**captured("predict_batch"), "tasks": [task], "label_config": CONFIG})
    assert answer.status_code == 200, answer.text
    [result] = answer.json()["results"]
    [found] = recording.records
    assert len(result["result"]) == len(found) >= least
    for region, name, mask in zip(result["result"], found.boxes.names, found.masks, strict=True):
        assert region["value"]["brushlabels"] == [name]
        # an export holds the region's value beside its type and its size
        layers = decode_from_annotation("brush", [{**region, **region["value"]}])
        assert list(layers) == [f"brush-{name}-0"]
        [drawn] = layers.values()
        assert mask is not None
        assert np.array_equal(drawn, np.where(decode(mask), 255, 0))
    return set(found.boxes.names)


@pytest.mark.parametrize(("width", "height"), [(53, 37), (320, 240), (1, 40)])
def test_proposals_of_things_and_stuff(site: Site, width: int, height: int) -> None:
    labels = compare(site, Scattered(), picture(width, height), least=4)
    assert labels == {"person", "cat", "wall", "sky"}


def test_proposals_of_the_model(site: Site) -> None:
    labels = compare(site, build_labeler("conditioned", device="cpu"), ASTRONAUT.read_bytes(), least=2)
    assert "person" in labels
