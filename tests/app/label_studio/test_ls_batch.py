"""Batches: one result a task, in order, whatever fails."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from backend_client import backend, captured, rectangle
from fakes import FakeFinder, FakeLabeler, FakeOpened
from label_studio_sdk.label_interface import LabelInterface
from photo_site import HEIGHT, WIDTH, Site, photo_site, picture

from app.label_studio.settings import Answering
from exporters.brush import decode_brush
from exporters.label_studio_regions import mask_of
from exporters.masks import area, box_xyxy
from labelers.protocol import LabelerSpec
from labelers.records import Boxes, Instances, Photo
from labelers.vocabulary import Vocabulary

BODY = captured("predict_batch")


@pytest.fixture
def site() -> Iterator[Site]:
    with photo_site() as found:
        yield found


def ask(client: Any, tasks: list[dict[str, Any]], **body: Any) -> list[dict[str, Any]]:
    answer = client.post("/predict", json={**BODY, "tasks": tasks, **body})
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert len(results) == len(tasks)
    return results  # type: ignore[no-any-return]


def task(number: int, *regions: dict[str, Any], image: str | None = None, **more: Any) -> dict[str, Any]:
    annotations = [{"id": number, "result": list(regions), "was_cancelled": False}] if regions else []
    data = {"image": image or f"/data/upload/1/{number}.png"}
    return {"id": number, "data": data, "annotations": annotations, "predictions": [], **more}


def test_the_captured_batch(site: Site) -> None:
    """A rectangle annotation, a rectangle prediction, nothing."""
    with backend(site) as client:
        first, second, third = ask(client, BODY["tasks"])
    assert [region["type"] for region in first["result"] + second["result"]] == ["brushlabels", "brushlabels"]
    assert first["result"][0]["value"]["brushlabels"] == ["cat"]
    assert second["result"][0]["value"]["brushlabels"] == ["dog"]
    assert third["result"] == []
    assert third["score"] == 0
    assert first["model_version"] == second["model_version"]
    assert third["model_version"] == f"{first['model_version']}-no-boxes", "so that it is asked again when it has some"
    mask = decode_brush(first["result"][0]["value"]["rle"], height=HEIGHT, width=WIDTH)
    assert mask is not None
    # the rectangle is 25 %, 25 %, 37.5 %, 41.67 % of 320 x 240
    assert box_xyxy(mask) == pytest.approx([80, 60, 200, 160], abs=1)
    assert first["result"][0]["original_width"] == WIDTH
    assert first["result"][0]["score"] == first["score"] == pytest.approx(120 * 100 / (320 * 240), abs=0.001)


def test_the_test_button(site: Site) -> None:
    """One task without context."""
    body = captured("predict_test_button")
    with backend(site) as client:
        answer = client.post("/predict", json=body)
    assert answer.status_code == 200
    assert len(answer.json()["results"]) == len(body["tasks"]) == 1


def test_label_studio_accepts_every_region(site: Site) -> None:
    with backend(site) as client:
        results = ask(client, BODY["tasks"])
        results += ask(client, BODY["tasks"], label_config=BODY["label_config"].replace("BrushLabels", "BitmaskLabels"))
    with backend(site, answering=Answering(shape="polygon")) as client:
        results += ask(client, BODY["tasks"])
    kinds = set()
    for number, result in enumerate(results):
        config = (
            BODY["label_config"].replace("BrushLabels", "BitmaskLabels") if 3 <= number < 6 else BODY["label_config"]
        )
        problems = LabelInterface(config).validate_prediction(result, return_errors=True)
        assert problems == []
        kinds |= {region["type"] for region in result["result"]}
    assert kinds == {"brushlabels", "bitmasklabels", "polygonlabels"}


def test_one_broken_photo_among_many(site: Site) -> None:
    box = rectangle("cat", 10, 10, 50, 50)
    tasks = [
        task(1, box),
        task(2, box, image="/data/upload/1/broken.png"),
        task(3, box, image="/data/upload/1/missing.png"),
        task(4, box, image="file:///etc/passwd"),
        task(5, box, image="http://169.254.169.254/latest"),
        {"id": 6, "data": {}, "annotations": [{"result": [box]}]},
        {"id": 7},
        task(8, box),
    ]
    with backend(site) as client:
        results = ask(client, tasks)
        metrics = client.get("/metrics").text
    assert [len(result["result"]) for result in results] == [1, 0, 0, 0, 0, 0, 0, 1]
    # what failed has another version, so that Label Studio asks again for it
    assert [result["model_version"].endswith("-failed") for result in results] == [False] + [True] * 5 + [False] * 2
    assert results[6]["model_version"].endswith("-no-boxes")
    assert all(set(result) == {"result", "score", "model_version"} for result in results)
    assert 'openseed_tasks_total{mode="batch",outcome="failed"} 5.0' in metrics


def test_a_labeler_that_fails_fails_its_task_only(site: Site) -> None:
    class Failing(FakeLabeler):
        def open(self, photo: Photo) -> FakeOpened:
            if photo.width == 64:
                raise RuntimeError("out of luck")
            return super().open(photo)

    box = rectangle("cat", 10, 10, 50, 50)
    site.photos["/data/upload/1/2.png"] = picture(64, 48)
    with backend(site, Failing()) as client:
        results = ask(client, [task(1, box), task(2, box), task(3, box)])
    assert [len(result["result"]) for result in results] == [1, 0, 1]
    assert results[1]["model_version"].endswith("-failed")


@pytest.mark.parametrize(
    "region",
    [
        rectangle("bird", 10, 10, 50, 50),
        rectangle("cat", 10, 10, 0, 50),
        {**rectangle("cat", 10, 10, 50, 50), "from_name": "nobody"},
        {**rectangle("cat", 10, 10, 50, 50), "to_name": "nobody"},
        {**rectangle("cat", 10, 10, 50, 50), "value": {"x": "a", "rectanglelabels": ["cat"]}},
        {**rectangle("cat", 10, 10, 50, 50), "value": {"x": 1, "y": 1, "width": 5, "height": 5}},
        {**rectangle("cat", 10, 10, 50, 50), "value": None},
        rectangle("cat", float("1e308"), 10, 50, 50),
        "no region",
        None,
    ],
)
def test_a_region_that_can_not_be_used_is_left_out(site: Site, region: Any) -> None:
    with backend(site) as client:
        [result] = ask(client, [task(1, region, rectangle("dog", 10, 10, 50, 50, number="good"))])
    assert [one["value"]["brushlabels"] for one in result["result"]] == [["dog"]]


def test_a_label_that_only_rectangles_know_is_left_out(site: Site) -> None:
    config = BODY["label_config"].replace('<RectangleLabels name="rect" toName="image" smart="true">', "{}")
    config = config.replace("{}", '<RectangleLabels name="rect" toName="image"><Label value="bus"/>')
    with backend(site) as client:
        [result] = ask(
            client,
            [task(1, rectangle("bus", 10, 10, 50, 50), rectangle("cat", 50, 50, 10, 10, number="2"))],
            label_config=config,
        )
    assert [one["value"]["brushlabels"] for one in result["result"]] == [["cat"]]


def test_which_boxes_count(site: Site) -> None:
    cat, dog = rectangle("cat", 10, 10, 50, 50), rectangle("dog", 10, 10, 50, 50)
    old = {"result": [dog], "updated_at": "2026-01-01T00:00:00Z"}
    new = {"result": [cat], "updated_at": "2026-02-01T00:00:00Z"}
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"annotations": [new, old]}, ["cat"]),
        ({"annotations": [new, {**old, "ground_truth": True}]}, ["dog"]),
        ({"annotations": [{**new, "was_cancelled": True}, old]}, ["dog"]),
        ({"annotations": [], "drafts": [{"result": [cat]}], "predictions": [old]}, ["cat"]),
        ({"annotations": [{"result": []}], "predictions": [{"result": [dog]}]}, ["dog"]),
        ({"predictions": [{"result": [dog], "created_at": "1"}, {"result": [cat], "created_at": "2"}]}, ["cat"]),
        ({"annotations": "none", "drafts": None, "predictions": [3, {"result": 4}]}, []),
    ]
    with backend(site) as client:
        for number, (more, labels) in enumerate(cases):
            [result] = ask(client, [{**task(number), **more}])
            assert [region["value"]["brushlabels"][0] for region in result["result"]] == labels


def test_several_pictures_and_controls_in_a_task(site: Site) -> None:
    config = """<View><Image name="left" value="$l"/><Image name="right" valueList="$r"/>
    <RectangleLabels name="rect" toName="left,right"><Label value="cat"/></RectangleLabels>
    <BrushLabels name="bl" toName="left"><Label value="cat"/></BrushLabels>
    <PolygonLabels name="pr" toName="right"><Label value="cat"/></PolygonLabels></View>"""
    regions = [
        rectangle("cat", 0, 0, 50, 50, number="a", to_name="left"),
        rectangle("cat", 50, 50, 50, 50, number="b", to_name="right", item_index=1),
    ]
    data = {"l": "/data/l.png", "r": ["/data/r0.png", "/data/r1.png"]}
    with backend(site) as client:
        [result] = ask(client, [{"id": 1, "data": data, "annotations": [{"result": regions}]}], label_config=config)
    found = {region["from_name"]: region for region in result["result"]}
    assert set(found) == {"bl", "pr"}
    assert found["pr"]["to_name"] == "right"
    assert found["pr"]["item_index"] == 1
    assert sorted(site.paths()) == ["/data/l.png", "/data/r1.png"]


def test_thresholds(site: Site) -> None:
    boxes = [rectangle("cat", 0, 0, 90, 90, number="large"), rectangle("cat", 0, 0, 10, 10, number="small")]
    config = BODY["label_config"].replace('name="brush"', 'name="brush" model_score_threshold="0.5"')
    with backend(site) as client:
        assert len(ask(client, [task(1, *boxes)])[0]["result"]) == 2
        assert len(ask(client, [task(1, *boxes)], label_config=config)[0]["result"]) == 1
    with backend(site, answering=Answering(threshold=0.5)) as client:
        assert len(ask(client, [task(1, *boxes)])[0]["result"]) == 1


def test_the_score_is_that_of_the_worst_mask(site: Site) -> None:
    boxes = [rectangle("cat", 0, 0, 90, 90, number="large"), rectangle("cat", 0, 0, 10, 10, number="small")]
    with backend(site) as client:
        [result] = ask(client, [task(1, *boxes)])
    assert result["score"] == pytest.approx(0.01, abs=0.001)


def test_versions_change_with_what_changes_answers(site: Site) -> None:
    def version(config: str = BODY["label_config"], **settings: Any) -> str:
        with backend(site, **settings) as client:
            body = {"project": "1.2", "schema": config, "hostname": site.url, "access_token": ""}
            asked = client.post("/setup", json=body).json()["model_version"]
            [result] = ask(client, [task(1, rectangle("dog", 0, 0, 50, 50))], label_config=config)
            assert result["model_version"] == asked
            return str(asked)

    base = version()
    assert version() == base
    others = {
        version(answering=Answering(threshold=0.3)),
        version(answering=Answering(shape="polygon")),
        version(BODY["label_config"].replace('value="cat"', 'value="cat" predicted_values="kitten"')),
        version(BODY["label_config"].replace('name="brush"', 'name="brush" model_score_threshold="0.5"')),
    }
    assert len(others | {base}) == 5


def test_the_words_of_the_config_reach_the_labeler(site: Site) -> None:
    asked: list[Vocabulary] = []

    class Listening(FakeLabeler):
        def open(self, photo: Photo) -> Any:
            return _Listening(super().open(photo), asked)

    config = BODY["label_config"].replace('value="cat"', 'value="cat" predicted_values="kitten, tomcat"')
    with backend(site, Listening()) as client:
        ask(client, [task(1, rectangle("cat", 0, 0, 50, 50))], label_config=config)
    assert asked[0].prompts("cat") == ("kitten", "tomcat")


class _Listening:
    def __init__(self, opened: FakeOpened, asked: list[Vocabulary]) -> None:
        self.opened, self.asked = opened, asked

    def masks(self, boxes: Boxes, vocabulary: Vocabulary) -> Instances:
        self.asked.append(vocabulary)
        return self.opened.masks(boxes, vocabulary)


class Proposing(FakeLabeler):
    """Finds a thing of every class in the left upper quarter of any photo."""

    def open(self, photo: Photo) -> Any:
        return _Proposing(super().open(photo))


class _Proposing(_Listening):
    def __init__(self, opened: FakeOpened) -> None:
        super().__init__(opened, [])

    def propose(self, vocabulary: Vocabulary) -> Instances:
        box = np.tile(np.array([[0, 0, WIDTH / 2, HEIGHT / 2]], np.float32), (len(vocabulary.names), 1))
        return self.opened.masks(Boxes(box, vocabulary.names), vocabulary)


def proposing() -> Proposing:
    return dataclasses.replace(Proposing(), spec=LabelerSpec("fake", "1", makes_boxes=True))


def test_a_model_that_finds_objects_labels_tasks_without_boxes(site: Site) -> None:
    with backend(site, proposing()) as client:
        [result] = ask(client, [task(1)])
        assert [region["value"]["brushlabels"] for region in result["result"]] == [["cat"], ["dog"]]
        assert len({region["id"] for region in result["result"]}) == 2
    with backend(site, proposing(), answering=Answering(propose=False)) as client:
        assert ask(client, [task(1)])[0]["result"] == []
    with backend(site) as client:  # one that can not
        assert ask(client, [task(1)])[0]["result"] == []


def test_stuff_is_found_as_stuff(site: Site) -> None:
    """Of the finder, things lie in the upper half of the photo and stuff in the lower one."""
    config = """<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">
    <Label value="cat"/><Label value="ground" model_stuff="true" predicted_values="grass, road"/>
    </BrushLabels></View>"""
    with backend(site, FakeFinder()) as client:
        [result] = ask(client, [task(1)], label_config=config)
    found = {region["value"]["brushlabels"][0]: region for region in result["result"]}
    assert set(found) == {"cat", "ground"}
    tops = {
        name: float(box_xyxy(decode_brush(region["value"]["rle"], height=HEIGHT, width=WIDTH))[1])  # type: ignore[arg-type]
        for name, region in found.items()
    }
    assert tops == {"cat": 0, "ground": HEIGHT / 2}
    assert LabelInterface(config).validate_prediction(result, return_errors=True) == []


def test_a_low_threshold_of_the_config_reaches_the_labeler(site: Site) -> None:
    """The finder's scores are 0.8, 0.44, 0.31, 0.24 and 0.19; left to itself it takes what is above 0.3."""
    labels = "".join(f'<Label value="{name}"/>' for name in "abcde")
    config = (
        '<View><Image name="image" value="$image"/><BrushLabels name="brush" toName="image">{}</BrushLabels></View>'
    )

    def found(xml: str, **answering: Any) -> list[str]:
        with backend(site, FakeFinder(), answering=Answering(**answering)) as client:
            [result] = ask(client, [task(1)], label_config=xml)
        return [region["value"]["brushlabels"][0] for region in result["result"]]

    plain = config.format(labels)
    assert found(plain) == ["a", "b", "c"]
    assert found(plain, threshold=0.22) == ["a", "b", "c", "d"]
    assert found(plain.replace('name="brush"', 'name="brush" model_score_threshold="0.1"')) == list("abcde")
    assert found(plain.replace('value="e"', 'value="e" model_score_threshold="0.1"')) == ["a", "b", "c", "e"]
    assert found(plain.replace('name="brush"', 'name="brush" model_score_threshold="0.4"')) == ["a", "b"]


