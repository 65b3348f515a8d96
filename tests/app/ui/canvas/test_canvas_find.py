"""The button that finds objects, in a browser; the labeler is a fake one, so the server runs in this process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from canvas_driver import Canvas, Server
from coco_data import COCO, save_photos
from fakes import FakeFinder, FakeLabeler
from page_client import KEY

from app.store.coco_import import import_coco
from app.store.database import open_database
from app.ui.app import build_app
from app.ui.settings import UiSettings

pytestmark = pytest.mark.slow


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[[FakeLabeler], Server]]:
    """Starts a server with this labeler on the data of ``coco_data``."""
    save_photos(tmp_path)
    (tmp_path / "data.json").write_text(COCO)
    database = open_database(tmp_path / "data.openseed.db")
    project = import_coco(database, tmp_path / "data.json", images_root=tmp_path, name="data")
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(labeler: FakeLabeler) -> Server:
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        app = build_app(project, lambda: labeler, UiSettings(key=KEY, annotator="ana", model_name="fake"))
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        running.append((server, thread))
        until = time.monotonic() + 60
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < until, "the server did not start in time"
            time.sleep(0.05)
        return Server(f"http://127.0.0.1:{port}", None)  # type: ignore[arg-type]

    yield start
    for server, thread in running:
        server.should_exit = server.force_exit = True
        thread.join(20)
    database.close()


def find(canvas: Canvas) -> None:
    canvas.page.get_by_test_id("do-find").click()
    canvas.wait()


def test_objects_are_found_proposed_and_taken_back(
    serving: Callable[[FakeLabeler], Server], visit: Callable[..., Canvas]
) -> None:
    canvas = visit(serving(FakeFinder()))
    canvas.go_to("photo1.png")
    canvas.press("Tab", "r")  # a person has decided on one
    canvas.go_to("photo1.png")
    before: list[dict[str, Any]] = canvas.annotations
    assert {one["state"] for one in before} == {"rejected", "proposed"}
    find(canvas)
    canvas.toast("3 found")
    after = canvas.annotations
    assert after[: len(before)] == before
    made = after[len(before) :]
    assert [round(one["quality"], 2) for one in made] == [0.8, 0.44, 0.31]
    assert {one["state"] for one in made} == {"proposed"}
    assert all(one["mask"] for one in made)
    canvas.press("g")  # the key of the button
    canvas.toast("Nothing new")
    assert canvas.annotations == after
    canvas.press("Control+z")
    assert canvas.annotations == before


def slide(canvas: Canvas, *keys: str) -> None:
    canvas.page.get_by_test_id("find-threshold").focus()
    canvas.press(*keys)


def test_the_slider_says_how_sure_the_model_has_to_be(
    serving: Callable[[FakeLabeler], Server], visit: Callable[..., Canvas]
) -> None:
    """The finder's scores are 0.8, 0.44, 0.31."""
    canvas = visit(serving(FakeFinder()))
    slider, reset = canvas.page.get_by_test_id("find-threshold"), canvas.page.get_by_test_id("find-reset")
    canvas.go_to("photo2.png")
    before = canvas.annotations
    assert slider.input_value() == "0.3"
    assert not reset.is_visible()
    slide(canvas, *["ArrowRight"] * 3)  # 0.45
    assert reset.is_visible()
    canvas.press("g")  # also while the slider has the focus
    canvas.toast("1 found")
    found = canvas.annotations[len(before) :]
    assert [round(one["quality"], 2) for one in found] == [0.8]

    canvas.page.reload()
    canvas.wait()
    assert slider.input_value() == "0.45"
    canvas.go_to("photo2.png")
    slide(canvas, "ArrowLeft")  # 0.4
    find(canvas)
    canvas.toast("1 found")
    assert [round(one["quality"], 2) for one in canvas.annotations[len(before) :]] == [0.8, 0.44]

    reset.click()
    assert slider.input_value() == "0.3"
    assert not reset.is_visible()
    find(canvas)
    assert [round(one["quality"], 2) for one in canvas.annotations[len(before) :]] == [0.8, 0.44, 0.31]

    canvas.go_to("photo3.png")
    slide(canvas, "End")  # 0.95
    find(canvas)
    canvas.toast("none of the classes here with a score of 0.95 or more")


def test_a_model_that_needs_boxes_says_so(
    serving: Callable[[FakeLabeler], Server], visit: Callable[..., Canvas]
) -> None:
    canvas = visit(serving(FakeLabeler()))
    before = canvas.annotations
    find(canvas)
    canvas.toast("can't find objects by itself")
    assert canvas.annotations == before
