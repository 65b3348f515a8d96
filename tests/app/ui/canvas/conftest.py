"""A real server process with the real model, and real Chromium in front of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from canvas_driver import Canvas, Server, chromium

pytest.importorskip("playwright")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Of this folder only: Playwright keeps an event loop in this thread, which other tests would trip over."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundled example; projects are kept beside the data."""
    folder = tmp_path_factory.mktemp("data") / "examples"
    shutil.copytree(Path(__file__).parents[4] / "app" / "examples", folder)
    return folder


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers; all are stopped at the end of the module."""
    running: list[Server] = []

    def start(*arguments: object, **environment: str) -> Server:
        server = Server.start(*arguments, **environment)
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Canvas]]:
    """Opens windows, each a browser of its own with its own cookies."""
    contexts: list[Any] = []
    errors: list[str] = []

    def open_window(server: Server, *, path: str = "/", wait: bool = True, **options: Any) -> Canvas:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        context.set_default_timeout(25_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url + path)
        canvas = Canvas(page, server)
        if wait:
            canvas.wait()
        return canvas

    yield open_window
    for context in contexts:
        context.close()
    assert errors == [], "scripts on the page raised"