def test_objects_are_found_on_every_page(site: Site) -> None:
    config = """<View><Image name="pages" valueList="$pages"/>
    <BrushLabels name="brush" toName="pages"><Label value="cat"/></BrushLabels></View>"""
    pages: list[Any] = ["/data/p0.png", {"url": "/data/p1.png"}]
    missing = "/data/upload/1/missing.png"
    with backend(site, FakeFinder()) as client:
        [whole] = ask(client, [{"id": 1, "data": {"pages": pages}}], label_config=config)
        [broken] = ask(client, [{"id": 2, "data": {"pages": [*pages, missing]}}], label_config=config)
    assert [region["item_index"] for region in whole["result"]] == [0, 1]
    assert len({region["id"] for region in whole["result"]}) == 2
    assert broken["model_version"].endswith("-failed")


def test_islands_become_several_polygons(site: Site) -> None:
    with backend(site, answering=Answering(shape="polygon", simplify=0.0)) as client:
        [result] = ask(client, [task(1, rectangle("cat", 10, 10, 50, 50))])
    [region] = result["result"]
    mask = mask_of(region, height=HEIGHT, width=WIDTH)
    assert mask is not None
    assert area(mask) == pytest.approx(np.pi / 4 * 160 * 120, rel=0.02)


def test_asked_again_the_answer_is_remembered(site: Site) -> None:
    """Label Studio repeats a batch that took too long; what was done is not done again."""
    labeler = FakeLabeler(delay=0.2)
    tasks = [task(number, rectangle("cat", 10, 10, 50, 50)) for number in range(6)]
    with backend(site, labeler, batch_seconds=0.5) as client:
        answer = client.post("/predict", json={**BODY, "tasks": tasks})
        assert answer.status_code == 503
        assert "label-studio push" in answer.json()["detail"]
        started = time.monotonic()
        tries = 0
        while answer.status_code == 503:
            tries += 1
            answer = client.post("/predict", json={**BODY, "tasks": tasks})
        assert tries <= 4
        assert time.monotonic() - started < 3
    assert [len(result["result"]) for result in answer.json()["results"]] == [1] * 6
    assert len(labeler.opened) == 6


