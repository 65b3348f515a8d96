"""Clicks: the newest region asks, and its mask answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from backend_client import backend, captured, rectangle
from fakes import FakeLabeler
from label_studio_sdk.label_interface import LabelInterface
from photo_site import HEIGHT, WIDTH, Site, photo_site
from test_ls_batch import proposing

from app.label_studio.settings import Answering
from exporters.brush import decode_brush
from exporters.masks import box_xyxy
from exporters.runs import contains


@pytest.fixture
def site() -> Iterator[Site]:
    with photo_site() as found:
        yield found


def click(client: Any, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 200, answer.text
    [result] = answer.json()["results"]
    assert isinstance(result["result"], list)
    assert LabelInterface(body["label_config"]).validate_prediction(result, return_errors=True) == []
    return result  # type: ignore[no-any-return]


def with_context(body: dict[str, Any], *regions: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    changed["params"]["context"] = {"result": list(regions)}
    return changed


def mask_of(result: dict[str, Any]) -> Any:
    [region] = result["result"]
    found = decode_brush(region["value"]["rle"], height=HEIGHT, width=WIDTH)
    assert found is not None
    return found


def test_a_smart_rectangle(site: Site) -> None:
    body = captured("predict_interactive_rectangle")
    value = body["params"]["context"]["result"][-1]["value"]
    with backend(site) as client:
        result = click(client, body)
    [region] = result["result"]
    assert region["type"] == "brushlabels"
    assert region["value"]["brushlabels"] == value["rectanglelabels"]
    x0, y0 = value["x"] / 100 * WIDTH, value["y"] / 100 * HEIGHT
    x1, y1 = x0 + value["width"] / 100 * WIDTH, y0 + value["height"] / 100 * HEIGHT
    assert box_xyxy(mask_of(result)) == pytest.approx([x0, y0, x1, y1], abs=1.5)


def test_only_the_newest_region_asks(site: Site) -> None:
    """The labeling page sends every region of the control, the drawn one last."""
    body = captured("predict_interactive_from_labeling_ui")
    with backend(site) as client:
        result = click(client, body)
    newest = body["params"]["context"]["result"][-1]
    assert newest["origin"] == "manual"
    assert box_xyxy(mask_of(result))[0] == pytest.approx(newest["value"]["x"] / 100 * WIDTH, abs=1.5)


def test_a_key_point(site: Site) -> None:
    body = captured("predict_interactive_keypoint")
    value = body["params"]["context"]["result"][0]["value"]
    with backend(site) as client:
        result = click(client, body)
    assert contains(mask_of(result), int(value["x"] / 100 * WIDTH), int(value["y"] / 100 * HEIGHT))
    assert result["result"][0]["value"]["brushlabels"] == ["cat"]


def point(x: float, y: float, label: str = "cat", *, positive: bool = True, number: str = "p") -> dict[str, Any]:
    value = {"x": x, "y": y, "width": 0.2, "labels": [label], "keypointlabels": [label]}
    region = {"id": number, "from_name": "kp", "to_name": "image", "type": "keypointlabels", "value": value}
    return {**region, "is_positive": positive, "origin": "manual"}


def test_key_points_of_a_label_accumulate(site: Site) -> None:
    body = captured("predict_interactive_keypoint")
    points = [
        point(50, 50, number="a"),
        point(95, 95, "dog", number="b"),
        point(80, 50, number="c"),
        point(50, 52, positive=False, number="d"),
    ]
    with backend(site) as client:
        mask = mask_of(click(client, with_context(body, *points)))
        assert contains(mask, int(0.5 * WIDTH), int(0.5 * HEIGHT))
        assert contains(mask, int(0.8 * WIDTH), int(0.5 * HEIGHT))
        assert not contains(mask, int(0.5 * WIDTH), int(0.52 * HEIGHT))
        assert not contains(mask, int(0.95 * WIDTH), int(0.95 * HEIGHT)), "that is another label's"
        corner = mask_of(click(client, with_context(body, point(100, 100))))
        assert contains(corner, WIDTH - 1, HEIGHT - 1)


@pytest.mark.parametrize(
    "context",
    [
        [],
        ["no region"],
        [point(50, 50, positive=False)],
        [point(150, 50)],
        [point(50, 50, "bird")],
        [{**point(50, 50), "value": {"keypointlabels": ["cat"]}}],
        [{**point(50, 50), "from_name": "nobody"}],
        [rectangle("cat", 10, 10, 0, 0)],
    ],
)
def test_nothing_found_has_one_form(site: Site, context: list[Any]) -> None:
    body = captured("predict_interactive_keypoint")
    with backend(site) as client:
        answer = client.post("/predict", json=with_context(body, *context))
        assert answer.status_code == 200
        if context:
            assert [result["result"] for result in answer.json()["results"]] == [[]]


def test_a_photo_that_can_not_be_had_is_nothing_found(site: Site) -> None:
    body = captured("predict_interactive_keypoint")
    body["tasks"][0]["data"]["image"] = "/data/upload/5/missing.png"
    with backend(site) as client:
        assert click(client, body)["result"] == []


def test_a_text_is_remembered_for_the_boxes_after_it(site: Site) -> None:
    asked: list[tuple[str, ...]] = []

    class Listening(FakeLabeler):
        def open(self, photo: Any) -> Any:
            opened = super().open(photo)

            class Opened:
                def masks(self, boxes: Any, vocabulary: Any) -> Any:
                    asked.append(vocabulary.prompts(boxes.names[0]))
                    return opened.masks(boxes, vocabulary)

            return Opened()

    text, box = captured("predict_interactive_text_prompt"), captured("predict_interactive_rectangle_after_text")
    text["tasks"][0]["id"] = box["tasks"][0]["id"]
    text["project"] = box["project"]
    with backend(site, Listening()) as client:
        click(client, box)
        assert click(client, text)["result"] == []
        found = click(client, box)
        other = copy.deepcopy(box)
        other["tasks"][0]["id"] += 1
        click(client, other)
        click(client, with_context(text, {**text["params"]["context"]["result"][0], "value": {"text": [""]}}))
        click(client, box)
    assert asked == [("cat",), ("red square",), ("cat",), ("cat",)]
    assert found["result"][0]["value"]["brushlabels"] == ["cat"], "the label stays the one that was drawn with"


def test_a_text_lets_a_model_that_can_find_objects(site: Site) -> None:
    body = captured("predict_interactive_text_prompt")
    region = body["params"]["context"]["result"][0]
    with backend(site, proposing()) as client:
        free = click(client, body)
        [named] = click(client, with_context(body, {**region, "value": {"text": ["Dog"]}}))["result"]
        both = click(client, with_context(body, {**region, "value": {"text": ["dog, red square"]}}))
    assert free["result"][0]["value"]["brushlabels"] == ["cat"], "no label of that name: the first one"
    assert free["result"][0]["meta"] == {"text": ["red square"]}
    assert named["value"]["brushlabels"] == ["dog"]
    assert len({one["id"] for one in both["result"]}) == 2


def test_a_drawn_outline_asks_for_its_box(site: Site) -> None:
    body = captured("predict_interactive_rectangle")
    points = {"points": [[10, 10], [50, 10], [50, 50]], "closed": True, "polygonlabels": ["dog"]}
    region = {"id": "g", "from_name": "poly", "to_name": "image", "type": "polygonlabels", "value": points}
    with backend(site) as client:
        result = click(client, with_context(body, {**region, "origin": "manual"}))
    assert box_xyxy(mask_of(result)) == pytest.approx([32, 24, 160, 120], abs=1.5)
    assert result["result"][0]["value"]["brushlabels"] == ["dog"]


def test_thresholds_do_not_silence_a_click(site: Site) -> None:
    body = captured("predict_interactive_rectangle")
    with backend(site, answering=Answering(threshold=0.99)) as client:
        assert len(click(client, body)["result"]) == 1


def test_the_same_click_twice_and_one_opening(site: Site) -> None:
    labeler = FakeLabeler()
    body = captured("predict_interactive_rectangle")
    with backend(site, labeler) as client:
        assert click(client, body) == click(client, body)
    assert len(labeler.opened) == 1
    assert len(site.paths()) == 1


def test_clicks_on_many_photos_at_once_do_not_mix(site: Site) -> None:
    bodies = []
    for number in range(32):
        body = captured("predict_interactive_rectangle")
        body["tasks"][0] |= {"id": number, "data": {"image": f"/data/upload/9/{number}.png"}}
        bodies.append(
            with_context(body, rectangle("cat", number, number, 50, 50, number=f"r{number}", origin="manual"))
        )
    with backend(site, FakeLabeler(delay=0.01)) as client, ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda body: click(client, body), bodies))
    for number, result in enumerate(results):
        left, top = box_xyxy(mask_of(result))[:2]
        assert left == pytest.approx(number / 100 * WIDTH, abs=1.5)
        assert top == pytest.approx(number / 100 * HEIGHT, abs=1.5)
    assert len({result["result"][0]["id"] for result in results}) == 32


def test_rotated_photos_answer_in_the_frame_that_is_shown(site: Site) -> None:
    from photo_site import picture
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    site.photos["/data/upload/9/r.jpg"] = picture(HEIGHT, WIDTH, form="JPEG", exif=exif)  # upright: 320 x 240
    body = captured("predict_interactive_rectangle")
    body["tasks"][0]["data"]["image"] = "/data/upload/9/r.jpg"
    with backend(site) as client:
        result = click(client, with_context(body, rectangle("cat", 50, 0, 50, 50, origin="manual")))
    [region] = result["result"]
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert box_xyxy(mask_of(result)) == pytest.approx([160, 0, 320, 120], abs=1.5)
