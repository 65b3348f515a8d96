"""The doctor on a real Label Studio, in good and bad states."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backend_process import Backend
from example_truth import config
from label_studio_server import LEGACY, LabelStudio, label_studio_server

from app.label_studio.doctor import Finding, examine

pytestmark = pytest.mark.slow


def problems(findings: Iterator[Finding]) -> list[str]:
    return [f"{finding.said}: {finding.remedy}" for finding in findings if not finding.ok]


def test_all_is_well(label_studio: LabelStudio) -> None:
    running = Backend.start("--label-studio", label_studio.url)
    try:
        project = label_studio.project(config("BrushLabels"), title="healthy")
        token = label_studio.personal_token()
        found = list(examine(label_studio.url, token, project=project, backend=running.url))
        assert [finding for finding in found if not finding.ok] == []
        said = " ".join(finding.said for finding in found)
        assert "version 1.23" in said
        assert "personal access token and works" in said
        assert "Label Studio can connect to the backend" in said
        assert label_studio.json("GET", "/api/ml", params={"project": project}) == [], "the test connection is gone"
    finally:
        running.stop()


def test_what_can_be_wrong(label_studio: LabelStudio) -> None:
    url, token = label_studio.url, label_studio.personal_token()
    [told] = problems(examine(url, "f" * 40, project=None, backend=None))
    assert "legacy tokens are switched off" in told
    [told] = problems(examine("http://127.0.0.1:1", token, project=None, backend=None))
    assert "does not answer" in told
    [told] = problems(examine(url, token, project=99_999, backend=None))
    assert "check the project's number" in told
    access = label_studio.json("POST", "/api/token/refresh/", json={"refresh": token})["access"]
    [told] = problems(examine(url, access, project=None, backend=None))
    assert "use the personal access token" in told
    label_studio.legacy_tokens(False)
    try:
        [told] = problems(examine(url, LEGACY, project=None, backend=None))
    finally:
        label_studio.legacy_tokens(True)
    assert "legacy tokens are switched off there" in told
    project = label_studio.project(config(), title="no masks")
    label_studio.add_tasks(project, [{"data": {"image": "/data/local-files/?d=x.png"}}])
    told = " ".join(problems(examine(url, token, project=project, backend="http://127.0.0.1:1")))
    assert "no control can hold masks" in told
    assert "LOCAL_FILES_SERVING_ENABLED" in told
    assert "can't connect to the backend" in told


def test_label_studio_as_it_starts_by_default(label_studio_executable: Path, tmp_path: Path) -> None:
    """Private addresses are refused, and the doctor says by which switch."""
    running = Backend.start()
    try:
        with label_studio_server(label_studio_executable, tmp_path, ML_BLOCK_LOCAL_IP="true") as server:
            project = server.project(config("BrushLabels"))
            [told] = problems(examine(server.url, server.personal_token(), project=project, backend=running.url))
        assert "ML_BLOCK_LOCAL_IP=false" in told
    finally:
        running.stop()