def test_a_changed_box_is_not_remembered(site: Site) -> None:
    with backend(site) as client:
        [first] = ask(client, [task(1, rectangle("cat", 10, 10, 50, 50))])
        [second] = ask(client, [task(1, rectangle("cat", 10, 10, 20, 20))])
    assert first["result"][0]["value"]["rle"] != second["result"][0]["value"]["rle"]


def test_hostile_bodies(site: Site) -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    with backend(site, max_body=100_000) as client:
        for body in (b"", b"[]", b"{", b"[" * 50_000, b'{"tasks": 3}', b'{"tasks": [3]}', b"\xff"):
            answer = client.post("/predict", content=body)
            assert answer.status_code == 400, body[:20]
            assert "Traceback" not in answer.text
        assert client.post("/predict", content=b"x" * 100_001).status_code == 413
        assert client.post("/predict", json={**BODY, "label_config": "<View/>"}).status_code == 400
        assert len(ask(client, [{"id": {}, "data": deep, "annotations": deep}])) == 1
        assert client.post("/setup", content=b"[]").status_code == 400


def test_regions_keep_their_order_and_ids_are_unique(site: Site) -> None:
    boxes = [rectangle("cat", 2 * k, 2 * k, 20, 20, number=f"box{k}") for k in range(20)]
    with backend(site) as client:
        [result] = ask(client, [task(1, *boxes)])
        [again] = ask(client, [task(1, *copy.deepcopy(boxes))])
    assert len({region["id"] for region in result["result"]}) == 20
    assert result == again
    lefts = [float(box_xyxy(decode_brush(r["value"]["rle"], height=HEIGHT, width=WIDTH))[0]) for r in result["result"]]  # type: ignore[arg-type]
    assert lefts == sorted(lefts)
