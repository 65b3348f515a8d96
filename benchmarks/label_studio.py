"""How long Label Studio waits for the backend: a real backend process, photos from a local web server.

Run it from the repository: ``python -m benchmarks.label_studio``.
"""

from __future__ import annotations

import functools
import http.server
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[1] / "app" / "examples" / "photos"
CONFIG = (
    '<View><Image name="image" value="$image"/><RectangleLabels name="rect" toName="image" smart="true">'
    '<Label value="cat"/></RectangleLabels><KeyPointLabels name="kp" toName="image" smart="true"><Label value="cat"/>'
    '</KeyPointLabels><BrushLabels name="brush" toName="image"><Label value="cat"/></BrushLabels></View>'
)
CLICKS = 40


def timed(ask: Callable[[], Any], times: int) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        ask()
        found.append(1000 * (time.perf_counter() - start))
    return found


def main() -> int:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(EXAMPLES))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    photos = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=photos.serve_forever, daemon=True).start()
    command = [sys.executable, "-m", "app.cli.main", "label-studio", "--port", "0", "--allow-host", "localhost"]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    url = next(match[1] for line in process.stderr if (match := re.search(r"backend at (http://\S+)", line)))
    threading.Thread(target=process.stderr.read, daemon=True).start()
    client = httpx.Client(base_url=url, timeout=120)
    setup = {"project": "1.1", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": ""}
    image = f"http://127.0.0.1:{photos.server_port}/coffee.jpg"
    rng = np.random.default_rng(0)
    with Image.open(EXAMPLES / "coffee.jpg") as photo:
        width, height = photo.size

    def click(kind: str = "rect") -> None:
        x, y, w, h = rng.uniform([5, 5, 10, 10], [50, 50, 45, 45])
        value: dict[str, Any] = {"x": x, "y": y, "rectanglelabels": ["cat"], "width": w, "height": h}
        if kind == "kp":
            value = {"x": x, "y": y, "keypointlabels": ["cat"]}
        region = {"id": "r", "from_name": kind, "to_name": "image", "type": next(k for k in value if "labels" in k)}
        context = {"result": [{**region, "origin": "manual", "value": value}]}
        body = {"tasks": [{"id": 1, "data": {"image": image}}], "label_config": CONFIG, "params": {"context": context}}
        client.post("/predict", json=body).raise_for_status()

    rows = [("/setup, the first, while the model loads", timed(lambda: client.post("/setup", json=setup), 1))]
    rows.append(("/health while the model loads", timed(lambda: client.get("/health"), 20)))
    rows.append(("first click: waits for the model, fetches, decodes", timed(click, 1)))
    rows.append(("rectangle on an open photo, a new box each", timed(click, CLICKS)))
    rows.append(("key point on an open photo, a new point each", timed(lambda: click("kp"), CLICKS)))
    busy = [threading.Thread(target=lambda: timed(click, 10)) for _ in range(8)]
    for thread in busy:
        thread.start()
    rows.append(("/health beside 8 annotators who click without pause", timed(lambda: client.get("/health"), 40)))
    rows.append(("/setup beside them", timed(lambda: client.post("/setup", json=setup), 20)))
    for thread in busy:
        thread.join()
    print(f"| {width} x {height}, ms | median | slowest |\n|---|---|---|")
    for name, values in rows:
        print(f"| {name} | {statistics.median(values):.0f} | {max(values):.0f} |")
    process.terminate()
    process.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main())
