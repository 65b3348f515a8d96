"""Labeling configs: names, labels, prompts, thresholds, and what is no config for us."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.label_studio.config import MASK_KINDS, ConfigError, parse_config
from labelers.vocabulary import Entry

CAPTURED = Path(__file__).parent / "captured"


def test_the_captured_config() -> None:
    schema = json.loads((CAPTURED / "setup.json").read_text())["request"]["body"]["schema"]
    config = parse_config(schema)
    assert [(control.name, control.kind) for control in config.controls] == [
        ("rect", "rectangle"),
        ("brush", "brush"),
        ("poly", "polygon"),
        ("kp", "keypoint"),
        ("prompt", "textarea"),
    ]
    assert [control.smart for control in config.controls] == [True, False, False, True, False]
    assert config.sources == {"image": "image"}
    assert config.vocabulary.names == ("cat", "dog")
    assert config.target("cat", image="image", kinds=MASK_KINDS) == config.control("brush")
    assert config.target("cat", image="image", kinds=("polygon",)) == config.control("poly")
    assert config.target("bird", image="image", kinds=MASK_KINDS) is None
    assert config.target("cat", image="other", kinds=MASK_KINDS) is None


def test_what_steers_the_model() -> None:
    config = parse_config(
        """<View><Image name="a" value="$first"/><Image name="b" valueList="$pages"/>
        <RectangleLabels name="odd name" toName="a,b"><Label value="cls_7" predicted_values="traffic light, signal"/>
          <Label value="dog" alias="d"/></RectangleLabels>
        <PolygonLabels name="p" toName="b" model_score_threshold="0.4"><Label value="cls_7"/></PolygonLabels>
        <BrushLabels name="s" toName="a" model_skip="true"><Label value="cls_7"/></BrushLabels>
        <BitmaskLabels name="m" toName="a"><Label value="cls_7"/></BitmaskLabels>
        <Choices name="c" toName="a"><Choice value="x"/></Choices></View>"""
    )
    assert config.sources == {"a": "first", "b": "pages"}
    assert config.vocabulary.entries == (Entry("cls_7", ("traffic light", "signal")), Entry("d", ("dog",)))
    assert [control.name for control in config.controls] == ["odd name", "p", "s", "m"]
    assert config.controls[0].images == ("a", "b")
    assert config.controls[0].labels == ("cls_7", "d")
    assert config.controls[1].threshold == 0.4
    # the brush may not be used, the bitmask is the next best; on the other image only the polygon is there
    assert config.target("cls_7", image="a", kinds=MASK_KINDS) == config.control("m")
    assert config.target("cls_7", image="b", kinds=MASK_KINDS) == config.control("p")


def test_stuff_and_the_thresholds_of_labels() -> None:
    config = parse_config(
        """<View><Image name="i" value="$i"/>
        <RectangleLabels name="box" toName="i">
          <Label value="cat"/><Label value="sky" model_stuff="true"/></RectangleLabels>
        <BrushLabels name="mask" toName="i" model_score_threshold="0.4">
          <Label value="cat" model_score_threshold="0.2"/><Label value="sky"/></BrushLabels>
        <PolygonLabels name="ground" toName="i" model_stuff="true">
          <Label value="road"/><Label value="kerb" model_stuff="false"/></PolygonLabels></View>"""
    )
    assert config.vocabulary.entries == (
        Entry("cat", ("cat",), threshold=0.2),
        Entry("sky", ("sky",), stuff=True),
        Entry("road", ("road",), stuff=True),
        Entry("kerb", ("kerb",)),
    )
    mask, ground = config.control("mask"), config.control("ground")
    assert mask is not None
    assert ground is not None
    assert [config.threshold(label, mask) for label in ("cat", "sky")] == [0.2, 0.4]
    assert config.threshold("road", ground) == 0


@pytest.mark.parametrize(
    ("xml", "said"),
    [
        ("", "can't be read"),
        ("<View><Image", "can't be read"),
        ('<View><Text name="t" value="$t"/></View>', "no <Image> tag"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><View><Image name="i" value="$i"/></View>', "defines entities"),
        ("<View>" + " " * 1_000_001 + "</View>", "too long"),
        (
            '<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i" model_score_threshold="high">'
            '<Label value="x"/></BrushLabels></View>',
            'control "b": model_score_threshold',
        ),
        (
            '<View><Image name="i" value="$i"/><BrushLabels name="b" toName="i">'
            '<Label value="x" model_score_threshold="2"/></BrushLabels></View>',
            'label "x": model_score_threshold',
        ),
    ],
)
def test_what_is_no_config(xml: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_config(xml)
