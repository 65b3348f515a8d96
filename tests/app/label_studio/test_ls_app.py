"""The routes: quick whatever the model does, guarded, and without a word too much."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from backend_client import CAPTURED, backend, captured, rectangle
from fakes import FakeLabeler
from photo_site import LEGACY, Site, photo_site
from starlette.testclient import TestClient

from app.label_studio.app import build_app
from app.label_studio.guard import knows
from app.label_studio.logs import JsonLines
from app.label_studio.settings import Access, BackendSettings
from app.label_studio.webhooks import Event, event_of

AUTH = ("bob", "secret")


@pytest.fixture
def site() -> Iterator[Site]:
    with photo_site() as found:
        yield found


def test_health_and_setup_do_not_wait_for_the_model() -> None:
    gate = threading.Event()

    def slow() -> FakeLabeler:
        gate.wait(10)
        return FakeLabeler()

    app = build_app(slow, identity="fake-1", settings=BackendSettings())
    with TestClient(app) as client:
        try:
            started = time.monotonic()
            assert client.get("/health").json()["status"] == "UP"
            assert client.get("/").json()["model"] == "loading"
            assert client.post("/setup", json=captured("setup")).json()["model_version"].startswith("openseed-fake-1-")
            assert client.get("/versions").json() == {"versions": ["openseed-fake-1"]}
            assert "openseed_model_ready 0.0" in client.get("/metrics").text
            assert time.monotonic() - started < 5
        finally:
            gate.set()


def test_a_predict_that_comes_early_waits(site: Site) -> None:
    gate = threading.Event()

    def slow() -> FakeLabeler:
        gate.wait(10)
        return FakeLabeler()

    settings = BackendSettings(access=Access(url=site.url, api_key=LEGACY))
    with TestClient(build_app(slow, identity="fake-1", settings=settings)) as client:
        threading.Timer(0.2, gate.set).start()
        answer = client.post("/predict", json=captured("predict_batch"))
    assert [len(result["result"]) for result in answer.json()["results"]] == [1, 1, 0]


def test_a_model_that_can_not_be_loaded_says_why(site: Site) -> None:
    def broken() -> FakeLabeler:
        raise ValueError("there is no model 'nono'; choose nano")

    settings = BackendSettings(access=Access(url=site.url, api_key=LEGACY))
    with TestClient(build_app(broken, identity="nono", settings=settings)) as client:
        answer = client.post("/predict", json=captured("predict_batch"))
        assert answer.status_code == 503
        assert "choose nano" in answer.json()["detail"]
        assert client.get("/health").status_code == 200


def test_basic_auth_as_label_studio_tries_it(site: Site) -> None:
    requests = json.loads((CAPTURED / "basic_auth_requests.json").read_text())["requests"]
    with backend(site, basic_auth=AUTH) as client:
        statuses = []
        for request in requests:
            headers = {name: value for name, value in request["headers"].items() if name != "content-type"}
            body = captured("setup") if request["method"] == "POST" else None
            statuses.append(client.request(request["method"], request["path"], headers=headers, json=body).status_code)
        assert statuses == [401, 401, 200, 200, 200, 200]
        assert "WWW-Authenticate" in client.get("/health").headers
        for path in ("/predict", "/setup", "/versions", "/metrics", "/docs", "/openapi.json", "/nothing"):
            assert client.post(path, json={}).status_code == 401
            assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic Ym9i",
        "Bearer Ym9iOnNlY3JldA==",
        "Basic " + base64.b64encode(b"bob:secre").decode(),
    ],
)
def test_wrong_headers(header: str) -> None:
    assert not knows(header, AUTH)
    assert knows("basic Ym9iOnNlY3JldA==", AUTH)


def client_at(site: Site, address: str, **settings: Any) -> TestClient:
    app = build_app(
        lambda: FakeLabeler(),
        identity="fake-1",
        settings=BackendSettings(basic_auth=AUTH, access=Access(url="http://localhost:8080"), **settings),
    )
    return TestClient(app, client=(address, 50_000))


def test_events_may_come_without_auth_but_only_from_label_studio(site: Site) -> None:
    body = captured("webhook_annotation_created")
    with client_at(site, "127.0.0.1") as client:
        assert client.post("/webhook", json=body).status_code == 201
        wrong = {"Authorization": "Basic Ym9iOndyb25n"}
        assert client.post("/webhook", json=body, headers=wrong).status_code == 401
        assert client.post("/setup", json=captured("setup")).status_code == 401
    with client_at(site, "203.0.113.9") as client:
        assert client.post("/webhook", json=body).status_code == 401
        right = {"Authorization": "Basic Ym9iOnNlY3JldA=="}
        assert client.post("/webhook", json=body, headers=right).status_code == 201


@pytest.mark.parametrize(
    ("name", "event"),
    [
        ("webhook_annotation_created", Event("ANNOTATION_CREATED", 1, (1,))),
        ("webhook_project_updated", Event("PROJECT_UPDATED", 1, ())),
        ("webhook_start_training", Event("START_TRAINING", 1, ())),
        ("webhook_tasks_created", Event("TASKS_CREATED", 1, (4,))),
    ],
)
def test_captured_events(site: Site, name: str, event: Event) -> None:
    assert event_of(captured(name)) == event
    seen: list[Event] = []
    done = threading.Event()

    def work(found: Event, engine: object) -> None:
        seen.append(found)
        done.set()

    app = build_app(lambda: FakeLabeler(), identity="fake-1", settings=BackendSettings(), on_event=work)
    with TestClient(app) as client:
        assert client.post("/webhook", json=captured(name)).status_code == 201
        assert done.wait(5)
    assert seen == [event]


def test_events_are_answered_before_the_work_is_done() -> None:
    gate, seen = threading.Event(), []

    def work(event: Event, engine: object) -> None:
        gate.wait(10)
        seen.append(event)
        raise RuntimeError("one that fails does not stop the next")

    app = build_app(lambda: FakeLabeler(), identity="fake-1", settings=BackendSettings(), on_event=work)
    with TestClient(app) as client:
        for _ in range(3):
            assert client.post("/webhook", json=captured("webhook_tasks_created")).status_code == 201
        assert seen == []
        gate.set()
        end = time.monotonic() + 5
        while len(seen) < 3 and time.monotonic() < end:
            time.sleep(0.01)
    assert len(seen) == 3


@pytest.mark.parametrize(
    "body",
    [None, {}, {"action": "SOMETHING_NEW", "project": {"id": 1}}, {"action": "TASKS_CREATED"}, {"action": ["x"]}, [1]],
)
def test_unknown_events(site: Site, body: Any) -> None:
    with backend(site) as client:
        answer = client.post("/webhook", json=body)
    assert (answer.status_code, answer.json()) == (200, {"status": "Unknown event"})


def test_too_many_events_are_refused(site: Site) -> None:
    gate = threading.Event()
    app = build_app(
        lambda: FakeLabeler(), identity="fake-1", settings=BackendSettings(), on_event=lambda *_: gate.wait(10)
    )
    with TestClient(app) as client:
        body = captured("webhook_tasks_created")
        statuses = {client.post("/webhook", json=body).status_code for _ in range(1010)}
        gate.set()
    assert statuses == {201, 503}


def test_label_studio_introduces_itself(site: Site) -> None:
    """Without configuration the address and token of /setup count, as it is on this machine."""
    body = captured("predict_batch")
    with backend(site, access=Access()) as client:
        assert [len(one["result"]) for one in client.post("/predict", json=body).json()["results"]] == [0, 0, 0]
        told = {**captured("setup"), "hostname": site.url, "access_token": LEGACY, "project": body["project"]}
        assert client.post("/setup", json=told).status_code == 200
        assert [len(one["result"]) for one in client.post("/predict", json=body).json()["results"]] == [1, 1, 0]


@pytest.mark.parametrize("extra", [None, "", "text", {"a": 1}, [1], '{"a": 1}'])
def test_extra_params_of_any_kind(site: Site, extra: Any) -> None:
    with backend(site) as client:
        assert client.post("/setup", json={**captured("setup"), "extra_params": extra}).status_code == 200


def test_no_traceback_reaches_a_client(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    import app.label_studio.app as module

    def broken(xml: str) -> None:
        raise RuntimeError("a secret of this machine")

    with backend(site) as client:
        monkeypatch.setattr(module, "parse_config", broken)
        answer = client.post("/predict", json=captured("predict_batch"))
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_metrics_count(site: Site) -> None:
    with backend(site) as client:
        client.get("/health")
        client.get("/nothing/here")
        client.post("/predict", json=captured("predict_interactive_rectangle"))
        client.post("/predict", json=captured("predict_batch"))
        text = client.get("/metrics").text
    assert 'openseed_requests_total{path="/health",status="200"} 1.0' in text
    assert 'openseed_requests_total{path="other",status="404"} 1.0' in text
    assert 'openseed_tasks_total{mode="click",outcome="labelled"} 1.0' in text
    assert 'openseed_tasks_total{mode="batch",outcome="labelled"} 2.0' in text
    assert 'openseed_regions_total{mode="batch"} 2.0' in text
    assert "openseed_model_ready 1.0" in text


def test_logs_are_lines_of_json(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    body = captured("predict_interactive_rectangle")
    body["params"]["context"]["result"] = [rectangle("bird", 1, 1, 5, 5, origin="manual")]
    with caplog.at_level(logging.INFO, logger="app"), backend(site) as client:
        client.post("/predict", json=body)
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    said = next(line for line in lines if "bird" in line["message"])
    assert said["level"] == "warning"
    assert said["task"] == body["tasks"][0]["id"]
    request = next(line for line in lines if line.get("path") == "/predict")
    assert request["status"] == 200
    assert request["ms"] > 0


def test_health_is_quick_beside_heavy_work(site: Site) -> None:
    """Not a measurement (the benchmark has that): it must not wait for the predictions in work."""
    body = captured("predict_batch")
    with backend(site, FakeLabeler(delay=1.0)) as client:
        threads = [threading.Thread(target=client.post, args=("/predict",), kwargs={"json": body}) for _ in range(12)]
        for thread in threads:
            thread.start()
        started = time.monotonic()
        assert client.get("/health").status_code == 200
        assert time.monotonic() - started < 0.9
        for thread in threads:
            thread.join()
