"""Handles for tests: a server process, and one window on the canvas that is used in photo pixels."""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = "document.querySelector('[data-testid=canvas]').openseed"
START_SECONDS = 120


def chromium() -> str | None:
    """Where the browser is, None where there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Server:
    """``openseed-label ui`` in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    @staticmethod
    def start(*arguments: object, **environment: str) -> Server:
        command = [sys.executable, "-m", "app.cli.main", "ui", "--port", "0", "--no-browser", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment},
        )
        told: queue.Queue[str | None] = queue.Queue()

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                told.put(line)
            told.put(None)

        threading.Thread(target=listen, daemon=True).start()
        lines: list[str] = []
        while True:
            line = told.get(timeout=START_SECONDS)
            if line is None:
                raise RuntimeError("the server did not start:\n" + "".join(lines))
            lines.append(line)
            if found := re.search(r"Label at (http://\S+?)/? ", line):
                return Server(found.group(1), process)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Canvas:
    """One window. Points are pixels of the upright photo."""

    def __init__(self, page: Any, server: Server) -> None:
        self.page = page
        self.server = server

    def wait(self) -> None:
        """Until a photo is on screen and every act has been answered."""
        self.page.wait_for_function(
            "() => { const root = document.querySelector('[data-testid=canvas]');"
            " return root && root.openseed.imageId !== null && !root.openseed.busy; }"
        )

    def see(self, expression: str) -> Any:
        """A property of ``root.openseed``."""
        return self.page.evaluate(f"() => {ROOT}.{expression}")

    @property
    def annotations(self) -> list[dict[str, Any]]:
        """As the page knows them, without what only some answers tell (``islands``, ``holes``)."""
        return [{k: v for k, v in one.items() if k not in ("islands", "holes")} for one in self.see("annotations")]

    @property
    def selected(self) -> dict[str, Any]:
        chosen = self.see("selectedId")
        return next(one for one in self.annotations if one["id"] == chosen)

    def client(self, point: Sequence[float]) -> tuple[float, float]:
        x, y = self.page.evaluate(f"(point) => {ROOT}.toClient(point)", list(point))
        return x, y

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.wait()

    def click(self, point: Sequence[float]) -> None:
        self.page.mouse.click(*self.client(point))
        self.wait()

    def drag(self, start: Sequence[float], end: Sequence[float], *, wait: bool = True) -> None:
        mouse = self.page.mouse
        mouse.move(*self.client(start))
        mouse.down()
        mouse.move(*self.client(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)))
        mouse.move(*self.client(end))
        mouse.up()
        if wait:
            self.wait()

    def choose(self, name: str) -> None:
        """The class of the selected annotation, or of the next box, by typing."""
        self.page.keyboard.press("c")
        self.page.get_by_test_id("classes-input").fill(name)
        self.page.locator("[data-testid=classes] [role=option]").filter(has_text=name).first.wait_for()
        self.press("Enter")

    def go_to(self, name: str) -> None:
        """Another photo, by a part of its name."""
        self.page.keyboard.press("/")
        self.page.get_by_test_id("goto-input").fill(name)
        option = self.page.locator("[data-testid=goto] [role=option]").filter(has_text=name)
        option.first.wait_for()
        option.first.click()
        self.page.get_by_test_id("photo-name").filter(has_text=name).wait_for()
        self.wait()

    def toast(self, text: str) -> None:
        """Wait for a message that holds this text."""
        self.page.get_by_test_id("toasts").get_by_text(text).first.wait_for()

    def export(self) -> dict[str, Any]:
        """The project as COCO, through the browser's session."""
        answer = self.page.request.get(f"{self.server.url}/api/export.json")
        assert answer.ok, answer.text()
        return dict(answer.json())

    def login(self, name: str, password: str) -> None:
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        with self.page.expect_navigation():
            self.page.get_by_role("button").click()


def exported(document: dict[str, Any], file_name: str) -> list[dict[str, Any]]:
    """The annotations of one photo of a COCO document, in file order."""
    image = next(one for one in document["images"] if one["file_name"].endswith(file_name))
    return [one for one in document["annotations"] if one["image_id"] == image["id"]]


def read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))
