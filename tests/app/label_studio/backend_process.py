"""``openseed-label label-studio`` in a process of its own, with the embedded model."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field

import httpx

START_SECONDS = 60


@dataclass
class Backend:
    """A running backend. ``lines``: what it has logged so far."""

    url: str
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    @staticmethod
    def start(*arguments: object, **environment: str) -> Backend:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("LABEL_STUDIO", "BASIC_AUTH"))
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "label-studio", "--port", "0", *map(str, arguments)],
            stderr=subprocess.PIPE,
            text=True,
            env={**clean, "OMP_WAIT_POLICY": "PASSIVE", **environment},
        )
        told: queue.Queue[str | None] = queue.Queue()
        lines: list[str] = []

        def listen() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                told.put(line)
            told.put(None)

        threading.Thread(target=listen, daemon=True).start()
        while True:
            line = told.get(timeout=START_SECONDS)
            if line is None:
                raise RuntimeError("the backend did not start:\n" + "".join(lines))
            if found := re.search(r"backend at (http://\S+)", line):
                return Backend(found.group(1), process, lines)

    def metric(self, start: str) -> float:
        """The value of the line of ``/metrics`` that starts so; 0 where there is none."""
        for line in httpx.get(f"{self.url}/metrics", timeout=10).text.splitlines():
            if line.startswith(start):
                return float(line.rpartition(" ")[2])
        return 0.0

    def until(self, start: str, least: float, *, seconds: float = 30.0) -> None:
        """Wait until a metric has reached ``least``."""
        end = time.monotonic() + seconds
        while self.metric(start) < least:
            assert time.monotonic() < end, f"{start} stayed below {least}:\n" + "".join(self.lines[-20:])
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
