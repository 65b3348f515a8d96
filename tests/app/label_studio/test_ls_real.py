"""A real Label Studio, the real model, real photos with masks drawn by hand."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from backend_process import Backend
from example_truth import EXAMPLES, Example, config, examples, overlap
from label_studio_server import LabelStudio
from PIL import Image

from app.cli.main import main

pytestmark = pytest.mark.slow

PHOTOS = examples()
GOOD = 0.7
"""Mean IoU with the masks drawn by hand that the embedded model must reach on the bundled photos."""


@pytest.fixture(scope="module")
def backend(label_studio: LabelStudio) -> Iterator[Backend]:
    """With a personal access token; labels new tasks of its own accord."""
    running = Backend.start(
        "--label-studio",
        label_studio.url,
        "--predict-new-tasks",
        LABEL_STUDIO_API_KEY=label_studio.personal_token(),
    )
    yield running
    # uvicorn ends by the signal that asked it to, after the last answers
    assert running.stop() in (0, -signal.SIGTERM), "".join(running.lines[-20:])


@pytest.fixture(scope="module")
def brushes(label_studio: LabelStudio, backend: Backend) -> tuple[int, int]:
    """A project with a smart rectangle, the bundled photos and a backend: ids of project and backend."""
    project = label_studio.project(config("BrushLabels"), title="brushes")
    label_studio.upload(project, [photo.path for photo in PHOTOS])
    answer = label_studio.connect(project, backend.url)
    assert answer.status_code == 201, answer.text
    return project, int(answer.json()["id"])


def photo_of(task: dict[str, Any]) -> Example:
    """Which of the bundled photos an uploaded task shows."""
    [found] = [photo for photo in PHOTOS if photo.path.stem in task["data"]["image"]]
    return found


def check_masks(photo: Example, result: list[dict[str, Any]]) -> list[float]:
    """IoU with the truth of each box's region; in the order of the boxes, with their labels."""
    assert [region["value"][region["type"]] for region in result] == [[name] for name in photo.names]
    assert {(region["original_width"], region["original_height"]) for region in result} == {(photo.width, photo.height)}
    return [overlap(region, mask) for region, mask in zip(result, photo.masks, strict=True)]


