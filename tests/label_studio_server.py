"""A real Label Studio for a test session, from a virtual environment of its own, and what tests ask of it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

TEST_LABEL_STUDIO = "OPENSEED_LABEL_TEST_LABEL_STUDIO"
"""Path of the program ``label-studio``, where it is not in ``.venv-label-studio`` beside the sources."""

USER, PASSWORD, LEGACY = "annotator@example.com", "a-long-password-1", "0123456789abcdef" * 2 + "01234567"
_START_SECONDS = 180


def label_studio_program() -> Path | None:
    """Where Label Studio is installed, None where it is not."""
    given = os.environ.get(TEST_LABEL_STUDIO)
    path = Path(given) if given else Path(__file__).parents[1] / ".venv-label-studio" / "bin" / "label-studio"
    return path if path.is_file() else None


@dataclass(frozen=True)
class LabelStudio:
    """A running server. Everything here fails loudly."""

    url: str
    folder: Path

    def ask(self, method: str, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        headers = {"Authorization": token or f"Token {LEGACY}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=120, **options)

    def json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.ask(method, path, **options)
        assert answer.status_code in (200, 201, 204), f"{method} {path}: {answer.status_code} {answer.text[:600]}"
        return answer.json() if answer.content else None

    def personal_token(self) -> str:
        """The account's personal access token. Label Studio makes one at a time and shows it once."""
        kept = self.folder / "personal-token"
        if not kept.exists():
            kept.write_text(str(self.json("POST", "/api/token/")["token"]))
        return kept.read_text()

    def legacy_tokens(self, allowed: bool) -> None:
        settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed}
        # a legacy token can't lock itself out and in again, so a personal one does it
        access = self.json("POST", "/api/token/refresh/", json={"refresh": self.personal_token()})["access"]
        self.json("POST", "/api/jwt/settings", token=f"Bearer {access}", json=settings)

    def project(self, config: str, *, title: str = "a project", **more: Any) -> int:
        return int(self.json("POST", "/api/projects/", json={"title": title, "label_config": config, **more})["id"])

    def upload(self, project: int, photos: Sequence[Path]) -> None:
        """Photos as an annotator drops them on the page: each becomes a task."""
        for photo in photos:
            files = {"file": (photo.name, photo.read_bytes(), "application/octet-stream")}
            self.json("POST", f"/api/projects/{project}/import", files=files)

    def add_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        self.json("POST", f"/api/projects/{project}/import", json=list(tasks))

    def tasks(self, project: int) -> list[dict[str, Any]]:
        found = self.json("GET", "/api/tasks/", params={"project": project, "fields": "all", "page_size": 500})
        return list(found["tasks"])

    def annotate(self, task: int, result: list[dict[str, Any]]) -> None:
        self.json("POST", f"/api/tasks/{task}/annotations/", json={"result": result})

    def connect(self, project: int, url: str, **more: Any) -> httpx.Response:
        """Connect an ML backend, as the settings page does."""
        body = {"url": url, "project": project, "title": "openseed", "is_interactive": True, **more}
        return self.ask("POST", "/api/ml", json=body)

    def retrieve_predictions(self, project: int) -> Any:
        """What the data manager's action does for all tasks."""
        params = {"id": "retrieve_tasks_predictions", "project": project}
        body = {"selectedItems": {"all": True, "excluded": []}, "project": str(project)}
        return self.json("POST", "/api/dm/actions", params=params, json=body)

    def click(self, backend: int, task: int, *regions: Mapping[str, Any]) -> dict[str, Any]:
        """An interactive request, as the labeling page posts it; the answer's ``data``."""
        body = {"task": task, "context": {"result": list(regions)}}
        found = self.json("POST", f"/api/ml/{backend}/interactive-annotating", json=body)
        assert not found.get("errors"), found
        return dict(found["data"])


@contextmanager
def label_studio_server(program: Path, folder: Path, **environment: str) -> Iterator[LabelStudio]:
    """Start a server in ``folder`` on a free port of this machine; ``environment`` goes before the usual settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder / "data"),
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": LEGACY,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_HOST": url,
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "DJANGO_DB": "sqlite",
    }
    known = {name: value for name, value in os.environ.items() if not name.startswith(("LABEL_STUDIO", "PYTHON"))}
    log = (folder / "log").open("wb")
    process = subprocess.Popen(
        [program, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)],
        cwd=folder,
        env={**known, **settings, **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait(url, process, folder / "log")
        yield LabelStudio(url, folder)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
        shutil.rmtree(folder / "data", ignore_errors=True)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"Label Studio ended: {log.read_text(errors='replace')[-2000:]}"
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    raise AssertionError(f"Label Studio did not start in {_START_SECONDS} s: {log.read_text(errors='replace')[-2000:]}")
