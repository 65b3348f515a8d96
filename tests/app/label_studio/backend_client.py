"""A backend with a fake labeler in front of a photo server, asked as Label Studio asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes import FakeLabeler
from photo_site import LEGACY, Site
from starlette.testclient import TestClient

from app.label_studio.app import build_app
from app.label_studio.settings import Access, BackendSettings
from labelers.protocol import Labeler

CAPTURED = Path(__file__).parent / "captured"


def captured(name: str) -> dict[str, Any]:
    """The body of a request that Label Studio sent."""
    return json.loads((CAPTURED / f"{name}.json").read_text())["request"]["body"]  # type: ignore[no-any-return]


@contextmanager
def backend(site: Site, labeler: Labeler | None = None, **settings: Any) -> Iterator[TestClient]:
    """A running backend that fetches photos from ``site``."""
    access = settings.pop("access", Access(url=site.url, api_key=LEGACY))
    found = labeler or FakeLabeler()
    app = build_app(lambda: found, identity="fake-1", settings=BackendSettings(access=access, **settings))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def rectangle(
    label: str, x: float, y: float, width: float, height: float, *, number: str = "r1", **more: Any
) -> dict[str, Any]:
    """A region of the captured labeling config; x, y, width, height in percent."""
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    region = {"id": number, "from_name": "rect", "to_name": "image", "type": "rectanglelabels", "value": value}
    return {**region, "original_width": 320, "original_height": 240, "image_rotation": 0, **more}