@pytest.mark.parametrize("tag", ["BrushLabels", "BitmaskLabels"])
def test_a_batch_with_a_broken_photo_among_them(
    label_studio: LabelStudio, backend: Backend, tmp_path: Path, tag: str
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(PHOTOS[0].path.read_bytes()[:3000])
    project = label_studio.project(config(tag), title=f"batch {tag}")
    paths = [photo.path for photo in PHOTOS]
    label_studio.upload(project, [*paths[:2], broken, *paths[2:]])
    tasks = label_studio.tasks(project)
    for task in tasks:
        source = PHOTOS[0] if "broken" in task["data"]["image"] else photo_of(task)
        label_studio.annotate(task["id"], source.rectangles())
    assert label_studio.connect(project, backend.url).status_code == 201
    label_studio.retrieve_predictions(project)
    found: list[float] = []
    for task in label_studio.tasks(project):
        [prediction] = task["predictions"]
        if "broken" in task["data"]["image"]:
            assert prediction["result"] == []
            assert prediction["model_version"].endswith("-failed")
            continue
        values = check_masks(photo_of(task), prediction["result"])
        found += values
        assert prediction["score"] == pytest.approx(min(region["score"] for region in prediction["result"]), abs=1e-3)
    assert len(found) == 14
    assert np.mean(found) > GOOD
    # asked again, only what failed is tried
    before = backend.metric('openseed_tasks_total{mode="batch",outcome="labelled"}')
    label_studio.retrieve_predictions(project)
    assert backend.metric('openseed_tasks_total{mode="batch",outcome="labelled"}') == before


def test_polygons_from_the_boxes_of_predictions(label_studio: LabelStudio, backend: Backend) -> None:
    """And photos as data: addresses, which need no token."""
    project = label_studio.project(config("PolygonLabels"), title="polygons")
    photo = next(photo for photo in PHOTOS if "coffee" in photo.path.name)
    inline = "data:image/jpeg;base64," + base64.b64encode(photo.path.read_bytes()).decode()
    boxes = {"result": photo.rectangles(), "model_version": "boxes", "score": 0.5}
    label_studio.add_tasks(project, [{"data": {"image": inline}, "predictions": [boxes]}])
    assert label_studio.connect(project, backend.url).status_code == 201
    label_studio.retrieve_predictions(project)
    [task] = label_studio.tasks(project)
    [result] = [one["result"] for one in task["predictions"] if one["model_version"] != "boxes"]
    assert {region["type"] for region in result} == {"polygonlabels"}
    assert all(len(region["value"]["points"]) <= 400 for region in result)
    first = [region for region in result if "." not in region["id"]]
    assert np.mean(check_masks(photo, first)) > 0.6


def test_a_smart_rectangle_by_api(label_studio: LabelStudio, brushes: tuple[int, int]) -> None:
    project, number = brushes
    values: list[float] = []
    for task in label_studio.tasks(project):
        photo = photo_of(task)
        for region, truth in zip(photo.rectangles(origin="manual"), photo.masks, strict=True):
            [answer] = label_studio.click(number, task["id"], region)["result"]
            values.append(overlap(answer, truth))
    assert np.mean(values) > GOOD


def test_a_key_point_by_api(label_studio: LabelStudio, brushes: tuple[int, int]) -> None:
    project, number = brushes
    [task] = [task for task in label_studio.tasks(project) if "cat" in task["data"]["image"]]
    photo = photo_of(task)
    x0, y0, x1, y1 = photo.boxes[0]
    value = {"x": 50 * (x0 + x1) / photo.width, "y": 50 * (y0 + y1) / photo.height, "width": 0.2}
    region = {
        "id": "p1", "from_name": "point", "to_name": "image", "type": "keypointlabels", "origin": "manual",
        "is_positive": True, "value": {**value, "keypointlabels": [photo.names[0]]},
    }  # fmt: skip
    [answer] = label_studio.click(number, task["id"], region)["result"]
    assert overlap(answer, photo.masks[0]) > 0.7


def test_many_clicks_at_once_on_different_photos(label_studio: LabelStudio, backend: Backend, tmp_path: Path) -> None:
    """32 at the same time; each gets the answer that it gets alone."""
    paths = []
    for number in range(32):
        photo = PHOTOS[number % len(PHOTOS)]
        path = tmp_path / f"{number:02d}-{photo.path.stem}.png"
        with Image.open(photo.path) as image:
            image.convert("L").rotate(number).save(path)
        paths.append(path)
    project = label_studio.project(config("BrushLabels"), title="many")
    label_studio.upload(project, paths)
    answer = label_studio.connect(project, backend.url)
    number = int(answer.json()["id"])
    tasks = label_studio.tasks(project)
    assert len(tasks) == 32

    def click(task: dict[str, Any]) -> list[dict[str, Any]]:
        photo = photo_of(task)
        return list(label_studio.click(number, task["id"], photo.rectangles(origin="manual")[0])["result"])

    with ThreadPoolExecutor(32) as pool:
        together = list(pool.map(click, tasks))
    alone = [click(task) for task in tasks]
    assert together == alone
    assert sum(len(result) for result in together) >= 30


def test_basic_auth(label_studio: LabelStudio) -> None:
    running = Backend.start(BASIC_AUTH_USER="bob", BASIC_AUTH_PASS="se:cret")
    try:
        project = label_studio.project(config("BrushLabels"), title="guarded")
        label_studio.upload(project, [PHOTOS[1].path])
        [task] = label_studio.tasks(project)
        label_studio.annotate(task["id"], PHOTOS[1].rectangles())
        assert label_studio.connect(project, running.url).status_code == 400
        auth = {"auth_method": "BASIC_AUTH", "basic_auth_user": "bob"}
        assert label_studio.connect(project, running.url, **auth, basic_auth_pass="wrong").status_code == 400
        assert label_studio.connect(project, running.url, **auth, basic_auth_pass="se:cret").status_code == 201
        # no token is configured: the legacy token of /setup fetches the photo
        label_studio.retrieve_predictions(project)
        [task] = label_studio.tasks(project)
        assert np.mean(check_masks(PHOTOS[1], task["predictions"][0]["result"])) > 0.5
        # events come without auth, from this machine
        label_studio.annotate(task["id"], PHOTOS[1].rectangles())
        assert any("/webhook 201" in line or '"path": "/webhook", "status": 201' in line for line in _soon(running))
    finally:
        running.stop()


def _soon(running: Backend) -> list[str]:
    end = time.monotonic() + 10
    while time.monotonic() < end and not any("/webhook" in line for line in running.lines):
        time.sleep(0.1)
    return running.lines


def test_new_tasks_are_labelled_as_they_come(label_studio: LabelStudio, backend: Backend) -> None:
    """An event of Label Studio, worked on by a queue, written back by API with the personal token."""
    project = label_studio.project(config("BrushLabels"), title="new tasks")
    assert label_studio.connect(project, backend.url).status_code == 201
    photo = PHOTOS[1]
    inline = "data:image/jpeg;base64," + base64.b64encode(photo.path.read_bytes()).decode()
    boxes = {"result": photo.rectangles(), "model_version": "boxes"}
    label_studio.add_tasks(project, [{"data": {"image": inline}, "predictions": [boxes]}])
    end = time.monotonic() + 30
    while len(label_studio.tasks(project)[0]["predictions"]) < 2:
        assert time.monotonic() < end, "".join(backend.lines[-20:])
        time.sleep(0.3)
    [found] = [one for one in label_studio.tasks(project)[0]["predictions"] if one["model_version"] != "boxes"]
    assert np.mean(check_masks(photo, found["result"])) > 0.5


def test_without_legacy_tokens_and_from_local_files(label_studio: LabelStudio, backend: Backend) -> None:
    photo = PHOTOS[2]
    (label_studio.folder / "files" / "set").mkdir(exist_ok=True)
    (label_studio.folder / "files" / "set" / "a photo.jpg").write_bytes(photo.path.read_bytes())
    project = label_studio.project(config("BrushLabels"), title="local files")
    storage = {"path": str(label_studio.folder / "files" / "set"), "project": project, "use_blob_urls": True}
    label_studio.json("POST", "/api/storages/localfiles", json=storage)
    label_studio.add_tasks(project, [{"data": {"image": "/data/local-files/?d=set/a%20photo.jpg"}}])
    [task] = label_studio.tasks(project)
    label_studio.annotate(task["id"], photo.rectangles())
    assert label_studio.connect(project, backend.url).status_code == 201
    label_studio.legacy_tokens(False)
    try:
        body = {
            "tasks": [task | {"annotations": [{"result": photo.rectangles()}]}],
            "label_config": config("BrushLabels"),
        }
        [result] = httpx.post(f"{backend.url}/predict", json=body, timeout=60).json()["results"]
    finally:
        label_studio.legacy_tokens(True)
    assert np.mean(check_masks(photo, result["result"])) > 0.6


def test_a_killed_push_goes_on(label_studio: LabelStudio, tmp_path: Path) -> None:
    project = label_studio.project(config("BrushLabels"), title="push")
    names = []
    for number in range(12):
        photo = PHOTOS[number % len(PHOTOS)]
        path = tmp_path / f"{number:02d}-{photo.path.name}"
        path.write_bytes(photo.path.read_bytes() if number != 5 else b"no photo")
        names.append(path)
    label_studio.upload(project, names)
    for task in label_studio.tasks(project):
        label_studio.annotate(task["id"], photo_of(task).rectangles())
    environment = {
        **os.environ,
        "LABEL_STUDIO_API_KEY": label_studio.personal_token(),
        "LABEL_STUDIO_URL": label_studio.url,
    }
    command = [sys.executable, "-m", "app.cli.main", "label-studio", "push", "--project", str(project)]
    options = ["--tasks-at-once", "2", "--json", "-q"]
    process = subprocess.Popen([*command, *options], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    end = time.monotonic() + 60
    while not any(task["predictions"] for task in label_studio.tasks(project)):
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = sum(bool(task["predictions"]) for task in label_studio.tasks(project))
    assert 2 <= before < 12
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    assert summary["skipped"] == before
    assert summary["predicted"] == 11 - before
    [failed] = summary["failed"]
    tasks = label_studio.tasks(project)
    assert [task["id"] for task in tasks if not task["predictions"]] == [failed["task"]]
    assert "no image that can be read" in failed["reason"]
    values: list[float] = []
    for task in tasks:
        if task["predictions"]:
            [prediction] = task["predictions"]
            values += check_masks(photo_of(task), prediction["result"])
    assert np.mean(values) > GOOD


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--project", "99999"], "check the project's number"),
        (["--project", "1", "--token", "f" * 40], "refuses the token"),
        (["--project", "1", "--label-studio", "http://127.0.0.1:1"], "does not answer"),
        (["--project", "1", "--label-studio", "label.example"], "no address"),
    ],
)
def test_a_push_that_can_not_begin(
    label_studio: LabelStudio,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.personal_token())
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    assert main(["label-studio", "push", "-q", *options]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("shape", ["brush", "polygon"])
def test_a_data_set_through_label_studio_and_back(label_studio: LabelStudio, tmp_path: Path, shape: str) -> None:
    """Export, import into a real project, submit, export there, merge into the original: the same file."""
    source = EXAMPLES / "truth.json"
    tasks = tmp_path / "tasks.json"
    command = [
        "label-studio",
        "export",
        str(source),
        "-o",
        str(tasks),
        "-q",
        "--shape",
        shape,
        "--images",
        str(EXAMPLES),
    ]
    assert main([*command, "--as", "annotations", "--url-prefix", "https://photos.example/"]) == 0
    project = label_studio.project((tmp_path / "tasks.xml").read_text(), title=f"round trip {shape}")
    label_studio.add_tasks(project, json.loads(tasks.read_text()))
    found = label_studio.json("GET", f"/api/projects/{project}/export", params={"exportType": "JSON"})
    assert len(found) == len(PHOTOS)
    (tmp_path / "export.json").write_text(json.dumps(found))
    out = tmp_path / "out.json"
    merged = ["label-studio", "import", str(tmp_path / "export.json"), "--base", str(source), "-o", str(out), "-q"]
    assert main(merged) == 0
    assert json.loads(out.read_text()) == json.loads(source.read_text())
