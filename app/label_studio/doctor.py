"""What is wrong between Label Studio, this backend and the photos, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.label_studio.client import Client, LabelStudioError
from app.label_studio.config import MASK_KINDS, ConfigError, LabelConfig, parse_config
from app.label_studio.fetch import CLOUD_SCHEMES
from app.label_studio.photos import address_in
from app.label_studio.tokens import kind_of
from labelers.photos import PhotoError

KNOWN_GOOD = (1, 23)


@dataclass(frozen=True)
class Finding:
    """One check. ``remedy`` is empty where all is well."""

    ok: bool
    said: str
    remedy: str = ""


def examine(url: str, token: str, *, project: int | None, backend: str | None) -> Iterator[Finding]:
    """Check after check; those that make no sense after a failed one are left out.

    Args:
        url, token: of Label Studio.
        project: its number, to look into its config, tasks and storages.
        backend: address of a running backend as Label Studio would call it, to try the connection.
    """
    with Client(url, token) as client:
        try:
            version = client.version()
        except LabelStudioError as error:
            if error.status != 401:
                yield Finding(False, f"Label Studio at {url} can't be reached", str(error))
                return
            version = "unknown"
        yield _version(version)
        told = {"personal": "a personal access token", "legacy": "a legacy token", "access": "an access token"}
        try:
            client.get("/api/projects/", page_size=1)
        except LabelStudioError as error:
            yield Finding(False, f"{told[kind_of(token)]} is refused", str(error))
            return
        if kind_of(token) == "access":
            remedy = "it ends after minutes; use the personal access token (Account & Settings)"
            yield Finding(False, "the token is an access token", remedy)
        else:
            yield Finding(True, f"the token is {told[kind_of(token)]} and works")
        if project is not None:
            yield from _project(client, project)
            if backend is not None:
                yield from _connection(client, project, backend)
        elif backend is not None:
            yield Finding(False, "the connection was not tried", "name a project as well: --project N")


def _version(version: str) -> Finding:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers and numbers < KNOWN_GOOD:
        return Finding(False, f"Label Studio is {version}", "1.23 or newer is known to work; upgrade it")
    return Finding(True, f"Label Studio answers, version {version}")


def _project(client: Client, project: int) -> Iterator[Finding]:
    try:
        settings = client.project(project)
        config = parse_config(str(settings.get("label_config") or ""))
    except (LabelStudioError, ConfigError) as error:
        yield Finding(False, f"project {project} can't be used", str(error))
        return
    yield from _config(config)
    yield from _photos(client, project, config)


def _config(config: LabelConfig) -> Iterator[Finding]:
    masks = [control for control in config.of_kind(*MASK_KINDS) if not control.skip]
    if not masks:
        yield Finding(
            False, "no control can hold masks", "add <BrushLabels name=... toName=...> to the labeling config"
        )
        return
    yield Finding(True, f"masks go to {', '.join(control.name for control in masks)}")
    boxes = config.of_kind("rectangle")
    if not boxes:
        yield Finding(False, "there are no rectangles to make masks of", 'add <RectangleLabels ... smart="true">')
    elif not any(control.smart for control in (*boxes, *config.of_kind("keypoint"))):
        yield Finding(False, "no control asks while labeling", 'write smart="true" on RectangleLabels')
    known = {label for control in masks for label in control.labels}
    lost = sorted({label for control in boxes for label in control.labels} - known)
    if lost:
        yield Finding(False, f"labels without a mask control: {', '.join(lost)}", "add them to BrushLabels")


def _photos(client: Client, project: int, config: LabelConfig) -> Iterator[Finding]:
    """The first task's photo: what kind of address it is, and whether Label Studio hands it out."""
    task: dict[str, Any] | None = next(client.tasks(project, page_size=1), None)
    if task is None:
        yield Finding(True, "the project has no tasks yet")
        return
    try:
        value = address_in(task.get("data") or {}, next(iter(config.sources.values())), 0)
    except PhotoError as error:
        yield Finding(False, "the first task has no photo", str(error))
        return
    scheme = urlsplit(value).scheme
    if scheme in CLOUD_SCHEMES and not client.get("/api/storages/", project=project):
        yield Finding(False, f"photos are in {scheme}://, but no storage is connected", "connect it: Cloud Storage")
    elif value.startswith("/data/local-files") and not client.get("/api/storages/localfiles", project=project):
        yield Finding(
            False,
            "photos are local files, but no Local Storage is connected",
            "start Label Studio with LOCAL_FILES_SERVING_ENABLED=true and LOCAL_FILES_DOCUMENT_ROOT=..., and add the "
            "folder under Cloud Storage, Local files",
        )
    elif scheme in ("http", "https") and not value.startswith(client.url):
        host = urlsplit(value).hostname
        yield Finding(True, f"photos are on {host}: start the backend with --allow-host {host}")
    else:
        yield Finding(True, "photos come from Label Studio itself")


def _connection(client: Client, project: int, backend: str) -> Iterator[Finding]:
    """Is the backend up, and will Label Studio talk to it? A connection made for the test is removed again."""
    try:
        health = httpx.get(f"{backend.rstrip('/')}/health", timeout=5)
        if health.status_code == 401:
            yield Finding(True, "the backend is up and wants basic auth; give Label Studio the same")
            return
        yield Finding(True, "the backend is up")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        yield Finding(False, f"{backend} does not answer from here ({error})", "openseed-label label-studio")
    existing = client.get("/api/ml", project=project)
    if any(isinstance(one, dict) and one.get("url", "").rstrip("/") == backend.rstrip("/") for one in existing or []):
        yield Finding(True, "the backend is connected to the project")
        return
    try:
        made = client.post("/api/ml", {"url": backend, "project": project, "title": "doctor"})
    except LabelStudioError as error:
        said = str(error)
        if "reserved" in said or error.status == 403:
            remedy = "restart Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false"
            yield Finding(False, "Label Studio refuses backends with a private address", remedy)
        else:
            yield Finding(False, "Label Studio can't connect to the backend", said)
        return
    client.delete(f"/api/ml/{made['id']}")
    yield Finding(True, "Label Studio can connect to the backend")
